"""Window: how many bytes may be on the way to one reader, and how large a page is.

    allowed = min(what the reader takes, one second of the measured rate + a page)
    page    = one second of the measured rate, 16 KB … 512 KB

The rate is what acknowledgements say it is: bytes made durable between the
sending of a page and its acknowledgement. A fast reader far away doubles its
allowance every round trip until its own window is the bound; over a thin line
a page never occupies the line for much longer than a second, so heartbeats pass.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gateway.core.clock import Clock

SMALLEST_PAGE = 16 * 1024
LARGEST_PAGE = 512 * 1024
LARGEST_WINDOW = 32 * 1024 * 1024
"""No reader gets more bytes ahead than this, whatever it asks for: the bound on what a slow one costs."""
_FIRST_RATE = 16 * 1024.0
"""Bytes a second assumed of a line nobody has measured: five seconds' worth for one of 50 kbit/s."""


class _OnTheWay(NamedTuple):
    upto: int
    sent: int
    """Bytes sent in all, this page included."""
    acknowledged: int
    """Bytes acknowledged in all when this page was sent."""
    at: float
    held_back: bool
    """It waited for room: the rate was the reader's, not that of the events coming in."""


class Window:
    """Counts bytes between sending and acknowledgement."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._clock = clock
        self._limit = 0
        self._rate = _FIRST_RATE
        self._sent = self._acknowledged = 0
        self._on_the_way: deque[_OnTheWay] = deque()
        self._changed = asyncio.Event()
        self._held_back = False
        self.resize(limit)

    @property
    def in_flight(self) -> int:
        """Bytes sent and not yet acknowledged."""
        return self._sent - self._acknowledged

    @property
    def page(self) -> int:
        """Bytes the next page should have."""
        return int(min(LARGEST_PAGE, self._limit, max(SMALLEST_PAGE, self._rate)))

    @property
    def allowed(self) -> int:
        """Bytes that may be in flight."""
        return int(min(self._limit, self._rate + self.page))

    def resize(self, limit: int) -> None:
        """Take the reader's own bound."""
        self._limit = max(SMALLEST_PAGE, min(limit, LARGEST_WINDOW))
        self._changed.set()

    async def room(self) -> None:
        """Wait until another page fits; ends by acknowledgements or cancellation. One page always fits."""
        self._held_back = False
        while self.in_flight and self.in_flight + self.page > self.allowed:
            self._held_back = True
            self._changed.clear()
            await self._changed.wait()

    def sent(self, upto: int, size: int) -> None:
        """Note a page that was sent."""
        self._sent += size
        self._on_the_way.append(
            _OnTheWay(upto, self._sent, self._acknowledged, self._clock.monotonic(), self._held_back)
        )

    def acknowledge(self, upto: int) -> None:
        """Note that everything up to this offset is durable at the reader."""
        last: _OnTheWay | None = None
        while self._on_the_way and self._on_the_way[0].upto <= upto:
            last = self._on_the_way.popleft()
        if last is None:
            return
        self._acknowledged = last.sent
        self._measure(last)
        self._changed.set()

    def _measure(self, page: _OnTheWay) -> None:
        elapsed = max(self._clock.monotonic() - page.at, 0.0001)
        rate = (self._acknowledged - page.acknowledged) / elapsed
        if rate >= self._rate:
            self._rate = rate
        elif page.held_back:
            self._rate += (rate - self._rate) / 4
