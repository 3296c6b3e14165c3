"""A log, a sink that answers as it is told, and a delivery between them, under a clock that stands still."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING

from gateway.codec.frames import pack
from gateway.core.contracts import Sink
from gateway.core.event import Event
from gateway.core.retry import Retry
from gateway.flow.dead_letters import DeadLetters
from gateway.flow.delivery import Delivery
from gateway.flow.destination import Destination
from gateway.flow.lookout import Lookout
from gateway.flow.subscription import Limits, Subscription
from gateway.log.memory import MemoryLog
from tests.clock import FakeClock, settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from gateway.core.event import Outgoing

REGION = "eu-west"


def make(number: int, key: str | None = None, **changes: object) -> Event:
    """Event `number`, of one order key."""
    return Event(str(number), "/tests", "com.acme.order", subject=key, data=b"%d" % number).but(**changes)


class Told(Sink):
    """Takes what `answer` does not raise for; remembers every attempt and every arrival."""

    def __init__(self, clock: FakeClock, *, max_batch: int = 1) -> None:
        self.max_batch = max_batch
        self.attempts: list[tuple[float, list[str]]] = []
        self.arrived: list[Outgoing] = []
        self.answer: Callable[[Sequence[Outgoing]], None] = lambda _: None
        self.pause: Callable[[Sequence[Outgoing]], Awaitable[None]] | None = None
        self._clock = clock

    async def send(self, events: Sequence[Outgoing]) -> None:
        """Answer after a turn of the loop."""
        self.attempts.append((self._clock.monotonic(), [event.id for event in events]))
        if self.pause is not None:
            await self.pause(events)
        await asyncio.sleep(0)
        self.answer(events)
        self.arrived += events

    @property
    def ids(self) -> list[str]:
        """The ids of what arrived, in order."""
        return [event.id for event in self.arrived]

    def tries(self, number: int) -> list[float]:
        """When event `number` was tried."""
        return [at for at, ids in self.attempts if str(number) in ids]


class Scene:
    """One region's log with one sink."""

    def __init__(self, *, max_batch: int = 1) -> None:
        self.clock = FakeClock()
        self.log = MemoryLog(REGION, clock=self.clock)
        self.sink = Told(self.clock, max_batch=max_batch)
        self.destination = Destination("sink", self.clock, random=Random(7))
        self.dead_letters = DeadLetters(self.log, self.clock)

    @cached_property
    def lookout(self) -> Lookout:
        """Of the log that the scene has when it is first asked for."""
        return Lookout(self.log)

    async def publish(self, *events: Event) -> None:
        """Append them, in frames of at most 500."""
        await self.log.append(pack("main", list(events)))

    def delivery(self, *, limits: Limits | None = None, sink: Sink | None = None, **settings: object) -> Delivery:
        """A delivery of everything from the beginning, unless `settings` of the subscription say otherwise."""
        chosen: dict[str, object] = {
            "name": "bill",
            "prepare": lambda event: (event,),
            "regions": frozenset({REGION}),
            "start": "earliest",
            "retry": Retry(first=0.2, longest=30.0, give_up=86400.0),
            **settings,
        }
        return Delivery(
            Subscription(**chosen),  # type: ignore[arg-type]  # whatever the test sets
            self.log,
            self.log,
            sink or self.sink,
            self.destination,
            self.dead_letters,
            self.lookout,
            self.clock,
            limits=limits,
            random=Random(7),
        )

    @asynccontextmanager
    async def running(self, *deliveries: Delivery) -> AsyncIterator[None]:
        """Run them meanwhile, then cancel them."""
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one.run()) for one in (*deliveries, self.lookout)]
            await settle()
            yield
            for task in running:
                task.cancel()

    async def until(self, condition: Callable[[], bool], *, at_most: float = 3600.0) -> None:
        """Let time pass until it is true."""
        await self.clock.advance_until(condition, at_most=at_most)
