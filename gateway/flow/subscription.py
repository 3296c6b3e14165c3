"""Subscription: what is delivered where, as the configuration says it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.event import Event
from gateway.core.records import Stored
from gateway.core.retry import Retry

Prepare = Callable[[Event], Sequence[Event]]
"""Pure: what one event becomes for this subscription; () when it is left out. May raise Rejected."""
Wanted = Callable[[Stored], Sequence[tuple[int, Event]]]
"""Pure: the events of a frame that pass the filter, each with its index in it, ascending. Raises Damaged for a frame
that cannot be opened."""

SKEW = 60.0
"""Seconds by which the clocks of two regions may differ before a new subscription misses something."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription; a change of configuration makes a new one."""

    name: str
    prepare: Prepare
    regions: frozenset[str]
    """Only records whose origin log is of one of these regions."""
    wanted: Wanted | None = None
    """None: all of them."""
    order_by: str | None = None
    """An attribute or an extension; the events of one value are delivered in order. Without it, or where an event has
    no such value, nothing is promised about order."""
    lanes: int = 8
    """Sends at the same time."""
    batch: int | None = None
    """The most events of one send; None: what the sink takes."""
    retry: Retry = field(default_factory=Retry)
    start: Literal["latest", "earliest"] | float = "latest"
    """Where a new subscription begins; a number is a moment (seconds since 1970)."""
    since: float | None = None
    """Of other logs only what was accepted from this moment on (seconds since 1970, by their clocks, `SKEW` in favour
    of delivering); None: everything. A link reads for all subscriptions, so it may bring what is older."""
    poison: Literal["continue", "block"] = "continue"
    """What happens to a key whose event is Rejected: the event is buried and the key goes on, or the event stays,
    is tried again at the longest pause, and holds its key."""
    stamp: bool = True
    """Whether events are sent with the extension `isthorigin`."""
    paused: bool = False
    """Keep the cursor, deliver nothing."""
    was: str | None = None
    """The name it had before: its cursor and waiting events are taken over."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one delivery; the defaults are right unless a test says otherwise."""

    deadline: float = 60.0
    """Seconds one send may take."""
    save_every: float = 1.0
    """Seconds between two saves of the cursor."""
    open_for: float = 60.0
    """An event that failed this long (seconds, destination up) moves to the waiting log."""
    open_behind: int = 50_000
    """So does one that is this many offsets behind the newest taken."""
    in_memory: int = 10_000
    """Events of one subscription in memory at once, at most."""
    in_memory_bytes: int = 32 * 1024 * 1024
    """The same in bytes, by the average size of the newest frame."""
    waiting_events: int = 250_000
    """When the waiting log has as many, or `waiting_bytes`, the subscription takes no more (about 300 bytes of memory
    an event stay with its index)."""
    waiting_bytes: int = 1024 * 1024 * 1024
    page: int = 64 * 1024
    """Bytes of frames asked for in one read."""
