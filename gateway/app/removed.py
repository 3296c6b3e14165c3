"""What is left of subscriptions that are no longer in the config: kept for `log: {forget: ...}`, then deleted.

gone/NAME   since when the subscription is not configured; absent: it is, or nothing is left of it

Kept, so that a subscription removed by mistake goes on where it was. It holds
nothing back: what the log trims meanwhile, it will not be delivered.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gateway.core.records import Row
from gateway.flow import waiting

if TYPE_CHECKING:
    from gateway.app.config import Config
    from gateway.core.clock import Clock
    from gateway.core.records import Store

log = logging.getLogger(__name__)

_PLACES = ("cursor", "created", "disabled")
_PAGE = 500


async def forget_removed(config: Config, store: Store, clock: Clock) -> None:
    """Note which subscriptions are gone, and delete what is left of those that are gone for long.

    To be called before the first delivery. Killed in between, the next start goes on.
    """
    named = {name for place in _PLACES for name in _names(store, place)}
    configured = {*config.subscriptions, *(one.was for one in config.subscriptions.values() if one.was)}
    for name in sorted(_names(store, "gone") & configured):
        await _move(store, f"gone/{name}", None)
    for name in sorted(named - configured):
        since = store.position(f"gone/{name}")
        if since is None:
            await _move(store, f"gone/{name}", repr(clock.now()).encode())
            log.warning("subscription is no longer configured, it holds nothing back", extra={"subscription": name})
        elif clock.now() - float(since) > config.log.forget:
            await _forget(store, name)
            log.warning("removed subscription is forgotten", extra={"subscription": name})


def _names(store: Store, place: str) -> set[str]:
    return {found.removeprefix(f"{place}/") for found in store.positions(f"{place}/")}


async def _move(store: Store, place: str, value: bytes | None) -> None:
    await store.write((), positions={place: (store.position(place), value)})


async def _forget(store: Store, name: str) -> None:
    """Delete the events first and the positions last, so that a repeat finds what is left."""
    prefix = waiting.prefix_of(name)
    for table in (waiting.TABLE, waiting.AGAIN):
        while keys := [key for key, _ in store.rows(table, after=prefix, limit=_PAGE) if key.startswith(prefix)]:
            await store.write([Row(table, key, None) for key in keys])
    places = [f"{place}/{name}" for place in (*_PLACES, "gone")]
    await store.write((), positions={place: (value, None) for place in places if (value := store.position(place))})
