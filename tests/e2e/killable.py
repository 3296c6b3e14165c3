"""The product, ending itself with SIGKILL at a named await: `python -m tests.e2e.killable run CONFIG`.

Environment:
    ISTHMUS_TEST_KILL=SEED:SHORTEST:LONGEST   after a random time, die at one of the named awaits
    ISTHMUS_TEST_EARLY=1                      acknowledge before the commit (a build that is wrong on purpose)

The awaits are those at which something was promised or is about to be: before
and after the commit, the store's write, the sink's send, the deletes of a queue.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import random
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from gateway.app.cli import main as product
from gateway.log.lmdb import LmdbLog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

AWAITS = (
    ("gateway.log.lmdb", "LmdbLog", "append"),
    ("gateway.log.lmdb", "LmdbLog", "write"),
    ("gateway.flow.ingest", "Ingest", "publish"),
    ("gateway.flow.ingest", "SourceDoor", "accept"),
    ("connectors.http", "Sink", "send"),
    ("connectors.file", "Sink", "send"),
)


class Killer:
    """Arms one of the awaits after a random time."""

    def __init__(self, seed: int, shortest: float, longest: float) -> None:
        self._random = random.Random(seed)
        self._at = time.monotonic() + self._random.uniform(shortest, longest)
        places = [f"{when} {kind}.{name}" for _, kind, name in AWAITS for when in ("before", "after")]
        self._places = self._random.sample(places, len(places))
        self._passed: set[str] = set()

    def passes(self, place: str) -> None:
        """Kill the process if its time has come and this is the place."""
        self._passed.add(place)
        if time.monotonic() < self._at:
            return
        chosen = next((candidate for candidate in self._places if candidate in self._passed), place)
        if chosen == place:
            sys.stderr.write(f"killed {place}\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)


def wrapped(call: Callable[..., Awaitable[Any]], name: str, killer: Killer) -> Callable[..., Awaitable[Any]]:
    """The same coroutine function, with a place to be killed before and after it."""

    async def killable(*arguments: Any, **named: Any) -> Any:
        killer.passes(f"before {name}")
        result = await call(*arguments, **named)
        killer.passes(f"after {name}")
        return result

    return killable


def acknowledge_early(append: Callable[..., Awaitable[Any]], lag: float) -> Callable[..., Awaitable[Any]]:
    """An append that says it is done and does it later."""
    pending: set[asyncio.Task[Any]] = set()

    async def later(*arguments: Any, **named: Any) -> int:
        async def slowly() -> None:
            await asyncio.sleep(lag)
            await append(*arguments, **named)

        task = asyncio.ensure_future(slowly())
        pending.add(task)
        task.add_done_callback(pending.discard)
        return 0

    return later


def main() -> None:
    """Wrap the awaits, then be the product."""
    settings = os.environ.get("ISTHMUS_TEST_KILL")
    if settings:
        seed, shortest, longest = settings.split(":")
        killer = Killer(int(seed), float(shortest), float(longest))
        for module, kind, name in AWAITS:
            owner = getattr(importlib.import_module(module), kind)
            setattr(owner, name, wrapped(getattr(owner, name), f"{kind}.{name}", killer))
    if os.environ.get("ISTHMUS_TEST_EARLY"):
        LmdbLog.append = acknowledge_early(LmdbLog.append, 0.3)  # type: ignore[method-assign,assignment]
    product()


if __name__ == "__main__":
    main()
