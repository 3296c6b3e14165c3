"""Keep a loop running: start it again with back-off, and know how it is.

One of the three places where any Exception is caught: a bug of ours in one loop
must not take the others down, nor bury somebody's event.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.core import telemetry
from gateway.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.core.clock import Clock

log = logging.getLogger(__name__)

_FIRST = 0.2
_LONGEST = 30.0
_HEALTHY = 60.0
"""A loop that ran this long starts its back-off anew."""


@dataclass(slots=True)
class Health:
    """How one loop is."""

    name: str
    state: str = "starting"
    """starting, running, waiting (after an error), ended."""
    problem: str | None = None
    """The last error, while waiting."""
    restarts: int = 0

    def describe(self) -> dict[str, str | int | None]:
        """For the admin API."""
        return {"name": self.name, "state": self.state, "problem": self.problem, "restarts": self.restarts}


async def keep_running(health: Health, run: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Run until it returns or this is cancelled; after an error wait (full jitter, at most 30 s) and run again."""
    attempt = 0
    while True:
        started = clock.monotonic()
        health.state = "running"
        try:
            await _apart(run)
        except Unavailable as problem:
            _note(health, problem, logging.WARNING)
            asked = problem.after
        except Exception as problem:  # noqa: BLE001  one of the three places: a bug in one loop stops no other
            _note(health, problem, logging.ERROR)
            asked = None
        else:
            health.state, health.problem = "ended", None
            return
        if clock.monotonic() - started > _HEALTHY:
            attempt = 0
        attempt += 1
        pause = random.uniform(0, min(_LONGEST, _FIRST * 2.0 ** min(attempt, 20)))  # noqa: S311  jitter
        await clock.sleep(max(pause, min(asked, _LONGEST)) if asked else pause)


async def _apart(run: Callable[[], Awaitable[None]]) -> None:
    """Run in a task of its own, and stop it when this one is cancelled.

    A TaskGroup that is cancelled while one of its children fails raises only
    the failure (Python 3.11 and 3.12): cancelled in place, we would run again.
    """
    task = asyncio.ensure_future(run())
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # it ended in an error while it was stopped: seen, and of no consequence
        raise
    await task


def _note(health: Health, problem: Exception, level: int) -> None:
    reason = f"{type(problem).__name__}: {problem}"
    if isinstance(problem, ExceptionGroup):
        reason = "; ".join(f"{type(inner).__name__}: {inner}" for inner in problem.exceptions)
    if health.problem != reason:
        trace = problem if level == logging.ERROR else None
        log.log(level, "loop stopped, starting again", extra={"loop": health.name, "reason": reason}, exc_info=trace)
    health.state, health.problem = "waiting", reason
    health.restarts += 1
    telemetry.restarts.labels(health.name).inc()
