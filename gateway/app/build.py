"""Build: from the configuration to the parts of a node."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from federation import interest
from gateway.api.limits import Limits
from gateway.app import catalog, rules
from gateway.core.retry import Retry
from gateway.flow.choosing import Choosing
from gateway.flow.ingest import Ingest
from gateway.flow.subscription import SKEW, Subscription
from gateway.log.lmdb import LmdbLog
from gateway.rules.lens import Lens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.app import config as written
    from gateway.app.connections import Connection
    from gateway.core.clock import Clock
    from gateway.core.contracts import Door, Sink
    from gateway.core.event import Event
    from gateway.core.records import Store
    from gateway.flow.dead_letters import DeadLetters
    from gateway.flow.subscription import Wanted
    from gateway.rules.change import Changes

SPACE = "main"
"""The space of everything, until there are others."""
DRAIN = 2.0
"""Seconds that requests under way may take when a door closes: two doors, the readers' 1 and the sends' 3 together
stay below the process's 10, with room for a slow machine."""


def open_log(config: written.Config, clock: Clock) -> LmdbLog:
    """The node's log, not yet entered."""
    return LmdbLog(
        config.data,
        region=config.region,
        node=config.node,
        at_most=config.log.at_most,
        keep=config.log.keep,
        full=config.log.full,
        tail=config.log.tail,
        clock=clock,
    )


def sink(configured: Connection) -> Sink:
    """A configured sink, not yet entered."""
    return catalog.sink(configured.connector).build(configured.settings)


async def run_source(configured: Connection, door: Door) -> None:
    """Connect a configured source and run it; anew each time it is called."""
    async with catalog.source(configured.connector).build(configured.settings) as source:
        await source.run(door)


def choosing(config: written.Config, is_needed: Callable[[str], bool]) -> Choosing:
    """The filters of the subscriptions that run, compiled.

    `is_needed` says whether anybody but them looks into the events that came in at a region.
    """
    lens = Lens()
    running = {name: one for name, one in config.subscriptions.items() if not one.paused}
    compiled = {name: rules.rule(one, f"subscriptions.{name}", lens) for name, one in running.items()}
    return Choosing(
        {name: rule for name, rule in compiled.items() if rule is not None},
        {name: frozenset(one.from_) for name, one in running.items()},
        lens,
        is_needed=is_needed,
    )


def subscriptions(config: written.Config, created: dict[str, float], choosing: Choosing) -> list[Subscription]:
    """The configured subscriptions, changes compiled; `created` is when this node first saw each."""
    keys = rules.mask_keys(config)
    return [
        _subscription(name, one, created[name], choosing.of(name), rules.changes(one, f"subscriptions.{name}", keys))
        for name, one in config.subscriptions.items()
    ]


def _subscription(
    name: str, configured: written.Subscription, created: float, wanted: Wanted | None, changes: Changes | None
) -> Subscription:
    retry = configured.retry
    return Subscription(
        name=name,
        prepare=_unchanged if changes is None else partial(_changed, changes),
        wanted=wanted,
        regions=frozenset(configured.from_),
        order_by=configured.order_by,
        lanes=configured.lanes,
        batch=configured.batch,
        retry=Retry(first=retry.first, longest=retry.longest, give_up=retry.give_up),
        start=configured.start,
        since=_since(configured, created),
        poison=configured.poison,
        stamp=configured.stamp,
        paused=configured.paused,
        was=configured.was,
    )


def _since(configured: written.Subscription, created: float) -> float | None:
    """From when on it wants what other regions have; None: everything."""
    match configured.start:
        case "latest":
            return created
        case "earliest":
            return None
        case moment:
            return moment


def _unchanged(event: Event) -> Sequence[Event]:
    return (event,)


def _changed(changes: Changes, event: Event) -> Sequence[Event]:
    return (changes.apply(event),)


def ingest(config: written.Config, log: LmdbLog, dead_letters: DeadLetters, choosing: Choosing, clock: Clock) -> Ingest:
    """Loop 1."""
    return Ingest(
        log,
        log,
        bury=dead_letters.bury_refused,
        clock=clock,
        limit=config.limits.event,
        decide=choosing.at(config.region),
        lasting=config.dedupe.window,
        at_most=config.dedupe.at_most,
    )


def limits(config: written.Config) -> Limits:
    """What the doors allow."""
    asked = config.limits
    return Limits(
        event=asked.event,
        request=asked.request,
        connections=asked.connections,
        header_timeout=asked.header_timeout,
        body_timeout=asked.body_timeout,
        idle_timeout=asked.idle_timeout,
        drain_timeout=DRAIN,
    )


async def remember_creation(config: written.Config, store: Store, clock: Clock) -> dict[str, float]:
    """When each subscription was first seen by this node: where a link without a position begins for it."""
    created: dict[str, float] = {}
    for name, configured in config.subscriptions.items():
        place = f"created/{name}"
        stored = store.position(place) or (store.position(f"created/{configured.was}") if configured.was else None)
        if stored is None:
            stored = repr(clock.now()).encode()
            await store.write((), positions={place: (None, stored)})
        created[name] = float(stored)
    return created


def wanted(config: written.Config, created: dict[str, float]) -> dict[str, list[interest.Wanted]]:
    """What this node's subscriptions want of each other region."""
    found: dict[str, list[interest.Wanted]] = {}
    for name, configured in config.subscriptions.items():
        since = _since(configured, created[name])
        # clocks differ: rather one too many
        one = interest.Wanted(rules.in_dialects(configured), None if since is None else since - SKEW)
        for region in configured.from_:
            if region != config.region:
                found.setdefault(region, []).append(one)
    return found
