"""Load and what it measures: closed and open loops, and the time from publish to durable at the peer.

Latency is taken from samples: of some batches the last event is looked out for
at the far end. In an open loop it counts from the moment the batch was due, not
from when it got its turn.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable

_SAMPLES_A_SECOND = 400
_STALLED = 30.0
"""Seconds without an event at the far end after which a run is given up."""
_TICK = 0.001


class Pair(Protocol):
    """Two servers with a link between them, as a load sees them."""

    async def publish(self, first: int, count: int, meter: Meter, due: float | None) -> None:
        """Publish these events; return once acknowledged. With `due`, sample the last one from that moment on."""
        ...


@dataclass
class Meter:
    """Counts, and samples on their way."""

    published: int = 0
    acknowledged: int = 0
    durable: int = 0
    """Events that are durable at the far end."""
    last: float = 0.0
    """When the newest of them got there."""
    awaited: dict[Hashable, float] = field(default_factory=dict)
    """Sample → when it was published, monotonic."""
    latencies: list[float] = field(default_factory=list)
    progress: asyncio.Event = field(default_factory=asyncio.Event)

    def arrived(self, count: int, now: float) -> None:
        """More events are durable at the far end."""
        self.durable += count
        self.last = now
        self.progress.set()
        self.progress = asyncio.Event()

    def settle(self, sample: Hashable, now: float) -> None:
        """A sample got there."""
        due = self.awaited.pop(sample, None)
        if due is not None:
            self.latencies.append(now - due)

    async def all_durable(self) -> None:
        """Wait until everything published is durable at the far end."""
        while self.durable < self.published:
            await self._more()

    async def room(self, ahead: int) -> None:
        """Wait until the far end is at most so many events behind."""
        while self.published - self.durable > ahead:
            await self._more()

    async def _more(self) -> None:
        async with asyncio.timeout(_STALLED):
            await self.progress.wait()

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        if not self.latencies:
            return float("nan")
        return sorted(self.latencies)[min(len(self.latencies) - 1, int(share * len(self.latencies)))] * 1000


class Numbers:
    """Hands out the numbers of events, and says which batches are sampled."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._next_sample = 0.0
        self.next = 0

    def take(self, count: int, due: float) -> tuple[int, float | None]:
        """The first number of a batch; and `due` if it is to be sampled."""
        first, self.next = self.next, self.next + count
        self._meter.published += count
        if due < self._next_sample:
            return first, None
        self._next_sample = max(self._next_sample + 1 / _SAMPLES_A_SECOND, due)
        return first, due


async def closed_loop(
    pair: Pair, meter: Meter, numbers: Numbers, *, batch: int, workers: int, ahead: int, seconds: float
) -> None:
    """So many workers publish batch after batch; all of them wait while the far end is too far behind."""
    until = time.monotonic() + seconds

    async def work() -> None:
        while (now := time.monotonic()) < until:
            if meter.published - meter.durable > ahead:
                await meter.room(ahead)
                continue
            first, due = numbers.take(batch, now)
            await pair.publish(first, batch, meter, due)
            meter.acknowledged += batch

    async with asyncio.TaskGroup() as tasks:
        for _ in range(workers):
            tasks.create_task(work())


async def open_loop(pair: Pair, meter: Meter, numbers: Numbers, *, batch: int, rate: float, seconds: float) -> None:
    """Publish at a fixed rate, whatever becomes of it."""
    started = time.monotonic()
    count = int(seconds * rate / batch)

    async def one(first: int, due: float | None) -> None:
        await pair.publish(first, batch, meter, due)
        meter.acknowledged += batch

    async with asyncio.TaskGroup() as tasks:
        number = 0
        while number < count:
            now = time.monotonic()
            while number < count and (due := started + number * batch / rate) <= now:
                tasks.create_task(one(*numbers.take(batch, due)))
                number += 1
            next_due = started + number * batch / rate
            await asyncio.sleep(max(_TICK, next_due - time.monotonic()))
