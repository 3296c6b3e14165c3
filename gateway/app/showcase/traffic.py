"""The demo's clients: each region gets a stream of made-up but real-looking events, over HTTP and, if asked, SQS."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import msgspec

from gateway.codec import http, json
from gateway.codec.frames import hash_of
from gateway.core.errors import Rejected, Unavailable
from gateway.core.event import Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gateway.app.showcase.ledger import Ledger
    from gateway.app.showcase.regions import Region
    from gateway.core.event import Event

_TICK = 0.1
_PATIENCE = 25.0
"""Seconds a client tries to reach its region before it gives up."""


def samples() -> list[Event]:
    """The events that come with the package."""
    lines = (files("gateway.app.showcase") / "events.jsonl").read_bytes().splitlines()
    return [json.decode(line) for line in lines if line]


def stream(name: str) -> Iterator[Event]:
    """Endless events: the samples again and again, each with an id and a time of its own."""
    for number, sample in enumerate(itertools.cycle(samples())):
        yield sample.but(id=f"{sample.id}-{name}-{number}", time=datetime.now(UTC).isoformat().replace("+00:00", "Z"))


class Client:
    """Publishes to one region: single events in binary and structured mode, and batches."""

    def __init__(self, region: Region, session: aiohttp.ClientSession, ledger: Ledger) -> None:
        self._region = region
        self._session = session
        self._ledger = ledger
        self._events = stream(region.name)

    async def publish(self, total: int, seconds: float) -> None:
        """Publish so many events, evenly over so many seconds; each until it is acknowledged.

        :raises Unavailable: the region could not be reached for long.
        :raises Rejected: the region refuses an event.
        """
        loop = asyncio.get_running_loop()
        ticks = max(1, round(seconds / _TICK))
        started = loop.time()
        for tick in range(ticks):
            share = total * (tick + 1) // ticks - total * tick // ticks
            events = list(itertools.islice(self._events, share))
            first, second, rest = events[:1], events[1:2], events[2:]
            for event in first:
                await self._post([event], *http.encode_binary(event))
            for event in second:
                await self._post([event], *http.encode_structured(event))
            if rest:
                await self._post(rest, *http.encode_batch(rest))
            await asyncio.sleep(max(0.0, started + (tick + 1) * _TICK - loop.time()))

    async def _post(self, events: Sequence[Event], headers: Mapping[str, str], body: bytes) -> None:
        keys = [self._ledger.offer(self._region.name, event) for event in events]
        try:
            async with asyncio.timeout(_PATIENCE):
                while not await self._is_taken(headers, body):  # noqa: ASYNC110  asks another process
                    await asyncio.sleep(_TICK)
        except TimeoutError as problem:
            raise Unavailable(f"{self._region.name} took no events for {_PATIENCE:.0f} s") from problem
        self._ledger.acknowledged.update(keys)

    async def _is_taken(self, headers: Mapping[str, str], body: bytes) -> bool:
        try:
            async with self._session.post(f"{self._region.url}/events", data=body, headers=headers) as answer:
                if 400 <= answer.status < 500:  # noqa: PLR2004  the classes of HTTP
                    raise Rejected(f"{self._region.name}: {answer.status} {await answer.text()}")
                return answer.ok
        except (aiohttp.ClientError, TimeoutError):
            return False  # killed; whether the events got in is not known, so they are sent again


def queue_settings(url: str) -> dict[str, str]:
    """The settings of an SQS source for a queue; anything but the real thing is an endpoint of its own."""
    parts = urlsplit(url)
    host = (parts.hostname or "").split(".")
    if host[0] == "sqs" and "amazonaws" in host:
        return {"url": url, "region": host[1]}
    return {"url": url, "region": "us-east-1", "endpoint": f"{parts.scheme}://{parts.netloc}"}


async def publish_to_queue(settings: Mapping[str, str], region: str, ledger: Ledger, total: int) -> None:
    """Send so many events to the queue that the region's SQS source reads, with our own sink.

    :raises Unavailable: the queue cannot be reached, or refuses our credentials.
    """
    from connectors.aws_sqs import Sink, SinkSettings  # noqa: PLC0415  the SDK is an extra, needed only with --sqs

    events = list(itertools.islice(stream("sqs"), total))
    async with Sink(SinkSettings.model_validate(dict(settings))) as queue:
        for first in range(0, total, queue.max_batch):
            batch = events[first : first + queue.max_batch]
            keys = [ledger.offer(region, event) for event in batch]
            await queue.send([_outgoing(event) for event in batch])
            ledger.acknowledged.update(keys)


def _outgoing(event: Event) -> Outgoing:
    return Outgoing(**msgspec.structs.asdict(event), idempotency_key=hash_of(event).hex(), group=event.source)
