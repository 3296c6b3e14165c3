"""Recent duplicates: which events came in lately, by the hashes of their frames' footers.

A window of one space: at most `at_most` events and no longer than `lasting`
seconds, oldest out first. About 120 MB a million. Kept in shards, because a
dict of a million entries that grows stalls the loop for tens of milliseconds.
"""

from __future__ import annotations

import sys
from array import array
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SHARDS = 64
_SHIFT = 4  # 60-bit integers take 32 bytes, 64-bit ones 48


def split(hashes: bytes) -> Iterator[tuple[int, int]]:
    """(who, what) of each 16-byte hash: two integers of 60 bits."""
    halves = array("Q", hashes)
    if sys.byteorder == "big":
        halves.byteswap()
    return ((halves[at] >> _SHIFT, halves[at + 1] >> _SHIFT) for at in range(0, len(halves), 2))


class Window:
    """The events of one space that came in lately."""

    def __init__(self, *, lasting: float, at_most: int) -> None:
        self._lasting = lasting
        self._at_most = at_most
        self._shards: list[dict[int, int]] = [{} for _ in range(_SHARDS)]
        self._arrivals: deque[tuple[float, list[tuple[int, int]]]] = deque()
        self._count = 0

    def __len__(self) -> int:
        """How many arrivals are remembered."""
        return self._count

    def what(self, who: int) -> int | None:
        """What the event of that source and id carried when it last came in; None: it did not."""
        return self._shards[who % _SHARDS].get(who)

    def add(self, arrivals: list[tuple[int, int]], now: float) -> None:
        """Remember events that came in now (monotonic seconds); forget what is too old or too much."""
        shards = self._shards
        for who, what in arrivals:
            shards[who % _SHARDS][who] = what
        self._arrivals.append((now, arrivals))
        self._count += len(arrivals)
        while self._arrivals and (self._count > self._at_most or self._arrivals[0][0] < now - self._lasting):
            self._forget(self._arrivals.popleft()[1])

    def remove(self, arrivals: Sequence[tuple[int, int]]) -> None:
        """Forget events again whose commit failed; their arrival is dropped later."""
        for who, what in arrivals:
            shard = self._shards[who % _SHARDS]
            if shard.get(who) == what:
                del shard[who]

    def _forget(self, arrivals: list[tuple[int, int]]) -> None:
        self._count -= len(arrivals)
        self.remove(arrivals)
