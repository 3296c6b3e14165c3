# ruff: noqa: S101  (part of the test kit: its findings are assertions)
"""A Door in memory: what sources are tested against."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gateway.core.event import Event


async def until(condition: Callable[[], bool], *, within: float = 10.0, what: str = "the condition") -> None:
    """Wait until the condition holds; AssertionError after `within` seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while not condition():
        assert loop.time() < end, f"still not after {within} s: {what}"
        await asyncio.sleep(0.002)


class MemoryDoor:
    """A Door that keeps what it accepted in memory, and refuses when told to.

    `accept` passes the event loop before and after it stores, so that a
    cancellation can hit either side.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.calls = 0
        self._refusals = 0
        self._position: str | None = None

    def refuse(self, times: int) -> None:
        """Raise Unavailable at the next so many calls."""
        self._refusals = times

    async def accept(self, events: Sequence[Event], *, at: str | None = None) -> None:
        """Store all the events, or raise Unavailable."""
        self.calls += 1
        for _ in range(3):
            await asyncio.sleep(0)
        if self._refusals:
            self._refusals -= 1
            raise Unavailable("refused on purpose")
        self.events += events
        if at is not None:
            self._position = at
        for _ in range(3):
            await asyncio.sleep(0)

    def position(self) -> str | None:
        """The last `at` that was stored."""
        return self._position

    def has(self, events: Iterable[Event]) -> bool:
        """Whether each of these arrived at least once."""
        return {event.key for event in events} <= {event.key for event in self.events}

    def of(self, events: Iterable[Event]) -> list[Event]:
        """What arrived of these, in order, each only the first time."""
        wanted = {event.key for event in events}
        first: dict[tuple[str, str], Event] = {}
        for event in self.events:
            if event.key in wanted:
                first.setdefault(event.key, event)
        return list(first.values())
