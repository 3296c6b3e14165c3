"""Source, Sink, Door, Settings: what a connector is.

The acknowledgement law:

- A Source acknowledges upstream after `accept(events)` returned, and only then.
- A Sink's `send(events)` returns after the destination has the events, and only then.

Acknowledged is a return; not acknowledged is an exception. `Unavailable` means
wait and try again, `Rejected` means never, `PartialFailure` names one of these
per event and those it does not name succeeded. `accept` raises only Unavailable.

The annotation of `__init__`'s one parameter is how the gateway knows which
settings to parse: `def __init__(self, settings: QueueSettings) -> None`.
Constructors do no I/O; `async with` connects and closes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol, Self

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from gateway.core.event import Event, Outgoing


class Settings(BaseModel):
    """Settings of a connector: strings, numbers, bools, other settings; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)


class Door(Protocol):
    """What a source hands its events to."""

    async def accept(self, events: Sequence[Event], *, at: str | None = None) -> None:
        """Return once every event is durable in the log (or buried as a dead letter of this source).

        `at` is the source's own position after these events, stored in the
        same transaction; `position()` gives it back after a restart. An empty
        sequence with `at` only moves the position.

        :raises Unavailable: try again later; do not acknowledge.
        """
        ...

    def position(self) -> str | None:
        """The last `at` that became durable; None if there never was one."""
        ...


class Publisher(Protocol):
    """What the doors hand validated events to: their one way in."""

    async def publish(
        self, principal: str, space: str, events: Sequence[Event], *, packed: bytes | None = None, via: str
    ) -> None:
        """Return once every event is durable in the log, or known to be there already (a recent duplicate).

        The caller has validated them. `packed` is the msgpack array of exactly
        these events, when the caller has it, and saves packing them again.
        `via` is the door's name in the metrics. Cancelled, some or all of the
        events may be durable nevertheless.

        :raises Unavailable: nothing was taken; `after` says when to try again. LogFull is one.
        """
        ...


class Source(ABC):
    """Takes events from somewhere. `async with` it, then `run` it."""

    async def __aenter__(self) -> Self:
        """Connect."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; never raises for a connection that is already gone."""

    @abstractmethod
    async def run(self, door: Door) -> None:
        """Hand events to the door until cancelled, or until there is nothing more and never will be.

        Safe to cancel at every await: what was accepted but not yet
        acknowledged upstream comes again, nothing is lost.

        :raises Unavailable: the service is away; the gateway waits and calls run again.
        """


class Sink(ABC):
    """Gives events to somewhere."""

    max_batch: int = 1
    """The most events one `send` takes. An instance may set its own from its settings."""

    async def __aenter__(self) -> Self:
        """Connect. A destination that is away is not an error here: `send` raises Unavailable then."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; never raises for a connection that is already gone."""

    @abstractmethod
    async def send(self, events: Sequence[Outgoing]) -> None:
        """Return once the destination has all of them, in order; 1 to `max_batch` events.

        Called concurrently, once per lane. Every call has a deadline of its own.

        :raises Unavailable: none may have arrived; the same may work later.
        :raises Rejected: never these events.
        :raises PartialFailure: which failed and how; the others arrived.
        """
