"""Bell: wakes everybody who waits for it; a waiter may also be woken by time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.core.clock import Clock


class Bell:
    """Check a condition, wait, check again: rings are not remembered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiters: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Wake everybody who waits now."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait for the next ring, at most that many seconds; None: until it rings."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            if seconds is None:
                await waiter
                return
            async with asyncio.TaskGroup() as tasks:
                timer = tasks.create_task(self._time(seconds, waiter))
                await waiter
                timer.cancel()
        finally:
            self._waiters.discard(waiter)

    async def _time(self, seconds: float, waiter: asyncio.Future[None]) -> None:
        await self._clock.sleep(seconds)
        if not waiter.done():
            waiter.set_result(None)
