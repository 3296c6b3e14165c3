"""Writer: one group of requests inside one transaction, synchronously.

Positions as expected? ─▶ room? ─▶ seal, chain, put ─▶ rows, positions ─▶ commit (fsync).
A position that moved or a lack of room fails only that request; a commit fails its group.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import lmdb

from gateway.codec.frames import seal
from gateway.core.errors import Damaged, LogFull, Moved, Unavailable
from gateway.core.frame import Batch, Frame
from gateway.core.records import Row, Stored
from gateway.log.ahead import cut, made_for
from gateway.log.layout import (
    FRAMES,
    MAX_KEY,
    MAX_NAME,
    MAX_TABLE,
    META,
    POSITIONS,
    ROWS,
    key_of,
    offset_of,
    read_tail,
    row_key,
)
from gateway.log.room import AT_MOST, DISK, Room

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future as ConcurrentFuture

    from gateway.codec.frames import Content
    from gateway.core.clock import Clock
    from gateway.core.event import Event
    from gateway.core.frame import Decided

TRIM_STEP: Final = 16 * 1024 * 1024
"""Bytes one transaction drops at most when it only trims, so that appends need not wait long."""
_DROP_STEP: Final = 64 * 1024 * 1024
"""Bytes one transaction drops at most to make room."""
_AFTER_FULL: Final = 1.0
_BOUNDED: Final = ("dead", "waiting", "again")
"""Tables that grow by themselves while a destination takes nothing: none of their rows is added …"""
_SHARE: Final = 4
"""… while all rows take more than this part of `at_most`."""
_TOO_MANY: Final = "dead letters and waiting events take more than a quarter of at_most; resend or drop some"
_OVERHEAD: Final = 8 * 1024
"""Bytes of pages a request may cost beside its content."""


@dataclass(slots=True, eq=False)
class Request:
    """What one caller wants written, and the future that tells it."""

    future: Future[int]
    items: Sequence[Batch | Frame] = ()
    rows: Sequence[Row] = ()
    positions: Mapping[str, tuple[bytes | None, bytes | None]] = field(default_factory=dict)
    trim_before: int = 0
    """Drop frames that end before this offset; 0: none."""
    made: list[tuple[list[Batch], ConcurrentFuture[Content]]] = field(default_factory=list)
    """Contents of full frames that begin in this request, made ahead of the commit: see `gateway/log/ahead.py`."""
    size: int = field(init=False)
    """Bytes it may take, at most: events are counted before compression."""

    def __post_init__(self) -> None:
        self.size = _OVERHEAD + sum(
            len(item.body) + 64 * item.count if isinstance(item, Batch) else len(item.data) for item in self.items
        )


@dataclass(slots=True)
class Written:
    """What came of one group."""

    outcomes: list[tuple[Request, int | Exception]] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    positions: dict[str, bytes | None] = field(default_factory=dict)
    end: int = 0
    first: int = 1
    trimmed: int = 0
    """Events dropped."""
    used: int = 0
    """Bytes of pages in use."""
    refused: str | None = None
    """Why an append was refused for lack of room."""
    has_room: bool = False
    """Whether an append would find room now."""
    seconds: float = 0.0


class Writer:
    """Writes groups. Used by the I/O thread alone, except for `floor`."""

    def __init__(
        self, environment: lmdb.Environment, room: Room, *, log_id: str, clock: Clock, drop_oldest: bool
    ) -> None:
        self._environment = environment
        self._room = room
        self._log_id = log_id
        self._clock = clock
        self._drop_oldest = drop_oldest
        self._frames, self._positions, self._rows, self._meta = (
            environment.open_db(name) for name in (FRAMES, POSITIONS, ROWS, META)
        )
        self._page = environment.stat()["psize"]
        self.floor = 0
        """The lowest offset that somebody still needs: what ends before may be dropped to make room."""

    def write(self, group: Sequence[Request]) -> Written:
        """Write what can be written of a group; afterwards each request has its outcome."""
        try:
            return self._attempt(group)
        except lmdb.MapFullError:
            return self._without_room(group)
        except (lmdb.Error, OSError, Damaged) as problem:
            return self._failed(group, Unavailable(f"the log could not be written: {problem}"))

    def _without_room(self, group: Sequence[Request]) -> Written:
        """Refuse the appends of a group, write the rest, and drop something so that the next ones fit."""
        small = [request for request in group if not request.items]
        try:
            written = self._attempt(small, spare=2 * sum(request.size for request in group))
        except (lmdb.Error, OSError, Damaged) as problem:
            return self._failed(group, LogFull(f"no free page is left: {problem}", after=_AFTER_FULL))
        full = LogFull(AT_MOST, after=_AFTER_FULL)
        written.outcomes += [(request, full) for request in group if request.items]
        written.refused = AT_MOST
        return written

    def _failed(self, group: Sequence[Request], problem: Exception) -> Written:
        """Nothing of the group was written; the state is read again from disk."""
        written = self.state()
        written.outcomes = [(request, problem) for request in group]
        if isinstance(problem, LogFull):
            written.refused = str(problem)
        return written

    def state(self) -> Written:
        """What is committed now: where the log begins and ends, bytes in use, all positions."""
        with self._environment.begin() as txn:
            end = read_tail(txn.get(b"tail", db=self._meta)).end
            cursor = txn.cursor(self._frames)
            first = offset_of(cursor.key()) if cursor.first() else end + 1
            positions: dict[str, bytes | None] = {
                name.decode(): bytes(value) for name, value in txn.cursor(self._positions)
            }
            return Written(end=end, first=first, used=self._used(txn), positions=positions)

    def _attempt(self, group: Sequence[Request], *, spare: int = 0) -> Written:
        """One transaction; `spare`: bytes to drop beside, as far as they may be, since no run of pages was free."""
        started = self._clock.monotonic()
        written = Written()
        with self._environment.begin(write=True, buffers=True) as txn:
            going = self._admit(txn, group, written)
            self._append(txn, going, written)
            for request in going:
                for row in request.rows:
                    self._put(txn, self._rows, row_key(row.table, row.key), row.value)
                if request.trim_before:
                    written.trimmed += self._drop(txn, before=request.trim_before, at_most=TRIM_STEP)
            if spare:
                written.trimmed += self._drop(txn, before=self._droppable(txn), at_most=min(spare, _DROP_STEP))
            for name, value in written.positions.items():
                self._put(txn, self._positions, name.encode(), value)
            cursor = txn.cursor(self._frames)
            written.first = offset_of(cursor.key()) if cursor.first() else written.end + 1
            written.used = self._used(txn)
        written.seconds = self._clock.monotonic() - started
        return written

    @staticmethod
    def _put(txn: lmdb.Transaction[memoryview], table: lmdb._Database, key: bytes, value: bytes | None) -> None:
        if value is None:
            txn.delete(key, db=table)
        else:
            txn.put(key, value, db=table)

    def _admit(self, txn: lmdb.Transaction[memoryview], group: Sequence[Request], written: Written) -> list[Request]:
        """Those of a group that are as expected and have room; the others get their outcome."""
        going = []
        used, end = self._used(txn), (self._environment.info()["last_pgno"] + 1) * self._page
        need = 0
        for request in group:
            moved = self._moved(txn, request, written.positions)
            if moved is not None:
                written.outcomes.append((request, Moved(f"position {moved!r} is not what was expected")))
                continue
            if self._adds_too_many(txn, request):
                written.outcomes.append((request, LogFull(_TOO_MANY, after=_AFTER_FULL)))
                continue
            if request.items:
                reason = self._room.refuses(need + request.size, used=used, end=end)
                if reason is not None and self._make_room(txn, reason, need + request.size, written):
                    used = self._used(txn)
                    reason = self._room.refuses(need + request.size, used=used, end=end)
                if reason is not None:
                    written.refused = reason
                    written.outcomes.append((request, LogFull(reason, after=_AFTER_FULL)))
                    continue
                need += request.size
            written.positions.update((name, new) for name, (_, new) in request.positions.items())
            going.append(request)
        if not need:
            written.has_room = self._room.refuses(self._room.reserve // 8, used=used, end=end) is None
        return going

    def _moved(
        self, txn: lmdb.Transaction[memoryview], request: Request, changed: Mapping[str, bytes | None]
    ) -> str | None:
        for name, (expected, _) in request.positions.items():
            now = changed[name] if name in changed else txn.get(name.encode(), db=self._positions)
            if now != expected:
                return name
        return None

    def _adds_too_many(self, txn: lmdb.Transaction[memoryview], request: Request) -> bool:
        """Whether it adds rows of the bounded tables, more than it deletes, and there is no room for them."""
        if not any(row.value is not None and row.table in _BOUNDED for row in request.rows):
            return False
        if self._bytes_of(txn, self._rows) <= self._room.at_most // _SHARE:
            return False
        added = 0
        for row in request.rows:
            if row.table in _BOUNDED:
                there = txn.get(row_key(row.table, row.key), db=self._rows) is not None
                added += (row.value is not None) - there
        return added > 0

    def _make_room(self, txn: lmdb.Transaction[memoryview], reason: str, need: int, written: Written) -> bool:
        """Drop what may be dropped, a little more than needed; whether anything was."""
        used = self._used(txn)
        ahead = min(self._room.at_most // 64, TRIM_STEP)
        excess = used + need - self._room.at_most + ahead if reason is not DISK else 2 * need
        if excess <= 0:
            return False
        if reason is not DISK and used - self._bytes_of(txn, self._frames) + need > self._room.at_most:
            return False  # what fills it are not events
        dropped = self._drop(txn, before=self._droppable(txn), at_most=min(excess, _DROP_STEP))
        written.trimmed += dropped
        return dropped > 0

    def _droppable(self, txn: lmdb.Transaction[memoryview]) -> int:
        """What ends before this offset may go to make room."""
        return read_tail(txn.get(b"tail", db=self._meta)).end + 1 if self._drop_oldest else self.floor

    def _drop(self, txn: lmdb.Transaction[memoryview], *, before: int, at_most: int) -> int:
        """Drop frames from the oldest on that end before an offset, until `at_most` bytes are free; how many events.

        :raises Damaged: the tree is not in order.
        """
        tail = read_tail(txn.get(b"tail", db=self._meta))
        target = self._used(txn) - at_most
        events = expected = 0
        cursor = txn.cursor(self._frames)
        while cursor.first():
            first = offset_of(cursor.key())
            is_last = not cursor.next()
            following = tail.end + 1 if is_last else offset_of(cursor.key())
            if not expected <= first < following:
                raise Damaged(f"frame {first} stands before {following}: the tree is damaged")
            if following > before or self._used(txn) <= target:
                break
            if not txn.delete(key_of(first), db=self._frames):
                raise Damaged(f"frame {first} cannot be found: the tree is damaged")
            events += following - first
            expected = following
            if is_last:
                txn.put(b"tail", tail._replace(last=0, link=0).pack(), db=self._meta)
        return events

    def _append(self, txn: lmdb.Transaction[memoryview], going: Sequence[Request], written: Written) -> None:
        tail = read_tail(txn.get(b"tail", db=self._meta))
        now = self._clock.now()
        tail = tail._replace(accepted=max(tail.accepted, now))
        began = tail.end
        content_of = made_for(going)
        for item in cut(going):
            if isinstance(item, Frame):
                frame, events, decided = item, None, None
            else:
                first, content = tail.end + 1, content_of(item)
                frame = seal(item, origin=self._log_id, first=first, accepted=tail.accepted, content=content)
                events, decided = _events_of(item), _decided_of(item)
            key, value, tail = tail.followed_by(frame, stored=tail.accepted)
            txn.put(key, value, append=True, db=self._frames)
            written.stored.append(Stored(tail.last, frame, events, decided=decided))
        if tail.end > began:
            txn.put(b"tail", tail.pack(), db=self._meta)
        written.end = tail.end
        at = began
        for request in going:
            at += sum(item.count for item in request.items)
            written.outcomes.append((request, at))

    def _used(self, txn: lmdb.Transaction[memoryview] | lmdb.Transaction[bytes]) -> int:
        """Bytes of all pages that hold something."""
        return sum(self._bytes_of(txn, table) for table in (self._frames, self._rows, self._positions))

    def _bytes_of(self, txn: lmdb.Transaction[memoryview] | lmdb.Transaction[bytes], table: lmdb._Database) -> int:
        stat = txn.stat(table)
        pages: int = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return pages * self._page


def _events_of(batches: Sequence[Batch]) -> list[Event] | None:
    """The events of batches that become one frame; None unless all have them."""
    events: list[Event] = []
    for batch in batches:
        if batch.events is None:
            return None
        events += batch.events
    return events


def _decided_of(batches: Sequence[Batch]) -> Decided | None:
    """Who wants which events of batches that become one frame; None unless it is known of all of them."""
    decided: dict[str, list[tuple[int, Event]]] = {}
    before = 0
    for batch in batches:
        if batch.decided is None:
            return None
        for name, chosen in batch.decided.items():
            decided.setdefault(name, []).extend([(before + index, event) for index, event in chosen])
        before += batch.count
    return decided


def check_names(rows: Sequence[Row], positions: Mapping[str, object]) -> None:
    """Refuse at the caller what would fail a whole group."""
    for row in rows:
        if not 1 <= len(row.key) <= MAX_KEY or not 1 <= len(row.table.encode()) <= MAX_TABLE or "\0" in row.table:
            raise ValueError(f"a row's key has 1 to {MAX_KEY} bytes, its table's name 1 to {MAX_TABLE}: {row.table!r}")
    for name in positions:
        if not 1 <= len(name.encode()) <= MAX_NAME:
            raise ValueError(f"a position's name has 1 to {MAX_NAME} bytes: {name!r}")
