"""A sink that cannot be connected at the start."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

import pytest

from gateway.app.late import enter_sink
from gateway.core.contracts import Sink
from gateway.core.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from gateway.core.event import Outgoing


class Away(Sink):
    """Cannot be connected while there are problems left."""

    max_batch = 7

    def __init__(self, *problems: Exception) -> None:
        self.problems = list(problems)
        self.sent = self.closed = 0

    async def __aenter__(self) -> Self:
        if self.problems:
            raise self.problems.pop(0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed += 1

    async def send(self, events: Sequence[Outgoing]) -> None:
        self.sent += 1


@pytest.mark.parametrize("problem", [Unavailable("no token"), ConnectionRefusedError("nobody there"), TimeoutError()])
async def test_a_sink_that_is_away_at_the_start_is_connected_later(problem: Exception) -> None:
    """Until then a send raises Unavailable, which is what waits and tries again."""
    sink = Away(problem, problem)

    async with AsyncExitStack() as things:
        entered = await enter_sink("out", lambda: sink, things)
        with pytest.raises(Unavailable):
            await entered.send([])
        await entered.send([])
        await entered.send([])

    assert (entered.max_batch, sink.sent, sink.closed) == (7, 2, 1)


async def test_a_sink_that_never_can_work_stops_the_start_and_names_itself() -> None:
    async with AsyncExitStack() as things:
        with pytest.raises(ConfigError, match=r"^sinks\.out: no such profile$"):
            await enter_sink("out", lambda: Away(ConfigError("no such profile")), things)
