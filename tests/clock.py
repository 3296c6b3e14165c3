"""FakeClock: time that passes when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TURNS = 30
"""Turns of the event loop after which everything that could go on has gone on."""


class FakeClock:
    """A clock that stands still; `advance` moves it and wakes who slept so long."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._monotonic = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    def now(self) -> float:
        """The wall clock."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self._monotonic

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back; durations do not see it."""
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced so far."""
        sleeper = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._count), sleeper))
        await sleeper

    async def advance(self, seconds: float) -> None:
        """Let time pass: sleepers wake in order, each at its own moment."""
        end = self._monotonic + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._move(self._sleepers[0][0])
            while self._sleepers and self._sleepers[0][0] <= self._monotonic:
                sleeper = heapq.heappop(self._sleepers)[2]
                if not sleeper.done():
                    sleeper.set_result(None)
            await settle()
        self._move(end)

    def _move(self, to: float) -> None:
        step = max(0.0, to - self._monotonic)
        self._monotonic += step
        self._now += step

    async def advance_until(self, condition: Callable[[], bool], *, at_most: float = 3600.0) -> None:
        """Let time pass, from one sleeper to the next, until something is true; fails when it is not in time."""
        end = self._monotonic + at_most
        await settle()
        while not condition():
            assert self._sleepers, "never becomes true: nobody waits for time"
            assert self._sleepers[0][0] <= end, "did not become true in time"
            await self.advance(max(0.0, self._sleepers[0][0] - self._monotonic))


async def settle() -> None:
    """Let everything go on that can without time."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
