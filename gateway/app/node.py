"""Node: the whole process on one screen.

    doors, sources ──▶ Ingest ──▶ LmdbLog ──▶ Delivery, one a subscription ──▶ sinks
                                    │ ▲
             FederationServer ◀─────┘ └── Links

Started from the sinks to the doors and stopped from the doors to the sinks, so
that whatever still comes in has somewhere to go.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from federation.interest import Interests
from federation.links import Links
from federation.server import FederationServer
from gateway.api.admin import Admin
from gateway.api.grpc import GrpcDoor
from gateway.api.http import HttpDoor
from gateway.api.probes import routes
from gateway.app import build
from gateway.app.late import enter_sink
from gateway.app.removed import forget_removed
from gateway.app.view import View
from gateway.core.clock import SystemClock
from gateway.flow.dead_letters import DeadLetters
from gateway.flow.delivery import Delivery
from gateway.flow.destination import Destination
from gateway.flow.lookout import Lookout
from gateway.flow.supervise import Health, keep_running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gateway.app.config import Config
    from gateway.core.contracts import Sink
    from gateway.flow.ingest import Ingest
    from gateway.flow.subscription import Subscription
    from gateway.log.lmdb import LmdbLog

log = logging.getLogger(__name__)

DRAIN = 3.0
"""Seconds that sends under way may take when the node stops."""


class Node:
    """One node of a region, as its configuration says."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clock = SystemClock()
        self.healths: list[Health] = []
        self.deliveries: dict[str, Delivery] = {}
        self.destinations: dict[str, Destination] = {}
        self.started = asyncio.Event()
        """Set once every door is open."""
        self.log: LmdbLog
        self.dead_letters: DeadLetters
        self.links: Links | None = None
        self.server: FederationServer | None = None
        self.http: HttpDoor | None = None
        self.grpc: GrpcDoor | None = None

    async def run(self) -> None:
        """Run until cancelled; then drain: doors close, sends under way end, positions are saved, the log closes.

        :raises ConfigError: the data directory is another node's, or of a newer format; or a sink can never work.
        :raises Unavailable: the data directory or an address is held by another process.
        :raises Damaged: the log's files are not whole.
        """
        config = self.config
        async with AsyncExitStack() as things:
            self.log = await things.enter_async_context(build.open_log(config, self.clock))
            self.dead_letters = DeadLetters(self.log, self.clock)
            await forget_removed(config, self.log, self.clock)
            created = await build.remember_creation(config, self.log, self.clock)
            sinks = {
                name: await enter_sink(name, partial(build.sink, one), things) for name, one in config.sinks.items()
            }
            loops = await things.enter_async_context(asyncio.TaskGroup())
            choosing = build.choosing(config, self._is_looked_into)
            subscriptions = build.subscriptions(config, created, choosing)
            things.push_async_callback(self._stop_deliveries, self._deliver(loops, sinks, subscriptions))
            ingest = build.ingest(config, self.log, self.dead_letters, choosing, self.clock)
            known = await ingest.rebuild()
            await self._federate(loops, things, created)
            self.log.holds = self._holds
            things.callback(self._spawn(loops, "log upkeep", self.log.maintain).cancel)  # trims: must know who holds
            view = View(self)
            await things.enter_async_context(Admin(config.data, view))
            await self._open_doors(ingest, view, things)
            self._take_in(loops, things, ingest)
            self.started.set()
            log.info("node ready", extra={"log": self.log.log_id, "remembered": known, **self.addresses()})
            await asyncio.Event().wait()

    def _spawn(self, loops: asyncio.TaskGroup, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        health = Health(name)
        self.healths.append(health)
        return loops.create_task(keep_running(health, run, self.clock), name=name)

    def _deliver(
        self, loops: asyncio.TaskGroup, sinks: dict[str, Sink], subscriptions: Sequence[Subscription]
    ) -> list[asyncio.Task[None]]:
        lookout = Lookout(self.log)
        self.destinations = {name: Destination(name, self.clock) for name in sinks}
        for subscription in subscriptions:
            to = self.config.subscriptions[subscription.name].to
            delivery = Delivery(
                subscription,
                self.log,
                self.log,
                sinks[to],
                self.destinations[to],
                self.dead_letters,
                lookout,
                self.clock,
            )
            self.deliveries[subscription.name] = delivery
        running = [self._spawn(loops, f"subscription {name}", one.run) for name, one in self.deliveries.items()]
        return [*running, self._spawn(loops, "lookout", lookout.run)]

    def _is_looked_into(self, region: str) -> bool:
        """Whether a link chooses among the events that came in at that region."""
        return region == self.config.region and self.server is not None and self.server.looks_inside

    async def _stop_deliveries(self, running: list[asyncio.Task[None]]) -> None:
        async with asyncio.TaskGroup() as draining:
            for delivery in self.deliveries.values():
                draining.create_task(delivery.drain(DRAIN))
        for task in running:
            task.cancel()

    async def _federate(self, loops: asyncio.TaskGroup, things: AsyncExitStack, created: dict[str, float]) -> None:
        config = self.config
        node = self.log.log_id.partition("/")[2].partition("@")[0]
        if config.federation.listen is not None:
            server = FederationServer(
                {self.log.log_id: self.log},
                region=config.region,
                node=node,
                listen=config.federation.listen,
                software=version("isthmus"),
                clock=self.clock,
            )
            self.server = await things.enter_async_context(server)
            things.callback(self._spawn(loops, "federation server", server.run).cancel)
        interests = Interests()
        for region, wanted in build.wanted(config, created).items():
            interests.want(region, wanted)
        self.links = Links(
            config.federation.peers,
            region=config.region,
            node=node,
            append=self.log.append,
            store=self.log,
            interests=interests,
            clock=self.clock,
        )
        things.callback(self._spawn(loops, "links", self.links.run).cancel)

    def _holds(self) -> dict[str, int]:
        """Who still needs which offset: trimming stops there."""
        holds = {name: delivery.lowest_needed() for name, delivery in self.deliveries.items()}
        if self.server is not None:
            holds |= self.server.holds(self.log.log_id, self.config.log.forget)
        return holds

    async def _open_doors(self, ingest: Ingest, view: View, things: AsyncExitStack) -> None:
        limits = build.limits(self.config)
        if self.config.api.http is not None:
            self.http = await things.enter_async_context(
                HttpDoor(self.config.api.http, ingest, limits, routes(view), clock=self.clock)
            )
        if self.config.api.grpc is not None:
            self.grpc = await things.enter_async_context(GrpcDoor(self.config.api.grpc, ingest, limits))

    def _take_in(self, loops: asyncio.TaskGroup, things: AsyncExitStack, ingest: Ingest) -> None:
        for name, configured in self.config.sources.items():
            run = partial(build.run_source, configured, ingest.door(name, build.SPACE))
            things.callback(self._spawn(loops, f"source {name}", run).cancel)

    def addresses(self) -> dict[str, str]:
        """`host:port` of every open door."""
        found = {"http": self.http.address if self.http else None, "grpc": self.grpc.address if self.grpc else None}
        if self.server is not None:
            host = (self.config.federation.listen or "").rpartition(":")[0]
            found["federation"] = f"{host}:{self.server.port}"
        return {name: address for name, address in found.items() if address is not None}
