"""A node as this process: its log lines, its event loop, its signals.

first SIGTERM or SIGINT ─▶ the node is cancelled and drains ─▶ exit 0
still there after 10 s, or a second signal ─▶ exit at once (nothing acknowledged is lost)
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import signal
from typing import TYPE_CHECKING, Protocol

from gateway.app import logs
from gateway.app.fields import host_and_port, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.app.config import Config

log = logging.getLogger(__name__)

DRAIN = 10.0
"""Seconds."""
_LATE = 1
_COLLECT = (20_000, 20, 50)


class Runs(Protocol):
    """A node."""

    async def run(self) -> None:
        """Run until cancelled."""
        ...


def serve(config: Config, make: Callable[[Config], Runs]) -> None:
    """Run the node that `make` builds until it ends or a signal says so."""
    logs.set_up(level=config.logging.level, style=config.logging.format)
    for address in (config.api.http, config.api.grpc, config.federation.listen):
        if address is not None and not is_loopback(host_and_port(address)[0]):
            log.warning("whoever can reach this address is trusted", extra={"address": address})
    # Batches live for milliseconds and hold no cycles: collect seldom, and never look at what start-up made.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_until_told(make(config)))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where it is installed, unless ISTHMUS_LOOP=asyncio."""
    if os.environ.get("ISTHMUS_LOOP", "uvloop") != "uvloop":
        return None
    try:
        found: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return None
    return found


async def _until_told(node: Runs) -> None:
    loop = asyncio.get_running_loop()
    running = asyncio.current_task()
    assert running is not None  # noqa: S101  a coroutine runs in a task
    told: list[signal.Signals] = []

    def tell(number: signal.Signals) -> None:
        if told:
            os._exit(128 + number)
        told.append(number)
        log.info("stopping", extra={"signal": number.name})
        loop.call_later(DRAIN, _give_up)
        running.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell, number)
    try:
        await node.run()
    except asyncio.CancelledError:
        if not told:
            raise
        running.uncancel()
        log.info("stopped")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _give_up() -> None:
    log.error("not stopped in time, leaving", extra={"seconds": DRAIN})
    logging.shutdown()
    os._exit(_LATE)
