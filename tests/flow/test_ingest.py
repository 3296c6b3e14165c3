"""Loop 1: durable before acknowledged, recent duplicates dropped, nothing of a source lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.codec.frames import decode_events, encode_events, open_frame
from gateway.core.clock import SystemClock
from gateway.core.errors import LogFull, Unavailable
from gateway.core.event import Event
from gateway.core.records import Position
from gateway.flow.choosing import Choosing
from gateway.flow.ingest import Ingest
from gateway.log.memory import MemoryLog
from gateway.rules.lens import Lens
from tests.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.core.frame import Batch, Frame
    from gateway.core.records import Row


def event(number: int, data: bytes = b"{}") -> Event:
    return Event(id=str(number), source="/test", type="test", data=data)


class GatedLog(MemoryLog):
    """A MemoryLog whose commits wait for a gate, and can fail."""

    def __init__(self) -> None:
        super().__init__("eu")
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.waiting = 0

    async def append(
        self,
        items: Sequence[Batch | Frame],
        *,
        positions: Mapping[str, tuple[bytes | None, bytes | None]] | None = None,
        rows: Sequence[Row] = (),
    ) -> int:
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        if self.failure:
            raise self.failure
        return await super().append(items, positions=positions, rows=rows)


class Buried:
    """Where refused events go."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, str, str]] = []

    async def __call__(self, source: str, event: Event, reason: str) -> None:
        self.letters.append((source, event.id, reason))


def ingest_on(log: MemoryLog, **settings: float) -> tuple[Ingest, Buried]:
    buried = Buried()
    return Ingest(log, log, bury=buried, clock=SystemClock(), limit=10_000, **settings), buried  # type: ignore[arg-type]


async def content(log: MemoryLog) -> list[str]:
    """The ids in the log, in order."""
    ids: list[str] = []
    after = 0
    while after < log.end:
        page = await log.read(after=Position(log.log_id, after), limit=1 << 20)
        ids += [found.id for stored in page.frames for found in open_frame(stored.frame)]
        after = page.upto
    return ids


async def test_a_recent_duplicate_is_dropped_and_acknowledged() -> None:
    log = GatedLog()
    ingest, _ = ingest_on(log)

    await ingest.publish("p", "main", [event(1), event(2)], via="http")
    await ingest.publish("p", "main", [event(2), event(3), event(3)], via="http")

    assert await content(log) == ["1", "2", "3"]


@pytest.mark.parametrize("keeps", [True, False])
async def test_events_are_kept_only_where_somebody_reads_them(keeps: bool) -> None:
    """Where nobody does, their bytes are enough: what was decoded is freed before the commit, and not after it."""
    log = GatedLog()
    readers = {"everything": frozenset({"eu" if keeps else "us"})}
    ingest, _ = ingest_on(log, decide=Choosing({}, readers, Lens(), is_needed=lambda _: False).at("eu"))
    events = [event(1), event(2)]

    await ingest.publish("p", "main", events, packed=encode_events(events), via="grpc")
    await ingest.publish("p", "main", [event(3)], via="http")

    page = await log.read(after=Position(log.log_id, 0), limit=1 << 20)
    assert [stored.opened for stored in page.frames] == ([events, [event(3)]] if keeps else [None, None])
    assert await content(log) == ["1", "2", "3"]


async def test_the_same_id_with_other_data_is_appended() -> None:
    log = GatedLog()
    ingest, _ = ingest_on(log)

    await ingest.publish("p", "main", [event(1, b"1")], via="http")
    await ingest.publish("p", "main", [event(1, b"2")], via="http")

    assert await content(log) == ["1", "1"]


async def test_spaces_do_not_share_a_window() -> None:
    log = GatedLog()
    ingest, _ = ingest_on(log)

    await ingest.publish("p", "one", [event(1)], via="http")
    await ingest.publish("p", "two", [event(1)], via="http")

    assert await content(log) == ["1", "1"]


async def until_waiting(log: GatedLog, number: int) -> None:
    while log.waiting < number:
        await asyncio.sleep(0)


async def test_a_duplicate_of_an_event_under_way_waits_for_its_commit() -> None:
    log = GatedLog()
    log.gate.clear()
    ingest, _ = ingest_on(log)
    first = asyncio.ensure_future(ingest.publish("p", "main", [event(1)], via="http"))
    await until_waiting(log, 1)

    second = asyncio.ensure_future(ingest.publish("p", "main", [event(1)], via="http"))
    for _ in range(20):
        await asyncio.sleep(0)

    assert not second.done()
    log.gate.set()
    await asyncio.gather(first, second)
    assert await content(log) == ["1"]


async def test_a_duplicate_of_an_event_whose_commit_fails_is_appended_itself() -> None:
    log = GatedLog()
    log.gate.clear()
    log.failure = LogFull("full", after=1.0)
    ingest, _ = ingest_on(log)
    first = asyncio.ensure_future(ingest.publish("p", "main", [event(1)], via="http"))
    await until_waiting(log, 1)
    second = asyncio.ensure_future(ingest.publish("p", "main", [event(1)], via="http"))
    for _ in range(5):
        await asyncio.sleep(0)

    log.gate.set()
    with pytest.raises(LogFull):
        await first
    log.failure = None
    await second

    assert await content(log) == ["1"]


async def test_fresh_events_do_not_wait_for_a_duplicate_beside_them() -> None:
    """Else a later batch of their connection could overtake them."""
    log = GatedLog()
    log.gate.clear()
    ingest, _ = ingest_on(log)
    tasks = [
        asyncio.ensure_future(ingest.publish("p", "main", batch, via="http"))
        for batch in ([event(1)], [event(1), event(2)], [event(3)])
    ]
    await until_waiting(log, 3)

    log.gate.set()
    await asyncio.gather(*tasks)

    assert await content(log) == ["1", "2", "3"]


async def test_a_cancelled_publish_is_not_taken_for_durable() -> None:
    log = GatedLog()
    log.gate.clear()
    ingest, _ = ingest_on(log)
    first = asyncio.ensure_future(ingest.publish("p", "main", [event(1)], via="http"))
    await until_waiting(log, 1)

    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    log.gate.set()
    await ingest.publish("p", "main", [event(1)], via="http")

    assert await content(log) == ["1"]


async def test_the_window_survives_a_restart() -> None:
    log = GatedLog()
    before, _ = ingest_on(log)
    await before.publish("p", "main", [event(1), event(2)], via="http")

    after, _ = ingest_on(log)
    assert await after.rebuild() == 2
    await after.publish("p", "main", [event(2), event(3)], via="http")

    assert await content(log) == ["1", "2", "3"]


async def test_what_comes_back_to_its_region_is_dropped() -> None:
    log = GatedLog()
    ingest, _ = ingest_on(log)
    back = event(1).but(extensions={"isthorigin": f"{log.log_id}:5"})
    foreign = event(2).but(extensions={"isthorigin": "us/n1@1:5"})

    await ingest.publish("p", "main", [back, foreign], via="http")

    assert await content(log) == ["2"]


async def test_packed_and_unpacked_events_are_stored_alike() -> None:
    log = GatedLog()
    ingest, _ = ingest_on(log)
    many = [event(number, b"\x00\xff") for number in range(1200)]

    await ingest.publish("p", "main", many[:300], packed=encode_events(many[:300]), via="grpc")
    await ingest.publish("p", "main", many[300:], packed=encode_events(many[300:]), via="grpc")

    assert await content(log) == [str(number) for number in range(1200)]


async def test_a_refused_event_of_a_source_is_buried_and_harms_no_other() -> None:
    log = GatedLog()
    ingest, buried = ingest_on(log)
    bad, large = event(2).but(type=""), event(4, b"x" * 20_000)

    await ingest.door("orders", "main").accept([event(1), bad, event(3), large, event(5)], at="17")

    assert await content(log) == ["1", "3", "5"]
    assert [(source, letter) for source, letter, _ in buried.letters] == [("orders", "2"), ("orders", "4")]
    assert "type" in buried.letters[0][2]
    assert ingest.door("orders", "main").position() == "17"


async def test_accept_again_after_a_cancelled_one_that_went_through_appends_nothing_twice() -> None:
    """The position moved with the events, so the repeat finds it there."""
    log = GatedLog()
    ingest, _ = ingest_on(log, at_most=0)
    door = ingest.door("orders", "main")
    await door.accept([event(1)], at="1")

    async def moved_meanwhile() -> None:
        await log.write((), positions={"source/orders": (b"1", b"2")})

    log.gate.clear()
    task = asyncio.ensure_future(door.accept([event(2)], at="2"))
    await until_waiting(log, 1)
    await moved_meanwhile()
    log.gate.set()
    await task

    assert await content(log) == ["1"]


async def test_a_source_whose_position_somebody_else_moved_does_not_acknowledge() -> None:
    log = GatedLog()
    ingest, _ = ingest_on(log)
    door = ingest.door("orders", "main")
    log.gate.clear()
    task = asyncio.ensure_future(door.accept([event(1)], at="1"))
    await until_waiting(log, 1)
    await log.write((), positions={"source/orders": (None, b"99")})
    log.gate.set()

    with pytest.raises(Unavailable, match="moved"):
        await task

    assert await content(log) == []


async def test_an_event_is_a_duplicate_only_as_long_as_the_window_lasts() -> None:
    """Also where nothing else comes in meanwhile."""
    log, clock = GatedLog(), FakeClock()
    ingest = Ingest(log, log, bury=Buried(), clock=clock, limit=10_000, lasting=10.0)

    await ingest.publish("p", "main", [event(1)], via="http")
    await clock.advance(11.0)
    await ingest.publish("p", "main", [event(1)], via="http")

    assert await content(log) == ["1", "1"]


async def test_a_position_waits_for_the_event_it_stands_for() -> None:
    """The same event comes through a door; its commit fails, and so must the position of the source."""
    log = GatedLog()
    ingest, _ = ingest_on(log)
    log.gate.clear()
    log.failure = LogFull("full", after=1.0)
    posted = asyncio.ensure_future(ingest.publish("p", "main", [event(1)], via="http"))
    await until_waiting(log, 1)

    accepted = asyncio.ensure_future(ingest.door("lines", "main").accept([event(1)], at="17"))
    for _ in range(20):
        await asyncio.sleep(0)
    log.gate.set()

    with pytest.raises(LogFull):
        await posted
    with pytest.raises(LogFull):
        await accepted
    assert ingest.door("lines", "main").position() is None


async def test_what_a_client_packed_wastefully_is_packed_anew() -> None:
    """A map may name a key many times; decoded it is small, and so it must be stored."""
    log = GatedLog()
    ingest, _ = ingest_on(log)
    plain = encode_events([event(1)])
    pair = b"\xa1a" + b"\xd9\x40" + b"x" * 64
    wasteful = plain[:-1] + b"\xde" + (20_000).to_bytes(2, "big") + pair * 20_000
    events = decode_events(wasteful)

    await ingest.publish("p", "main", events, packed=wasteful, via="grpc")

    page = await log.read(after=Position(log.log_id, 0), limit=1)
    assert events[0].extensions == {"a": "x" * 64}
    assert page.frames[0].frame.header.raw < 1000
