"""Sending batches of events to a door, over HTTP or gRPC."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol, Self

import aiohttp
import msgspec

from gateway.app import printing
from gateway.app.fields import host_and_port
from gateway.client import Client
from gateway.codec.json import encode_batch
from gateway.core.errors import ConfigError, Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from gateway.core.event import Event

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


async def send_all(door: str, batches: Iterable[Sequence[Event]], *, patience: float) -> None:
    """Send one batch after the other, and say how many events are durable at the end, whatever the end is.

    `door` is `grpc://host:port`, or `host:port` or a URL for HTTP.

    :raises Rejected: the door refused some; the batches before are durable.
    :raises Unavailable: a batch was not acknowledged within `patience` seconds.
    """
    sent = 0
    try:
        async with AsyncExitStack() as stack:
            publisher: Publishes
            if door.startswith("grpc://"):
                publisher = await stack.enter_async_context(Client(door.removeprefix("grpc://"), deadline=patience))
            else:
                publisher = await stack.enter_async_context(HttpPublisher(_url(door), patience=patience))
            for events in batches:
                await publisher.publish(events)
                sent += len(events)
    finally:
        printing.line(f"{sent} sent")


class Publishes(Protocol):
    """A way into a node."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Return once all of them are durable.

        :raises Rejected: some never will be.
        :raises Unavailable: not in time.
        """
        ...


class HttpPublisher:
    """Batches by POST; waits and repeats while the node is away or full, `patience` seconds in all."""

    def __init__(self, url: str, *, patience: float) -> None:
        self._url = url
        self._patience = patience

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._patience))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self._session.close()

    async def publish(self, events: Sequence[Event]) -> None:
        """Return once all are durable; see `Publishes`."""
        body = encode_batch(events)
        pause, trouble = _FIRST_PAUSE, "no answer"
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    try:
                        return await self._post(body)
                    except (Unavailable, aiohttp.ClientError) as problem:
                        trouble = str(problem) or type(problem).__name__
                        asked = problem.after if isinstance(problem, Unavailable) else None
                    await asyncio.sleep(asked or pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
        except TimeoutError:
            raise Unavailable(f"{self._url}: not acknowledged within {self._patience:g} s: {trouble}") from None

    async def _post(self, body: bytes) -> None:
        headers = {"Content-Type": "application/cloudevents-batch+json"}
        async with self._session.post(self._url, data=body, headers=headers) as response:
            content = await response.read()
            if response.ok:
                return
            reason = f"{response.status}: {_detail(content)}"
            if response.status in (429, 502, 503, 504):
                wished = response.headers.get("Retry-After", "")
                raise Unavailable(reason, after=float(wished) if wished.isdigit() else None)
            raise Rejected(reason)


def _url(door: str) -> str:
    if door.startswith(("http://", "https://")):
        return door if door.count("/") > 2 else f"{door}/events"  # noqa: PLR2004  two belong to the scheme
    try:
        host_and_port(door)
    except ValueError as problem:
        raise ConfigError(f"--to {door}: {problem}, http://… or grpc://host:port") from None
    return f"http://{door}/events"


def _detail(content: bytes) -> str:
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return content[:200].decode(errors="replace")
    return str(found["detail"]) if isinstance(found, dict) and "detail" in found else str(found)[:200]
