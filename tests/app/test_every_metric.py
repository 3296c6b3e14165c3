"""Every metric of the table moves when what it counts happens; one that nobody moves fails here by name."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from gateway.api.grpc import GrpcDoor
from gateway.api.http import HttpDoor
from gateway.api.limits import Limits
from gateway.client import Client
from gateway.codec.frames import pack
from gateway.core import telemetry
from gateway.core.clock import SystemClock
from gateway.core.contracts import Sink
from gateway.core.cursor import Cursor
from gateway.core.errors import Damaged, LogFull, Rejected, Unavailable
from gateway.core.event import Event
from gateway.core.records import Position
from gateway.flow.dead_letters import DeadLetters
from gateway.flow.delivery import Delivery
from gateway.flow.destination import Destination
from gateway.flow.ingest import ORIGIN, Ingest
from gateway.flow.lookout import Lookout
from gateway.flow.subscription import Subscription
from gateway.flow.supervise import Health, keep_running
from gateway.log.files import DATA
from tests.api import wire
from tests.clock import FakeClock
from tests.federation.arrange import following, memory, publish, serving, until
from tests.federation.test_lies import BEGUN, flipped, follow, honest, lying, page
from tests.flow.delivering import Scene, make
from tests.log.arrange import batch, lmdb_log, noise

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gateway.core.event import Outgoing
    from gateway.log.lmdb import LmdbLog

Sample = tuple[str, tuple[tuple[str, str], ...]]

NAMES = {"orders", "billing", "hook", "bill", "sink", "slow", "eu", "us", "jp", "link/us", "source:orders", "a loop"}
"""What this test's configuration would have named."""
DOORS = {"http", "grpc"}
STATUSES = re.compile(r"[1-5]\d\d|ok|refused|unavailable")


class Watch:
    """Looks at the registry again and again, and remembers which metrics changed."""

    def __init__(self) -> None:
        self.before = self._samples()
        self._last = self.before
        self.moved: set[str] = set()

    def look(self) -> bool:
        """Note what changed since the last look; always true, so that it can stand in a condition."""
        now = self._samples()
        for (name, labels), (family, value) in now.items():
            if value != self._last.get((name, labels), (family, 0.0))[1]:
                self.moved.add(family)
        self._last = now
        return True

    def labels(self) -> dict[str, set[str]]:
        """The values of each label in what moved since the beginning."""
        found: dict[str, set[str]] = {}
        for key, (_, value) in self._samples().items():
            if value != self.before.get(key, ("", 0.0))[1]:
                for label, said in key[1]:
                    found.setdefault(label, set()).add(said)
        return found

    @staticmethod
    def _samples() -> dict[Sample, tuple[str, float]]:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): (family.name, sample.value)
            for family in telemetry.registry.collect()
            for sample in family.samples
            if not sample.name.endswith("_created")
        }


class Collects(Sink):
    """Takes everything."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def send(self, events: Sequence[Outgoing]) -> None:
        """Take them."""
        self.ids += [event.id for event in events]


async def test_every_metric_moves_and_its_labels_are_names(tmp_path: Path) -> None:
    watch = Watch()
    async with lmdb_log(tmp_path / "doors", region="eu") as log:
        await doors_and_sources(log, watch)
        await delivered(log, watch)
    await troubled_delivery(watch)
    await stopped_loop(watch)
    await full_and_trimmed(tmp_path / "full", watch)
    await damaged(tmp_path / "damaged", watch)
    await linked(tmp_path, watch)
    await lied_to(watch)

    declared = {family.name for family in telemetry.registry.collect()}
    assert declared - watch.moved == set()
    labels = watch.labels()
    statuses = labels.pop("status")
    assert all(STATUSES.fullmatch(status) for status in statuses), statuses
    labels.pop("le")
    for label, values in labels.items():
        assert values <= NAMES | DOORS, label


async def doors_and_sources(log: LmdbLog, watch: Watch) -> None:
    """What comes in: taken, twice, changed, returned, refused."""
    letters = DeadLetters(log, SystemClock())
    ingest = Ingest(log, log, bury=letters.bury_refused, clock=SystemClock(), limit=10_000)
    async with HttpDoor("127.0.0.1:0", ingest, Limits()) as http, GrpcDoor("127.0.0.1:0", ingest, Limits()) as grpc:
        async with wire.dial(http.address) as line:
            for request, status in (
                (wire.event(1), 202),
                (wire.event(1), 202),
                (wire.event(1, b'{"n":2}'), 202),
                (wire.event(2, b"{}", f"ce-{ORIGIN}: {log.log_id}:1"), 202),
                (wire.post(b"{}"), 400),
            ):
                await line.say(request)
                assert (await line.hear()).status == status
                watch.look()
        async with Client(grpc.address) as client:
            await client.publish([Event(str(number), "/shop", "t") for number in range(20)])
            watch.look()
    await ingest.door("orders", "main").accept([Event("", "/shop", "t"), Event("good", "/shop", "t")])
    watch.look()


async def delivered(log: LmdbLog, watch: Watch) -> None:
    """What goes out without trouble, half of it filtered."""
    sink = Collects()
    clock = SystemClock()
    subscription = Subscription(
        "billing",
        prepare=lambda event: (event,) if len(event.id) == 1 else (),
        regions=frozenset({"eu"}),
        start="earliest",
    )
    letters = DeadLetters(log, clock)
    delivery = Delivery(subscription, log, log, sink, Destination("hook", clock), letters, Lookout(log), clock)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(delivery.run())
        await until(lambda: len(sink.ids) >= 12)
        running.cancel()
    watch.look()


async def troubled_delivery(watch: Watch) -> None:
    """A key that is stuck, and one that is refused."""
    scene = Scene()

    def answer(events: Sequence[Outgoing]) -> None:
        if any(event.subject == "k0" for event in events):
            raise Unavailable("HTTP 500")
        if any(event.subject == "bad" for event in events):
            raise Rejected("HTTP 422")

    scene.sink.answer = answer
    async with scene.running(scene.delivery(order_by="subject")):
        for number in range(100):
            await scene.publish(make(number, "bad" if number == 5 else f"k{number % 3}"))
            await scene.clock.advance(1.0)
            watch.look()
        scene.sink.answer = lambda _: None
        await scene.until(lambda: watch.look() and len(scene.sink.arrived) == 99)


async def stopped_loop(watch: Watch) -> None:
    """A loop that fails once."""
    clock = FakeClock()
    failures = [Unavailable("gone")]

    async def run() -> None:
        if failures:
            raise failures.pop()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_running(Health("a loop"), run, clock))
        await clock.advance(60)
    watch.look()


async def full_and_trimmed(folder: Path, watch: Watch) -> None:
    """A log that is full, and one that drops what somebody had not read."""
    async with lmdb_log(folder / "refuse", at_most=2 << 20) as log:
        log.holds = lambda: {"slow": 1}
        try:
            for number in range(100):
                await log.append([batch(number, size=50_000)])
        except LogFull:
            watch.look()
    async with lmdb_log(folder / "drop", at_most=2 << 20, full="drop_oldest") as log:
        log.holds = lambda: {"slow": 1}
        await log.write([], positions={"cursor/slow": (None, Cursor(0, log=log.log_id).dump())})
        for number in range(100):
            await log.append([batch(number, size=50_000)])
        sink, clock = Collects(), SystemClock()
        slow = Subscription("slow", lambda event: (event,), frozenset({"eu"}))
        letters = DeadLetters(log, clock)
        delivery = Delivery(slow, log, log, sink, Destination("hook", clock), letters, Lookout(log), clock)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(delivery.run())
            await until(lambda: bool(sink.ids))
            running.cancel()
        watch.look()


async def damaged(folder: Path, watch: Watch) -> None:
    """A frame with a flipped bit."""
    async with lmdb_log(folder) as log:
        for number in range(3):
            await log.append([batch(number, size=5000)])
    with (folder / DATA).open("r+b") as file:
        file.seek(file.read().index(noise(1, 5000)[100:200]))
        file.write(b"\0\0\0\0")
    async with lmdb_log(folder) as log:
        assert (await log.read(after=Position(log.log_id, 0), limit=1 << 20)).gaps == ((2, 2),)
        watch.look()


async def linked(folder: Path, watch: Watch) -> None:
    """Two regions; then the first one loses its disk."""
    async with lmdb_log(folder / "eu", region="eu") as eu:
        async with lmdb_log(folder / "us", region="us") as us:
            await publish(us, 1, 3000, per_frame=10)
            async with serving(us) as server, following(eu, {"us": f"127.0.0.1:{server.port}"}):
                await until(lambda: watch.look() and eu.end == 3000)
                await us.append(pack("main", [Event("last", "/shop", "t")]))
                await until(lambda: watch.look() and eu.end == 3001)
        async with lmdb_log(folder / "us again", region="us") as us:
            await publish(us, 1, 10)
            async with serving(us) as server, following(eu, {"us": f"127.0.0.1:{server.port}"}):
                await until(lambda: watch.look() and eu.end == 3011)


async def lied_to(watch: Watch) -> None:
    """A peer sends a page that is not what was appended there."""
    async with (
        lying([BEGUN, page(flipped(honest().data, 30), upto=5)]) as address,
        asyncio.timeout(10),
    ):
        try:
            await follow(address, memory("eu"))
        except Damaged:
            watch.look()
