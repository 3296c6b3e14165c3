"""A queue and a destination in memory, with a right connector for each: what the suites are tested on."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gateway.core import contracts
from gateway.core.errors import PartialFailure, Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.core.contracts import Door
    from gateway.core.event import Event, Outgoing


class Shelf:
    """Holds events until they are deleted; away when told so. Every access takes a turn of the loop."""

    def __init__(self) -> None:
        self.waiting: deque[Event | None] = deque()
        """None is a message that is no event."""
        self.is_away = False

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nobody reaches the shelf inside this context."""
        self.is_away = True
        try:
            yield
        finally:
            self.is_away = False

    async def reach(self) -> None:
        """Take one turn of the loop."""
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("the shelf is away")


class Source(contracts.Source):
    """Takes what waits on the shelf, and removes it once the door has it."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    async def run(self, door: Door) -> None:
        """Look again and again."""
        while True:
            await self.shelf.reach()
            taken = list(self.shelf.waiting)[:100]
            if taken:
                await self.hand_over(door, taken)
            await asyncio.sleep(0.001)

    async def hand_over(self, door: Door, taken: list[Event | None]) -> None:
        """Give the events to the door, then remove them."""
        await door.accept([event for event in taken if event is not None])
        await self.remove(taken)

    async def remove(self, taken: list[Event | None]) -> None:
        """Acknowledge."""
        await self.shelf.reach()
        for _ in taken:
            self.shelf.waiting.popleft()


class Sink(contracts.Sink):
    """Puts events on the shelf; refuses those of type `com.example.refused`."""

    max_batch = 10

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    async def send(self, events: Sequence[Outgoing]) -> None:
        """Return once they are on the shelf."""
        await self.shelf.reach()
        self.put([event for event in events if not is_refused(event)])
        failures = {at: Rejected("refused") for at, event in enumerate(events) if is_refused(event)}
        if failures:
            raise PartialFailure(failures)

    def put(self, events: Sequence[Event]) -> None:
        """Store them at once."""
        self.shelf.waiting.extend(events)


def is_refused(event: Event) -> bool:
    """Whether the shelf never takes this event."""
    return event.type == "com.example.refused"
