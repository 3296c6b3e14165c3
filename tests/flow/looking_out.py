"""What the tests of the lookout arrange with: a log that counts its reads, filters by subject."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING

from gateway.core import telemetry
from gateway.core.errors import Unavailable
from gateway.flow.choosing import Choosing
from gateway.flow.lookout import PAGE
from gateway.log.memory import MemoryLog
from gateway.rules.dialects import compile_filter
from gateway.rules.lens import Lens
from tests.clock import settle
from tests.flow.delivering import REGION, Scene, make

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.core.event import Event
    from gateway.core.records import Page, Position
    from gateway.flow.delivery import Delivery
    from gateway.flow.subscription import Wanted

HERE = frozenset({REGION})


def large(number: int, key: str) -> Event:
    """An event that is a page by itself."""
    return make(number, key, data=Random(number).randbytes(PAGE))


class CountedLog(MemoryLog):
    """Counts its reads, and fails those of one task when told to."""

    reads = 0
    fails_for: asyncio.Task[None] | None = None

    async def read(self, *, after: Position, limit: int) -> Page:
        """As MemoryLog."""
        self.reads += 1
        if self.fails_for is not None and self.fails_for is asyncio.current_task():
            raise Unavailable("no")
        return await super().read(after=after, limit=limit)


def scene() -> tuple[Scene, CountedLog]:
    made = Scene()
    made.log = log = CountedLog(REGION, clock=made.clock)
    return made, log


def wanted(**subjects: str) -> dict[str, Wanted]:
    """Filters by subject, by the name of the subscription."""
    lens = Lens()
    rules = {name: compile_filter({"exact": {"subject": subject}}, lens=lens) for name, subject in subjects.items()}
    choosing = Choosing(rules, dict.fromkeys(rules, HERE), lens)
    return {name: ask for name in subjects if (ask := choosing.of(name)) is not None}


def filtered(name: str) -> float:
    return float(telemetry.filtered_events.labels(name)._value.get())


@asynccontextmanager
async def without_lookout(delivery: Delivery) -> AsyncIterator[None]:
    running = asyncio.create_task(delivery.run())
    await settle()
    yield
    running.cancel()
    await asyncio.wait([running])
