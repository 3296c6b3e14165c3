"""Reading the files: pages, hashes, rows and places in time, from any process.

No read transaction lives across an await: what is returned was copied out.
Frames that fail their checks are never handed out and never skipped in
silence: a page names them in `gaps`.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import lmdb

from gateway.codec.frames import parse
from gateway.core.errors import ConfigError, Damaged, Diverged, Trimmed, Unavailable
from gateway.core.records import Page, Position, Stored
from gateway.log.layout import (
    DAMAGED,
    FORMAT,
    FRAMES,
    HEAD_SIZE,
    META,
    POSITIONS,
    ROWS,
    Head,
    key_of,
    link_of,
    offset_of,
    read_head,
    read_tail,
    row_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


class Files:
    """The data file as readers see it; every call is one short transaction."""

    def __init__(self, environment: lmdb.Environment, *, turn: AbstractContextManager[object] | None = None) -> None:
        self._environment = environment
        self._turn = turn if turn is not None else nullcontext()
        """Taken by each call where the map may be replaced, since the writer is another process."""
        self._frames, self._positions, self._rows, self._meta = (
            environment.open_db(name, create=False) for name in (FRAMES, POSITIONS, ROWS, META)
        )

    def meta(self, name: bytes) -> bytes | None:
        """A value beside the log: format, region, node, epoch."""
        with self._begin() as txn:
            value = txn.get(name, db=self._meta)
            return None if value is None else bytes(value)

    def bounds(self) -> tuple[int, int]:
        """The first offset kept (end + 1 while empty) and the end."""
        with self._begin() as txn:
            end = read_tail(txn.get(b"tail", db=self._meta)).end
            cursor = txn.cursor(self._frames)
            return (offset_of(cursor.key()) if cursor.first() else end + 1), end

    def has_its_last_frame(self) -> bool:
        """Whether the frame that was appended last is there and is that one: a glance, not a check."""
        with self._begin() as txn:
            tail = read_tail(txn.get(b"tail", db=self._meta))
            cursor = txn.cursor(self._frames)
            if not cursor.last():
                return not tail.last
            return (tail.last, tail.link) == (offset_of(cursor.key()), link_of(cursor.value()))

    def page(self, after: int, limit: int) -> tuple[Page, list[tuple[int, int, str]]]:
        """Frames after an offset that is not at the end; and the frames among them that are newly found damaged.

        :raises Trimmed: the log begins later.
        """
        found: list[tuple[int, int, str]] = []
        frames: list[Stored] = []
        gaps: list[tuple[int, int]] = []
        size, upto = 0, after
        with self._begin() as txn:
            end = read_tail(txn.get(b"tail", db=self._meta)).end
            cursor = txn.cursor(self._frames)
            first = offset_of(cursor.key()) if cursor.first() else end + 1
            if after + 1 < first:
                raise Trimmed(first)
            more = _seek(cursor, after + 1)
            while more and (not frames or size < limit) and size < 4 * limit:
                key, value = bytes(cursor.key()), cursor.value()
                if frames and size + len(value) > limit:
                    break
                size += len(value)
                more = cursor.next()
                last = (offset_of(cursor.key()) if more else end + 1) - 1
                try:
                    stored = _stored(offset_of(key), last, value)
                except Damaged as problem:
                    lost_from, reason = offset_of(key), str(problem)
                else:
                    frames.append(stored)
                    lost_from, reason = stored.last + 1, "a frame is missing"
                if lost_from <= last:
                    gaps.append((lost_from, last))
                    if txn.get(row_key(DAMAGED, key_of(lost_from)), db=self._rows) is None:
                        found.append((lost_from, last, reason))
                upto = last
        return Page(tuple(frames), upto, tuple(gaps)), found

    def check_position(self, after: Position) -> None:
        """Compare the record at a position with what its reader saw there.

        :raises Diverged: it is another one.
        """
        if not after.hash or not after.offset:
            return
        with self._begin() as txn:
            cursor = txn.cursor(self._frames)
            if not _seek(cursor, after.offset):
                return
            first = offset_of(cursor.key())
            if first > after.offset:
                return
            try:
                frame = parse(bytes(cursor.value()[HEAD_SIZE:]))
            except Damaged:
                return
            if frame.hash_at(after.offset - first)[:8] != after.hash:
                raise Diverged(f"another record at offset {after.offset}: this log was restored from a snapshot")

    def log_id(self) -> str:
        """`region/node@epoch`, as kept in the files.

        :raises ConfigError: the files are of a newer format.
        """
        if int(self.meta(b"format") or b"0") > FORMAT:
            raise ConfigError(f"the log is of a newer format, this build reads {FORMAT}: use a newer isthmus")
        region, node, epoch = ((self.meta(name) or b"").decode() for name in (b"region", b"node", b"epoch"))
        return f"{region}/{node}@{epoch}"

    def seek(self, accepted: float) -> int:
        """The offset to read after in order to see everything accepted at that time or later."""
        return self._search(lambda head: head.high >= accepted) - 1

    def stored_since(self, moment: float) -> int:
        """The first offset of a frame that was appended at that moment or later; end + 1 when none was."""
        return self._search(lambda head: head.stored >= moment)

    def _search(self, is_wanted: Callable[[Head], bool]) -> int:
        """The first offset of the first frame that is wanted, where all after a wanted one are; else end + 1."""
        with self._begin() as txn:
            end = read_tail(txn.get(b"tail", db=self._meta)).end
            cursor = txn.cursor(self._frames)
            low = offset_of(cursor.key()) if cursor.first() else end + 1
            high = end + 1
            while low < high:
                middle = (low + high) // 2
                _seek(cursor, middle)
                first = offset_of(cursor.key())
                if is_wanted(read_head(cursor.value())):
                    high = first
                else:
                    low = offset_of(cursor.key()) if cursor.next() else end + 1
            return low

    def position(self, name: str) -> bytes | None:
        """The committed position of that name."""
        with self._begin() as txn:
            value = txn.get(name.encode(), db=self._positions)
            return None if value is None else bytes(value)

    def positions(self, prefix: str = "") -> dict[str, bytes]:
        """All committed positions whose name begins so."""
        with self._begin() as txn:
            return {
                bytes(key).decode(): bytes(value) for key, value in _from(txn.cursor(self._positions), prefix.encode())
            }

    def rows(self, table: str, *, after: bytes = b"", limit: int = 1000) -> list[tuple[bytes, bytes]]:
        """Up to `limit` rows of a table with keys greater than `after`, in key order."""
        prefix = row_key(table, b"")
        found: list[tuple[bytes, bytes]] = []
        with self._begin() as txn:
            for key, value in _from(txn.cursor(self._rows), prefix, start=prefix + after):
                if key == prefix + after:
                    continue
                if len(found) == limit:
                    break
                found.append((bytes(key[len(prefix) :]), bytes(value)))
        return found

    @contextmanager
    def _begin(self) -> Iterator[lmdb.Transaction[memoryview]]:
        with self._turn:
            try:
                try:
                    txn = self._environment.begin(buffers=True)
                except lmdb.MapResizedError:
                    self._environment.set_mapsize(0)
                    txn = self._environment.begin(buffers=True)
                with txn:
                    yield txn
            except (lmdb.CorruptedError, lmdb.PageNotFoundError) as problem:
                raise Damaged(f"the log's tree is damaged: {problem}") from problem
            except lmdb.Error as problem:
                raise Unavailable(f"the log could not be read: {problem}") from problem


def _seek(cursor: lmdb.Cursor[memoryview], offset: int) -> bool:
    """Go to the frame that holds an offset, or to the first one after it; whether there is one."""
    if cursor.set_range(key_of(offset)):
        return offset_of(cursor.key()) == offset or cursor.prev() or cursor.first()
    return cursor.last()


def _stored(first: int, last: int, value: memoryview) -> Stored:
    head = read_head(value)
    frame = parse(bytes(value[HEAD_SIZE:]))
    if frame.count != head.events or first + frame.count - 1 > last:
        raise Damaged(f"frame of {frame.count} events stands for {last - first + 1}")
    return Stored(first, frame)


def _from(
    cursor: lmdb.Cursor[memoryview], prefix: bytes, *, start: bytes = b""
) -> Iterator[tuple[memoryview, memoryview]]:
    if not cursor.set_range(start or prefix or b"\0"):
        return
    for key, value in cursor.iternext(keys=True, values=True):
        if bytes(key[: len(prefix)]) != prefix:
            return
        yield key, value
