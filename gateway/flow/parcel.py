"""Parcel: one event on its way to one sink, with everything delivery has to know about it."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec
from xxhash import xxh3_128_hexdigest

from gateway.core.errors import Rejected
from gateway.core.event import Event, Outgoing, canonical

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.cursor import Failing
    from gateway.flow.subscription import Subscription

STAMP = "isthorigin"


class Parcel(msgspec.Struct, eq=False, gc=False):
    """One event and how its delivery went so far."""

    offset: int
    """In the local log; 0 when it was sent again from the dead letters."""
    key: str | None
    """Its order key; None: nothing to keep in order with."""
    event: Event
    """As `prepare` made it; what is buried or kept waiting."""
    outgoing: Outgoing
    origin: str
    origin_offset: int
    replay: int = 0
    """How often it was sent again from the dead letters."""
    sequence: int = 0
    """Its place in the waiting log; 0: not there, then the cursor still has its offset open."""
    size: int = 0
    """Bytes of its row there."""
    attempts: int = 0
    """Failed ones."""
    failed_for: float = 0.0
    """Seconds counted before this run, or before `failing_since`."""
    failing_since: float | None = None
    """The destination's uptime at the first failure of this run."""
    failed_at: float = 0.0
    """Monotonic time of the last failure of this run; 0: none."""
    first_at: float = 0.0
    """Wall clock of the first failure."""
    reason: str = ""
    """The last problem."""
    doomed: bool = False
    """To be buried; not to be sent any more."""
    is_raw: bool = False
    """Whether `event` is as it came in, because `prepare` failed on it: it must not be sent like this."""

    def failing_for(self, uptime: float) -> float:
        """Seconds since the first failure while the destination was up."""
        return self.failed_for + (0.0 if self.failing_since is None else uptime - self.failing_since)


class Packer:
    """Makes the parcels of one subscription."""

    def __init__(self, subscription: Subscription) -> None:
        self._name = subscription.name
        self._prepare = subscription.prepare
        self._stamp = subscription.stamp
        self._key_of = key_of(subscription.order_by)

    def pack(self, event: Event, offset: int, origin: str, origin_offset: int) -> Parcel:
        """Make the parcel of an event that `prepare` returned."""
        key = self._key_of(event)
        outgoing = self._outgoing(event, key, origin, origin_offset, 0)
        return Parcel(offset, key, event, outgoing, origin, origin_offset)

    def carry_on(self, parcel: Parcel, failing: Failing, uptime: float) -> Parcel:
        """Give it what the cursor remembers of it from before a restart."""
        parcel.failing_since = uptime
        parcel.attempts = failing.attempts
        parcel.failed_for = failing.failed_for
        parcel.first_at = failing.first_at
        return parcel

    def repack(self, event: Event, key: str | None, origin: str, origin_offset: int, replay: int) -> Parcel:
        """Make the parcel of an event that comes from the waiting log, where it was kept as `prepare` made it."""
        order = self._key_of(event) if key is None else key
        outgoing = self._outgoing(event, order, origin, origin_offset, replay)
        return Parcel(0, key, event, outgoing, origin, origin_offset, replay)

    def prepare(self, event: Event, origin: str, origin_offset: int, replay: int) -> Parcel:
        """Make the parcel of an event on which `prepare` failed before; it is doomed if it fails again."""
        try:
            made = self._prepare(event)
        except Rejected as problem:
            made, reason = (), str(problem)
        else:
            reason = f"it became {len(made)} events, which cannot be sent again as one"
        if len(made) == 1:
            return self.repack(made[0], None, origin, origin_offset, replay)
        parcel = self.repack(event, None, origin, origin_offset, replay)
        parcel.reason, parcel.doomed, parcel.is_raw = reason, True, True
        return parcel

    def _outgoing(self, event: Event, key: str | None, origin: str, origin_offset: int, replay: int) -> Outgoing:
        extensions = event.extensions
        group = key
        if group is None and "partitionkey" in extensions:
            group = canonical(extensions["partitionkey"])
        if self._stamp and STAMP not in extensions:
            extensions = {**extensions, STAMP: f"{origin}:{origin_offset}"}
        return Outgoing(
            event.id,
            event.source,
            event.type,
            event.subject,
            event.time,
            event.datacontenttype,
            event.dataschema,
            event.data,
            extensions,
            xxh3_128_hexdigest(f"{event.source}\0{event.id}\0{self._name}\0{replay}".encode()),
            group,
        )


_ATTRIBUTES = frozenset({"id", "source", "type", "subject", "time", "datacontenttype", "dataschema"})


def key_of(order_by: str | None) -> Callable[[Event], str | None]:
    """How to get the order key of an event."""
    if order_by is None:
        return lambda _: None
    if order_by in _ATTRIBUTES:
        return attrgetter(order_by)

    def from_extension(event: Event) -> str | None:
        value = event.extensions.get(order_by)
        return None if value is None else canonical(value)

    return from_extension
