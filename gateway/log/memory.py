"""MemoryLog: the contract of a log without a disk, for tests."""

from __future__ import annotations

import asyncio
import secrets
from bisect import bisect_right
from typing import TYPE_CHECKING

from gateway.codec.frames import seal
from gateway.core.clock import Clock, SystemClock
from gateway.core.errors import Diverged, Moved, Trimmed
from gateway.core.frame import Batch, Frame
from gateway.core.records import Page, Position, Row, Stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class MemoryLog:
    """A log and a store in memory; durable as long as the process lives."""

    def __init__(self, region: str, node: str = "n1", *, clock: Clock | None = None) -> None:
        self.log_id = f"{region}/{node}@{secrets.token_hex(8)}"
        self.end = 0
        self._clock = clock or SystemClock()
        self._accepted = 0.0
        self._frames: list[Stored] = []
        self._first = 1
        self._positions: dict[str, bytes] = {}
        self._tables: dict[str, dict[bytes, bytes]] = {}
        self._grown = asyncio.Event()

    @property
    def first(self) -> int:
        """Offset of the first record kept; end + 1 while empty."""
        return self._first

    async def append(
        self,
        items: Sequence[Batch | Frame],
        *,
        positions: Mapping[str, tuple[bytes | None, bytes | None]] | None = None,
        rows: Sequence[Row] = (),
    ) -> int:
        """Append all or none; see `EventLog.append`."""
        self._check(positions or {})
        self._accepted = max(self._accepted, self._clock.now())
        for item in items:
            if isinstance(item, Batch):
                frame = seal([item], origin=self.log_id, first=self.end + 1, accepted=self._accepted)
                stored = Stored(self.end + 1, frame, item.events, is_shared=True, decided=item.decided)
            else:
                stored = Stored(self.end + 1, item, is_shared=True)
            self._frames.append(stored)
            self.end = stored.last
        self._put(rows, positions or {})
        self._grown.set()
        self._grown = asyncio.Event()
        return self.end

    async def read(self, *, after: Position, limit: int) -> Page:
        """Return frames after a position, or wait; see `LogReader.read`."""
        while True:
            self._check_position(after)
            if after.offset < self.end:
                return self._page(after.offset, limit)
            await self._grown.wait()

    def _page(self, after: int, limit: int) -> Page:
        at = bisect_right(self._frames, after, key=lambda stored: stored.last)
        taken: list[Stored] = []
        size = 0
        for stored in self._frames[at:]:
            if taken and size + len(stored.frame.data) > limit:
                break
            taken.append(stored)
            size += len(stored.frame.data)
        return Page(tuple(taken), taken[-1].last)

    def _check_position(self, after: Position) -> None:
        if after.log != self.log_id:
            raise Diverged(f"position of {after.log}, this log is {self.log_id}")
        if after.offset > self.end:
            raise Diverged(f"position {after.offset} is beyond the end {self.end}")
        if after.offset + 1 < self._first:
            raise Trimmed(self._first)
        if after.hash and after.offset >= self._first:
            at = bisect_right(self._frames, after.offset - 1, key=lambda stored: stored.last)
            stored = self._frames[at]
            if stored.frame.hash_at(after.offset - stored.first)[:8] != after.hash:
                raise Diverged(f"another record at offset {after.offset}")

    async def trim(self, before: int) -> None:
        """Drop the frames that end before that offset."""
        self._frames = [stored for stored in self._frames if stored.last >= before]
        self._first = self._frames[0].first if self._frames else self.end + 1

    def seek(self, accepted: float) -> int:
        """The offset to read after in order to see everything accepted at that time or later."""
        for stored in self._frames:
            if stored.frame.header.newest >= accepted:
                return stored.first - 1
        return self.end

    async def write(
        self, rows: Sequence[Row], *, positions: Mapping[str, tuple[bytes | None, bytes | None]] | None = None
    ) -> None:
        """Write rows and positions, all or none."""
        self._check(positions or {})
        self._put(rows, positions or {})

    def _check(self, positions: Mapping[str, tuple[bytes | None, bytes | None]]) -> None:
        for name, (expected, _) in positions.items():
            if self._positions.get(name) != expected:
                raise Moved(f"position {name!r} is not what was expected")

    def _put(self, rows: Sequence[Row], positions: Mapping[str, tuple[bytes | None, bytes | None]]) -> None:
        for name, (_, new) in positions.items():
            if new is None:
                self._positions.pop(name, None)
            else:
                self._positions[name] = new
        for row in rows:
            table = self._tables.setdefault(row.table, {})
            if row.value is None:
                table.pop(row.key, None)
            else:
                table[row.key] = row.value

    def position(self, name: str) -> bytes | None:
        """The committed position of that name."""
        return self._positions.get(name)

    def positions(self, prefix: str = "") -> dict[str, bytes]:
        """All committed positions whose name begins so."""
        return {name: value for name, value in self._positions.items() if name.startswith(prefix)}

    def rows(self, table: str, *, after: bytes = b"", limit: int = 1000) -> list[tuple[bytes, bytes]]:
        """Rows of a table in key order."""
        return sorted((key, value) for key, value in self._tables.get(table, {}).items() if key > after)[:limit]
