"""Late: a sink that could not be connected when the node started, and connects when something is to be sent."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from gateway.core.contracts import Sink
from gateway.core.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from gateway.core.event import Outgoing

log = logging.getLogger(__name__)

CONNECT = 10.0
"""Seconds that connecting may take."""


async def enter_sink(name: str, make: Callable[[], Sink], things: AsyncExitStack) -> Sink:
    """Connect a sink; one whose destination is away stops nobody: it is connected later.

    :raises ConfigError: it never can be, as it is configured.
    """
    try:
        async with asyncio.timeout(CONNECT):
            return await things.enter_async_context(make())
    except ConfigError as problem:
        raise ConfigError(*(f"sinks.{name}: {each}" for each in problem.problems)) from problem
    except (Unavailable, OSError, TimeoutError) as problem:
        log.warning(
            "sink cannot be connected yet", extra={"sink": name, "reason": str(problem) or type(problem).__name__}
        )
        return await things.enter_async_context(Late(make))


class Late(Sink):
    """Connects before its first send; tries a new connection each time until one stands."""

    def __init__(self, make: Callable[[], Sink]) -> None:
        self._make = make
        self.max_batch = make().max_batch
        self._sink: Sink | None = None
        self._connecting = asyncio.Lock()
        self._things = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Do nothing yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, if it was connected."""
        await self._things.aclose()

    async def send(self, events: Sequence[Outgoing]) -> None:
        """Connect if need be, then send.

        :raises Unavailable: it cannot be connected now.
        """
        sink = self._sink or await self._connect()
        await sink.send(events)

    async def _connect(self) -> Sink:
        async with self._connecting:
            if self._sink is None:
                try:
                    async with asyncio.timeout(CONNECT):
                        self._sink = await self._things.enter_async_context(self._make())
                except (ConfigError, OSError, TimeoutError) as problem:
                    raise Unavailable(f"cannot be connected: {str(problem) or type(problem).__name__}") from problem
            return self._sink
