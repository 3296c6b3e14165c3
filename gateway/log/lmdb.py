"""LmdbLog: the embedded log. Frames in LMDB, group commit, positions in the same transaction.

    append ─▶ Commits ─▶ Writer ─▶ fsync ─▶ Tail ─▶ readers
                (I/O thread)                  └─ older: Files, in a small executor

Durable on return, all or none; see `EventLog` and `Store` in gateway/core/records.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, Literal, Self, TypeVar, TypeVarTuple

from gateway.core import telemetry
from gateway.core.clock import Clock, SystemClock
from gateway.core.errors import Diverged, LogFull, Trimmed, Unavailable
from gateway.core.frame import Batch, Frame
from gateway.core.records import Page, Position, Row
from gateway.log.commits import Commits
from gateway.log.files import DATA, DirectoryLock, open_environment
from gateway.log.layout import DAMAGED, key_of
from gateway.log.opening import check, identify, looks_whole
from gateway.log.reading import Files
from gateway.log.room import Room, map_size_for
from gateway.log.tail import Tail
from gateway.log.trimming import Trimming
from gateway.log.wake import Wakers
from gateway.log.writing import Request, Writer, Written, check_names

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

log = logging.getLogger(__name__)

_Args = TypeVarTuple("_Args")
_Result = TypeVar("_Result")
Positions = Mapping[str, tuple[bytes | None, bytes | None]]

_READERS: Final = 2
"""Threads that read what is no longer in memory."""
_TIDY: Final = 1.0
"""Seconds between two looks at what may be trimmed."""
_READER_CHECK: Final = 60.0
"""Seconds between two looks for readers that died without leaving."""


class LmdbLog:
    """A region's durable log in one data directory. `async with` opens and closes it."""

    def __init__(
        self,
        path: Path,
        *,
        region: str,
        node: str | None = None,
        at_most: int,
        keep: float | None = None,
        full: Literal["refuse", "drop_oldest"] = "refuse",
        tail: int = 64 * 1024 * 1024,
        clock: Clock | None = None,
    ) -> None:
        self._path = path
        self._region = region
        self._node = node
        self._at_most = at_most
        self._keep = keep
        self._drop_oldest = full == "drop_oldest"
        self._tail_limit = tail
        self._clock = clock or SystemClock()
        self._open_things = AsyncExitStack()
        self._first = 1
        self._used = 0
        self._full: str | None = None
        self._is_closed = False
        self._position_of: dict[str, bytes] = {}
        self._trimming = Trimming()

    async def __aenter__(self) -> Self:
        """Check the files, lock the directory, start the I/O thread.

        :raises Unavailable: another process holds the directory.
        :raises ConfigError: the log is of another region or node, or of a newer format.
        :raises Damaged: the files are not whole, or gone; nothing was changed.
        """
        async with AsyncExitStack() as stack:
            self._executor = ThreadPoolExecutor(_READERS, thread_name_prefix="log reader")
            stack.callback(self._executor.shutdown)
            lock = await self._in_executor(DirectoryLock, self._path)
            stack.callback(lock.close)
            await self._in_executor(lock.check_not_lost)
            in_doubt = not lock.was_clean or not await self._in_executor(looks_whole, self._path)
            damaged = await check(self._path) if in_doubt else []
            await self._in_executor(self._open, stack, lock)
            self._commits = Commits(self._writer, self._wakers, self._landed)
            self._commits.start()
            stack.push_async_callback(self._commits.close)
            for problem in damaged:
                await self._set_aside(problem.first, problem.last, problem.reason)
            self._is_closed = False
            self._open_things = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit what is queued and close; readers that wait are told by Unavailable."""
        self._is_closed = True
        self._tail.ring()
        await self._open_things.aclose()

    def _open(self, stack: AsyncExitStack, lock: DirectoryLock) -> None:
        environment = open_environment(self._path, map_size=map_size_for(self._at_most), write=True)
        stack.callback(environment.close)
        self.log_id = identify(environment, self._region, self._node)
        environment.reader_check()
        self._environment = environment
        lock.mark_log(self.log_id)
        self._files = Files(environment)
        self._wakers = Wakers(self._path)
        stack.callback(self._wakers.close)
        room = Room(self._path / DATA, at_most=self._at_most, clock=self._clock)
        stack.callback(room.close)
        self._writer = Writer(environment, room, log_id=self.log_id, clock=self._clock, drop_oldest=self._drop_oldest)
        state = self._writer.state()
        self._tail = Tail(state.end, limit=self._tail_limit)
        self._landed(state)
        lock.mark_running()
        stack.callback(lock.mark_clean)

    async def append(
        self, items: Sequence[Batch | Frame], *, positions: Positions | None = None, rows: Sequence[Row] = ()
    ) -> int:
        """Append all or none; see `EventLog.append`."""
        for item in items:
            if isinstance(item, Batch) and not item.count:
                raise ValueError("a batch without events")
        return await self._submit(items, rows, positions or {})

    async def write(self, rows: Sequence[Row], *, positions: Positions | None = None) -> None:
        """Write rows and positions, all or none; works while the log is full."""
        await self._submit((), rows, positions or {})

    async def _submit(self, items: Sequence[Batch | Frame], rows: Sequence[Row], positions: Positions) -> int:
        check_names(rows, positions)
        return await self._commits.submit(Request(asyncio.get_running_loop().create_future(), items, rows, positions))

    async def trim(self, before: int) -> None:
        """Drop the frames that end before that offset, in steps."""
        before = min(before, self.end + 1)
        while self._first < before:
            first = self._first
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            await self._commits.submit(Request(future, trim_before=before))
            if self._first == first:
                return

    def _landed(self, written: Written) -> None:
        """On the loop, after each commit: what was written becomes visible, all at once."""
        for name, value in written.positions.items():
            if value is None:
                self._position_of.pop(name, None)
            else:
                self._position_of[name] = value
        if written.stored or written.end != self._tail.end:
            self._tail.extend(written.stored, end=written.end)
            telemetry.log_end_offset.set(written.end)
            telemetry.log_commit_seconds.observe(written.seconds)
        if written.first != self._first:
            self._first = written.first
            self._tail.drop_before(written.first)
            telemetry.log_first_offset.set(written.first)
            telemetry.log_trimmed_events.inc(written.trimmed)
            self._trimming.moved(written.first)
        self._used = written.used
        telemetry.log_size_bytes.set(written.used)
        if written.refused is not None:
            self._writer.floor = self._trimming.floor(self.end)
            self._note_full(written.refused)
        elif written.stored or written.has_room:
            self._note_full(None)

    def _note_full(self, reason: str | None) -> None:
        if (reason is None) == (self._full is None):
            return
        self._full = reason
        telemetry.log_full.set(reason is not None)
        if reason is None:
            log.info("log takes events again", extra={"log": self.log_id})
        else:
            log.error("log is full", extra={"log": self.log_id, "reason": reason})

    @property
    def holds(self) -> Callable[[], Mapping[str, int]]:
        """Gives, per reader, the lowest offset it still needs. Set it before `maintain` runs."""
        return self._trimming.holds

    @holds.setter
    def holds(self, holds: Callable[[], Mapping[str, int]]) -> None:
        self._trimming.holds = holds

    @property
    def on_gap(self) -> Callable[[str, int, int, int], None]:
        """Called with (reader, first, last, count) when a reader lost these offsets to trimming."""
        return self._trimming.on_gap

    @on_gap.setter
    def on_gap(self, on_gap: Callable[[str, int, int, int], None]) -> None:
        self._trimming.on_gap = on_gap

    async def maintain(self) -> None:
        """Trim, notice when there is room again, clear away readers that died; until cancelled."""
        checked = self._clock.monotonic()
        while True:
            is_stuck = False
            try:
                await self.tidy()
            except LogFull:  # not a page for it: a reader that died may hold those that trimming freed
                is_stuck = True
            if is_stuck or self._clock.monotonic() - checked >= _READER_CHECK:
                checked = self._clock.monotonic()
                await self._in_executor(self._environment.reader_check)
            await self._clock.sleep(_TIDY)

    async def tidy(self) -> None:
        """Drop what is older than `keep` and nobody needs, once; what is younger may go when room is needed."""
        floor = self._writer.floor = self._trimming.floor(self.end)
        if self._keep is not None and self._first < floor:
            expired = await self._in_executor(self._files.stored_since, self._clock.now() - self._keep)
            await self.trim(min(floor, expired))
        if self._full is not None:
            await self._submit((), (), {})

    def health(self) -> str | None:
        """Why events cannot be appended; None when they can."""
        return self._full if self._commits.is_running else "the log's writer has stopped"

    async def read(self, *, after: Position, limit: int) -> Page:
        """Return frames after a position, or wait; see `LogReader.read`."""
        self._check_log(after)
        if after.hash:
            seen = self._tail.hash_at(after.offset)
            if seen is None and self._first <= after.offset:
                await self._in_executor(self._files.check_position, after)
            elif seen is not None and seen != after.hash:
                raise Diverged(f"another record at offset {after.offset}: this log was restored from a snapshot")
        while True:
            if self._is_closed:
                raise Unavailable("the log is closed")
            if after.offset + 1 < self._first:
                raise Trimmed(self._first)
            page = self._tail.page(after.offset, limit)
            if page is not None:
                return page
            if after.offset < self._tail.end:
                return await self._read_files(after.offset, limit)
            await self._tail.grown()

    def _check_log(self, after: Position) -> None:
        if after.log != self.log_id:
            raise Diverged(f"position of {after.log}, this log is {self.log_id}")
        if after.offset > self._tail.end:
            raise Diverged(f"position {after.offset} is beyond the end {self._tail.end}")

    async def _read_files(self, after: int, limit: int) -> Page:
        page, damaged = await self._in_executor(self._files.page, after, limit)
        for first, last, reason in damaged:
            await self._set_aside(first, last, reason)
        return page

    async def _set_aside(self, first: int, last: int, reason: str) -> None:
        """Remember a frame that failed its checks, and say so once."""
        log.error("damaged frame set aside", extra={"first": first, "last": last, "reason": reason})
        telemetry.log_damaged_frames.inc()
        await self.write([Row(DAMAGED, key_of(first), last.to_bytes(8, "big") + reason.encode())])

    async def _in_executor(self, work: Callable[[*_Args], _Result], *args: *_Args) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *args)

    @property
    def end(self) -> int:
        """Offset of the last record; 0 while empty."""
        return self._tail.end

    @property
    def first(self) -> int:
        """Offset of the first record kept; end + 1 while empty."""
        return self._first

    @property
    def size(self) -> int:
        """Bytes of pages in use."""
        return self._used

    @property
    def is_full(self) -> str | None:
        """Why appends are refused; None while they are not."""
        return self._full

    def seek(self, accepted: float) -> int:
        """The offset to read after in order to see everything accepted at that time or later."""
        return self._files.seek(accepted)

    def position(self, name: str) -> bytes | None:
        """The committed position of that name."""
        return self._position_of.get(name)

    def positions(self, prefix: str = "") -> dict[str, bytes]:
        """All committed positions whose name begins so."""
        return {name: value for name, value in self._position_of.items() if name.startswith(prefix)}

    def rows(self, table: str, *, after: bytes = b"", limit: int = 1000) -> list[tuple[bytes, bytes]]:
        """Rows of a table in key order."""
        return self._files.rows(table, after=after, limit=limit)
