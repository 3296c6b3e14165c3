"""Cursor: a position in one log, and what is settled behind it, while deliveries finish out of order.

    offsets   1 2 3 4 5 6 7 8 9
    settled   x x . x x . x x        position 2, open {3, 6}, taken 8

What is saved is the position and the open and settled runs after it, so that
a restart repeats only what was open. Law: the position never passes an open offset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

VERSION = 1


class Failing(msgspec.Struct, frozen=True, array_like=True):
    """What is known of an open offset whose delivery failed: survives a restart."""

    offset: int
    attempts: int
    failed_for: float
    """Seconds since the first failure, while the destination was up."""
    first_at: float
    """Wall clock of the first failed attempt; a label, nothing is measured with it."""


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    version: int
    log: str
    position: int
    hash: bytes
    runs: tuple[int, ...]
    """Lengths of runs after `position`, by turns open and settled."""
    failing: tuple[Failing, ...]


_encode = msgspec.msgpack.Encoder().encode
_saved = msgspec.msgpack.Decoder(_Saved)


class Cursor:
    """Taken in ascending order, settled in any."""

    def __init__(self, position: int = 0, *, log: str = "", hash: bytes = b"") -> None:  # noqa: A002
        self.log = log
        self.hash = hash
        """Of the record at the position this cursor was loaded with; empty: not checked."""
        self.failing: dict[int, Failing] = {}
        """What the loaded cursor knew of its open offsets."""
        self.taken = position
        """Everything up to here was looked at."""
        self.restored = position
        """Up to here a loaded cursor knows what is open: the rest is settled already."""
        self._open: dict[int, int] = {}

    @property
    def position(self) -> int:
        """Every offset up to here is settled."""
        return next(iter(self._open), self.taken + 1) - 1

    @property
    def open(self) -> int:
        """How many offsets are taken and not settled."""
        return len(self._open)

    def wants(self, offset: int) -> bool:
        """Whether this offset was not settled before the restart."""
        return offset > self.restored or offset in self._open

    def take(self, offset: int, parts: int = 1) -> None:
        """Open an offset that became `parts` deliveries; it is settled when each of them is."""
        self._open[offset] = parts
        self.taken = max(self.taken, offset)

    def look(self, upto: int) -> None:
        """Everything up to here was looked at; what was not taken is settled."""
        self.taken = max(self.taken, upto)

    def settle(self, offset: int) -> None:
        """One delivery of this offset is done with: delivered, buried, filtered out or kept elsewhere."""
        parts = self._open.get(offset, 0)
        if parts > 1:
            self._open[offset] = parts - 1
        elif parts:
            del self._open[offset]

    def settle_all(self, offsets: Iterable[int]) -> None:
        """The same for many, each with one delivery less."""
        opened = self._open
        for offset in offsets:
            parts = opened.get(offset, 0)
            if parts == 1:
                del opened[offset]
            elif parts:
                opened[offset] = parts - 1

    def lose(self, after: int, upto: int) -> int:
        """The log no longer has the offsets after `after` up to `upto`: settle them; return how many were lost."""
        gone = [offset for offset in self._open if after < offset <= upto]
        for offset in gone:
            del self._open[offset]
        unread = max(0, upto - max(after, self.taken))
        self.look(upto)
        return len(gone) + unread

    def dump(self, *, hash: bytes = b"", failing: Sequence[Failing] = ()) -> bytes:  # noqa: A002
        """Serialize; `hash` is of the record at `position`."""
        position = self.position
        runs: list[int] = []
        at = position + 1
        start = at
        for offset in self._open:
            if offset != at:
                runs += (at - start, offset - at)
                start = offset
            at = offset + 1
        if at != start:
            runs.append(at - start)
        if runs and self.taken >= at:
            runs.append(self.taken - at + 1)
        return _encode(_Saved(VERSION, self.log, position, hash, tuple(runs), tuple(failing)))

    @classmethod
    def load(cls, data: bytes) -> Cursor:
        """Restore what `dump` gave; the open offsets are to be taken again."""
        saved = _saved.decode(data)
        cursor = cls(saved.position, log=saved.log, hash=saved.hash)
        at = saved.position + 1
        for index, length in enumerate(saved.runs):
            if index % 2 == 0:
                cursor._open.update(dict.fromkeys(range(at, at + length), 1))
            at += length
        cursor.taken = cursor.restored = at - 1
        cursor.failing = {each.offset: each for each in saved.failing}
        return cursor
