"""FollowedLog: a log that another process writes, read from the same files.

For `isthmus log show` while a node runs or is down, and for workers that serve
each other's logs.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from gateway.core.errors import Diverged, Trimmed
from gateway.log.files import open_environment
from gateway.log.reading import Files
from gateway.log.wake import Wake

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from gateway.core.records import Page, Position


class FollowedLog:
    """A LogReader and the reading half of a Store; `async with` opens and closes it. Never writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open_things = ExitStack()
        self._bell = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Open the files, for reading only.

        :raises ConfigError: there is no log.
        :raises Damaged: the files are not whole.
        """
        with ExitStack() as stack:
            self._executor = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="log follower"))
            environment = stack.enter_context(open_environment(self._path, write=False))
            self._files = Files(environment, turn=threading.RLock())
            self.log_id = self._files.log_id()
            stack.enter_context(Wake(self._path, self._ring))
            self._open_things = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        self._open_things.close()

    def _ring(self) -> None:
        self._bell.set()
        self._bell = asyncio.Event()

    async def read(self, *, after: Position, limit: int) -> Page:
        """Return frames after a position, or wait; see `LogReader.read`."""
        if after.log != self.log_id:
            raise Diverged(f"position of {after.log}, this log is {self.log_id}")
        loop = asyncio.get_running_loop()
        while True:
            bell = self._bell
            first, end = self._files.bounds()
            if after.offset > end:
                raise Diverged(f"position {after.offset} is beyond the end {end}")
            if after.offset + 1 < first:
                raise Trimmed(first)
            if after.offset < end:
                await loop.run_in_executor(self._executor, self._files.check_position, after)
                page, _ = await loop.run_in_executor(self._executor, self._files.page, after.offset, limit)
                return page
            await bell.wait()

    @property
    def end(self) -> int:
        """Offset of the last record; 0 while empty."""
        return self._files.bounds()[1]

    @property
    def first(self) -> int:
        """Offset of the first record kept; end + 1 while empty."""
        return self._files.bounds()[0]

    def seek(self, accepted: float) -> int:
        """The offset to read after in order to see everything accepted at that time or later."""
        return self._files.seek(accepted)

    def position(self, name: str) -> bytes | None:
        """The committed position of that name."""
        return self._files.position(name)

    def positions(self, prefix: str = "") -> dict[str, bytes]:
        """All committed positions whose name begins so."""
        return self._files.positions(prefix)

    def rows(self, table: str, *, after: bytes = b"", limit: int = 1000) -> list[tuple[bytes, bytes]]:
        """Up to `limit` rows of a table with keys greater than `after`, in key order."""
        return self._files.rows(table, after=after, limit=limit)


def open_reader(path: Path) -> FollowedLog:
    """A reader of the log in a data directory, whether a node runs on it or not."""
    return FollowedLog(path)
