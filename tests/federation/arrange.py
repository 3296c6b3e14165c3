"""What the tests of federation arrange with: events, regions, links, a clock that runs faster."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from federation.interest import Interests, Wanted
from federation.links import Links
from federation.server import FederationServer
from gateway.codec.frames import open_frame, pack
from gateway.core.event import Event
from gateway.core.records import Position
from gateway.log.memory import MemoryLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from federation.reading import ServedLog
    from gateway.core.clock import Clock


class FastClock:
    """The machine's clock, with durations `speed` times as long as they are."""

    def __init__(self, speed: float = 20.0) -> None:
        self.speed = speed

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic() * self.speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)


def event(number: int, kind: str = "made", *, size: int = 20) -> Event:
    return Event(
        f"e{number}", "/tests", kind, data=json.dumps({"n": number, "x": f"{number * 7919:0{size}d}"}).encode()
    )


async def publish(
    log: ServedLog, first: int, count: int, *, per_frame: int = 10, kinds: tuple[str, ...] = ("made",)
) -> None:
    """Append events numbered from `first`, in frames of their own."""
    for start in range(first, first + count, per_frame):
        numbers = range(start, min(start + per_frame, first + count))
        await log.append(pack("main", [event(number, kinds[number % len(kinds)]) for number in numbers]))


async def origin_offsets(log: ServedLog, origin: str) -> list[int]:
    """The origin offset of every record of that origin in this log, in log order."""
    found: list[int] = []
    after = log.first - 1
    while after < log.end:
        page = await log.read(after=Position(log.log_id, after), limit=1 << 20)
        found += [
            offset
            for stored in page.frames
            if stored.frame.header.origin == origin
            for offset in stored.frame.origin_offsets()
        ]
        after = page.upto
    return found


async def ids(log: ServedLog, origin: str) -> list[str]:
    """The id of every event of that origin in this log, in log order."""
    page = await log.read(after=Position(log.log_id, log.first - 1), limit=1 << 30)
    return [e.id for s in page.frames if s.frame.header.origin == origin for e in open_frame(s.frame)]


@asynccontextmanager
async def serving(*logs: ServedLog, port: int = 0, clock: Clock | None = None) -> AsyncIterator[FederationServer]:
    """A node that serves these logs, of one region."""
    region, _, rest = logs[0].log_id.partition("/")
    node = rest.partition("@")[0]
    server = FederationServer(
        {log.log_id: log for log in logs},
        region=region,
        node=node,
        listen=f"127.0.0.1:{port}",
        clock=clock or FastClock(),
    )
    async with server, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.run())
        yield server
        running.cancel()


def wanting(*regions: str, spec: Mapping[str, object] | None = None) -> Interests:
    """An interest in those regions, from the earliest on."""
    interests = Interests()
    for region in regions:
        interests.want(region, [Wanted(spec, None)])
    return interests


@asynccontextmanager
async def following(
    log: ServedLog, peers: Mapping[str, str], interests: Interests | None = None, *, clock: Clock | None = None
) -> AsyncIterator[Links]:
    """The links of a node into its log."""
    region, _, rest = log.log_id.partition("/")
    links = Links(
        {name: [address] for name, address in peers.items()},
        region=region,
        node=rest.partition("@")[0],
        append=log.append,
        store=log,
        interests=interests or wanting(*peers),
        clock=clock or FastClock(),
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(links.run())
        try:
            yield links
        finally:
            running.cancel()


def memory(region: str, epoch: str | None = None) -> MemoryLog:
    """A log in memory; with an epoch of its own when given."""
    log = MemoryLog(region)
    if epoch is not None:
        log.log_id = f"{region}/n1@{epoch}"
    return log


async def until(condition: Callable[[], object], *, limit: float = 15.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.005)
