"""A small real publisher on a MemoryLog, and the means to hold it up or to fill it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.codec.frames import pack
from gateway.log.memory import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.errors import Unavailable
    from gateway.core.event import Event


class LogPublisher:
    """Appends to a log in memory, as `gateway.core.contracts.Publisher` says."""

    def __init__(self) -> None:
        self.log = MemoryLog("eu-west")
        self.events: list[Event] = []
        """What is durable, in order."""
        self.spaces: list[str] = []
        self.started = 0
        self.open = asyncio.Event()
        """While cleared, appends do not end."""
        self.open.set()
        self.refusal: Unavailable | None = None
        """While set, it is raised."""
        self.bug: Exception | None = None

    async def publish(
        self, principal: str, space: str, events: Sequence[Event], *, packed: bytes | None = None, via: str
    ) -> None:
        """Append and remember."""
        self.started += 1
        await self.open.wait()
        if self.refusal is not None:
            raise self.refusal
        if self.bug is not None:
            raise self.bug
        await self.log.append(pack(space, events))
        self.events += events
        self.spaces.append(space)

    @property
    def ids(self) -> list[str]:
        """The ids of what is durable, in order."""
        return [event.id for event in self.events]
