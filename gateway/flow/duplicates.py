"""Recent duplicates: which events came in lately, by the hashes of their frames' footers.

A window of one space: at most `at_most` events and no longer than `lasting`
seconds, oldest out first. About 150 MB a million. Kept in shards, because a
dict of a million entries that grows stalls the loop for tens of milliseconds.
"""

from __future__ import annotations

import sys
from array import array
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHARDS = 64
_MASK = _SHARDS - 1
_SHIFT = 4  # 60-bit integers take 32 bytes, 64-bit ones 48


class Arrivals(NamedTuple):
    """Events as the window knows them."""

    hashes: bytes
    """16 bytes an event, as in a frame's footer."""
    who: list[int]
    """Which event it is: an integer of 60 bits, of source and id."""
    what: list[int]
    """What it carries: the same, of its data."""


def split(hashes: bytes) -> Arrivals:
    """The two halves of each 16-byte hash."""
    halves = array("Q", hashes)
    if sys.byteorder == "big":
        halves.byteswap()
    return Arrivals(hashes, [half >> _SHIFT for half in halves[::2]], [half >> _SHIFT for half in halves[1::2]])


class Window:
    """The events of one space that came in lately."""

    def __init__(self, *, lasting: float, at_most: int) -> None:
        self._lasting = lasting
        self._at_most = at_most
        self._shards: list[dict[int, int]] = [{} for _ in range(_SHARDS)]
        self._arrivals: deque[tuple[float, bytes]] = deque()
        self._count = 0

    def __len__(self) -> int:
        """How many arrivals are remembered."""
        return self._count

    def look(self, who: Iterable[int]) -> list[int | None]:
        """What each of these carried when it last came in; None: it did not."""
        shards = self._shards
        return [shards[one & _MASK].get(one) for one in who]

    def add(self, arrivals: Arrivals, now: float) -> None:
        """Remember events that came in now (monotonic seconds)."""
        shards = self._shards
        for who, what in zip(arrivals.who, arrivals.what, strict=True):
            shards[who & _MASK][who] = what
        self._arrivals.append((now, arrivals.hashes))
        self._count += len(arrivals.who)
        self.expire(now)

    def expire(self, now: float) -> None:
        """Forget what is too old or too much by now (monotonic seconds)."""
        while self._arrivals and (self._count > self._at_most or self._arrivals[0][0] < now - self._lasting):
            gone = split(self._arrivals.popleft()[1])
            self._count -= len(gone.who)
            self.remove(gone)

    def remove(self, arrivals: Arrivals) -> None:
        """Forget events again whose commit failed; their arrival is dropped later."""
        for who, what in zip(arrivals.who, arrivals.what, strict=True):
            shard = self._shards[who & _MASK]
            if shard.get(who) == what:
                del shard[who]
