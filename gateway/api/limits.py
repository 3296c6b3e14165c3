"""Limits of the doors: what a stranger may cost us before we say no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.codec.validate import size_of
from gateway.core.errors import TooLarge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.event import Event


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    event: int = 1024 * 1024
    """One event, after everything is unwrapped."""
    request: int = 16 * 1024 * 1024
    """One HTTP request body."""
    message: int = 4 * 1024 * 1024
    """One gRPC message: a batch of the native client is far below it."""
    events: int = 10_000
    """Events in one request: tiny events unpack to many times their bytes."""
    held: int = 256 * 1024 * 1024
    """All bodies that a door holds at one time, whoever sent them; above it: 503."""
    connections: int = 1000
    """Open connections, streams at the gRPC door; one more is told 503 or RESOURCE_EXHAUSTED."""
    header_timeout: float = 10.0
    """From the first byte of a request to the end of its head."""
    body_timeout: float = 30.0
    """From the end of the head to the end of the body; every 64 KiB received buy one more second."""
    idle_timeout: float = 75.0
    """Between two requests of one connection."""
    answer_timeout: float = 30.0
    """How long a request waits for its events to become durable before it is told 503."""
    drain_timeout: float = 5.0
    """How long requests under way may take to finish when a door closes."""
    head: int = 32 * 1024
    """Request line and header fields of one request together."""
    fields: int = 100
    """Header fields of one request."""
    streams: int = 100
    """Streams of one gRPC connection."""
    batches: int = 64
    """Batches of one gRPC stream that wait for durability at one time."""
    window: int = 16 * 1024 * 1024
    """Bytes of such batches; the next is read when there is room."""

    def check_sizes(self, events: Sequence[Event], received: int) -> None:
        """Pass if every event that came in these `received` bytes is small enough.

        :raises TooLarge: one is not; the message has its index.
        """
        if received <= self.event:  # no event is larger than the bytes it was read from
            return
        for index, event in enumerate(events):
            if (size := size_of(event)) > self.event:
                raise TooLarge(f"event {index}: {size} bytes of data and attributes; the limit is {self.event}")

    def check_count(self, count: int) -> None:
        """Pass if one request may have so many events.

        :raises TooLarge: it may not.
        """
        if count > self.events:
            raise TooLarge(f"{count} events in one request, allowed are {self.events}")
