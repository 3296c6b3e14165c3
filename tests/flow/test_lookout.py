"""Subscriptions for which nothing new comes sleep on, and their cursors move all the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from gateway.codec.frames import pack, seal
from gateway.core import telemetry
from gateway.core.cursor import Cursor
from gateway.core.errors import Unavailable
from gateway.core.records import Page, Position, Stored
from gateway.core.retry import Retry
from gateway.flow.choosing import Choosing
from gateway.flow.lookout import PAGE, Lookout
from gateway.flow.subscription import Limits
from gateway.log.memory import MemoryLog
from gateway.rules.dialects import compile_filter
from gateway.rules.lens import Lens
from tests.clock import settle
from tests.flow.delivering import REGION, Scene, make
from tests.flow.test_delivery_gaps import HoledLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from gateway.core.event import Event, Outgoing
    from gateway.flow.delivery import Delivery
    from gateway.flow.subscription import Wanted

HERE = frozenset({REGION})


def large(number: int, key: str) -> Event:
    """An event that is a page by itself."""
    return make(number, key, data=Random(number).randbytes(PAGE))


class CountedLog(MemoryLog):
    """Counts its reads, and fails those of one task when told to."""

    reads = 0
    fails_for: asyncio.Task[None] | None = None

    async def read(self, *, after: Position, limit: int) -> Page:
        """As MemoryLog."""
        self.reads += 1
        if self.fails_for is not None and self.fails_for is asyncio.current_task():
            raise Unavailable("no")
        return await super().read(after=after, limit=limit)


def scene() -> tuple[Scene, CountedLog]:
    made = Scene()
    made.log = log = CountedLog(REGION, clock=made.clock)
    return made, log


def wanted(**subjects: str) -> dict[str, Wanted]:
    """Filters by subject, by the name of the subscription."""
    lens = Lens()
    rules = {name: compile_filter({"exact": {"subject": subject}}, lens=lens) for name, subject in subjects.items()}
    choosing = Choosing(rules, dict.fromkeys(rules, HERE), lens)
    return {name: ask for name in subjects if (ask := choosing.of(name)) is not None}


def filtered(name: str) -> float:
    return float(telemetry.filtered_events.labels(name)._value.get())


@asynccontextmanager
async def without_lookout(delivery: Delivery) -> AsyncIterator[None]:
    running = asyncio.create_task(delivery.run())
    await settle()
    yield
    running.cancel()
    await asyncio.wait([running])


async def test_only_those_who_get_something_read() -> None:
    here, log = scene()
    ask = wanted(a="ka", b="kb", c="kc")
    deliveries = [here.delivery(name=name, wanted=ask[name]) for name in ask]
    before = {name: filtered(name) for name in ask}
    async with here.running(*deliveries):
        await here.publish(make(0, "nobody"), make(100, "nobody"))  # which each reads alone
        await settle()
        log.reads = 0
        for number in range(1, 20):
            await here.publish(make(number, "nobody"), make(100 + number, "nobody"))
            await settle()

        assert log.reads == 19  # the lookout's
        assert [one.lag for one in deliveries] == [0, 0, 0]
        assert {name: filtered(name) - before[name] for name in ask} == {"a": 40, "b": 40, "c": 40}

        log.reads = 0
        await here.publish(make(7, "kb"))
        await here.until(lambda: here.sink.ids == ["7"])
        await settle()

        assert log.reads == 2  # the lookout's, and that of `b`
        assert filtered("b") - before["b"] == 40
        await here.publish(make(8, "nobody"), make(9, "nobody"))
        await settle()
        await here.publish(make(10, "kb"))
        await settle()
        assert filtered("b") - before["b"] == 42  # what was passed over is known once it wakes
        assert [one.lag for one in deliveries] == [0, 0, 0]
        assert {name: filtered(name) - before[name] for name in ask} == {"a": 44, "b": 42, "c": 44}


async def test_what_was_passed_over_is_saved_and_not_read_again() -> None:
    here, log = scene()
    ask = wanted(a="ka")["a"]
    delivery = here.delivery(name="a", wanted=ask)
    async with here.running(delivery):
        for number in range(6):
            await here.publish(make(number, "ka" if number == 2 else "nobody"), make(100 + number, "nobody"))
            await settle()
        await here.until(lambda: delivery.lowest_needed() == 13)

    saved = Cursor.load(log.position("cursor/a") or b"")
    newest = (await log.read(after=Position(log.log_id, 10), limit=1)).frames[-1].frame
    assert (saved.position, saved.hash) == (12, newest.hash_at(1)[:8])

    async with here.running(here.delivery(name="a", wanted=ask)):
        await here.publish(make(3, "ka"))
        await here.until(lambda: here.sink.ids == ["2", "3"])


async def test_what_is_open_holds_the_position_while_the_rest_is_passed_over() -> None:
    here, log = scene()
    delivery = here.delivery(name="a", wanted=wanted(a="ka")["a"], limits=Limits(open_for=3600))

    def refuse(events: Sequence[Outgoing]) -> None:
        raise Unavailable("HTTP 503")

    here.sink.answer = refuse
    async with here.running(delivery):
        await here.publish(make(1, "nobody"), make(2, "ka"), make(3, "nobody"))
        await settle()
        for number in range(4, 9):
            await here.publish(make(number, "nobody"))
            await here.clock.advance(1.5)

        assert (delivery.status.position, delivery.status.open) == (1, 1)
        first = (await log.read(after=Position(log.log_id, 0), limit=1)).frames[0].frame
        saved = Cursor.load(log.position("cursor/a") or b"")
        assert (saved.position, saved.hash, saved.taken) == (1, first.hash_at(0)[:8], 8)

        here.sink.answer = lambda _: None
        await here.until(lambda: delivery.lowest_needed() == 9)
    assert here.sink.ids == ["2"]


async def test_other_regions_are_passed_over_and_not_counted_as_filtered() -> None:
    here, log = scene()
    delivery = here.delivery(name="a", wanted=wanted(a="ka")["a"])
    before = filtered("a")
    async with here.running(delivery):
        batch = pack("main", [make(1, "ka"), make(2)])
        await log.append([seal(batch, origin="us/n1@1", first=70, accepted=1.0)])
        await settle()

        assert (delivery.lag, filtered("a") - before, here.sink.ids) == (0, 0, [])


async def test_without_a_lookout_everybody_reads_alone() -> None:
    here, log = scene()
    async with without_lookout(here.delivery(name="a", wanted=wanted(a="ka")["a"])):
        await here.publish(make(1, "nobody"))
        await settle()
        await here.publish(make(2, "ka"))
        await here.until(lambda: here.sink.ids == ["2"])
        assert log.reads == 3


@pytest.mark.parametrize("fails", [True, False])
async def test_when_it_ends_everybody_reads_alone_and_later_joins_it_again(*, fails: bool) -> None:
    here, log = scene()
    async with without_lookout(here.delivery(name="a", wanted=wanted(a="ka")["a"])):
        await here.publish(make(100, "nobody"))
        await settle()
        for number in range(3):
            looking = asyncio.create_task(here.lookout.run())
            await settle()
            await here.publish(make(10 * number, "nobody"), make(10 * number + 1, "ka"))
            await settle()
            assert len(here.lookout._waiting) == 1
            if fails:
                log.fails_for = looking
                await here.publish(make(10 * number + 2, "nobody"))
            else:
                looking.cancel()
            await asyncio.wait([looking])
            await settle()
            assert not here.lookout._waiting
            await here.publish(make(10 * number + 3, "ka"))
            await settle()
    assert here.sink.ids == ["1", "3", "11", "13", "21", "23"]
    if fails:
        with pytest.raises(Unavailable):
            await looking


async def test_records_trimmed_before_it_looked_wake_those_who_miss_them(caplog: pytest.LogCaptureFixture) -> None:
    here, log = scene()
    delivery = here.delivery(name="a", wanted=wanted(a="ka")["a"])
    async with here.running(delivery):
        await here.publish(make(1, "nobody"))
        await settle()
        await log.append(pack("main", [make(2, "ka")]))
        await log.trim(3)
        await settle()
        assert "trimmed before they were delivered" in caplog.text
        await here.publish(make(3, "ka"))
        await here.until(lambda: here.sink.ids == ["3"])


class GatedLog(CountedLog):
    """A log whose lookout reads only while the gate is open."""

    def __init__(self) -> None:
        super().__init__(REGION)
        self.gate = asyncio.Event()
        self.held: asyncio.Task[None] | None = None

    async def read(self, *, after: Position, limit: int) -> Page:
        """As MemoryLog."""
        if self.held is not None and self.held is asyncio.current_task():
            await self.gate.wait()
        return await super().read(after=after, limit=limit)


async def test_whoever_is_ahead_of_the_lookout_does_not_go_back() -> None:
    here = Scene()
    here.log = log = GatedLog()
    delivery = here.delivery(name="a", wanted=wanted(a="ka")["a"])
    before = filtered("a")
    log.held = asyncio.create_task(here.lookout.run())
    await settle()
    another = asyncio.create_task(here.lookout.wait(0, lambda page, end: True))
    await settle()
    for number in range(1, 4):
        await here.publish(large(number, "ka"))
    await here.publish(large(4, "nobody"))
    async with without_lookout(delivery):
        await here.until(lambda: len(here.sink.ids) == 3)
        _, waiting = here.lookout._waiting

        log.gate.set()
        while here.lookout._position.offset < 4:
            await asyncio.sleep(0)
            assert delivery._intake._after.offset == 4
        assert list(here.lookout._waiting)[1:] == [waiting]
        await here.publish(make(5, "nobody"))
        await settle()
        assert delivery.lag == 0
        await here.publish(make(6, "ka"))
        await here.until(lambda: len(here.sink.ids) == 4)
        assert filtered("a") - before == 2
    assert sorted(here.sink.ids) == ["1", "2", "3", "6"]
    for task in (log.held, another):
        task.cancel()
    await asyncio.wait([log.held, another])


async def test_what_was_open_before_a_restart_is_settled_before_it_waits() -> None:
    """Else what a changed filter does not want any more would hold the position for ever."""
    here, log = scene()
    for number in range(1, 4):
        await here.publish(make(number, "ka"))

    def refuse(events: Sequence[Outgoing]) -> None:
        raise Unavailable("HTTP 503")

    here.sink.answer = refuse
    async with without_lookout(here.delivery(name="a", wanted=wanted(a="ka")["a"])):
        await here.clock.advance(3)
    for stored in log._frames:
        stored.decided = None  # a restart reads them anew
    changed = here.delivery(name="a", wanted=wanted(a="kb")["a"], limits=Limits(page=1))
    async with here.running(changed):
        await here.until(lambda: changed.lowest_needed() == 4)


async def test_with_nobody_to_tell_it_does_not_look() -> None:
    """Where no subscription has a filter, it would only cost."""
    here, log = scene()
    async with here.running(here.delivery(name="a", prepare=lambda _: ())):
        log.reads = 0
        for number in range(5):
            await here.publish(make(number))
            await settle()

        assert log.reads == 5  # of the subscription


async def test_the_first_who_waits_misses_nothing_that_comes_meanwhile() -> None:
    """Also what is appended before the lookout has its turn."""
    here, _ = scene()
    looking = asyncio.create_task(here.lookout.run())
    await settle()
    await here.publish(make(1))
    pages: list[int] = []
    waiting = asyncio.create_task(here.lookout.wait(1, lambda page, end: pages.append(page.upto) is None))
    await asyncio.sleep(0)
    await here.publish(make(2))
    await settle()
    assert pages == [2]
    for task in (looking, waiting):
        task.cancel()
    await asyncio.wait([looking, waiting])


@pytest.mark.parametrize(("position", "hash_there"), [(8, b""), (3, b"12345678"), (5, b"12345678")])
@pytest.mark.parametrize("looks_first", [True, False])
async def test_a_cursor_of_another_log_is_found_out_before_it_waits(
    *, position: int, hash_there: bytes, looks_first: bool
) -> None:
    """Restored from a snapshot, the log ends before the cursor, or has another record there."""
    here, log = scene()
    for number in range(1, 6):
        await here.publish(make(number, "ka"))
    await log.write([], positions={"cursor/a": (None, Cursor(position, log=log.log_id).dump(hash=hash_there))})
    delivery = here.delivery(name="a", wanted=wanted(a="ka")["a"])
    loops = [here.lookout.run, delivery.run]
    running = [asyncio.create_task(run()) for run in (loops if looks_first else reversed(loops))]
    await settle()
    for number in range(6, 10):
        await here.publish(make(number, "nobody" if number == 6 else "ka"))
        await settle()
    await here.until(lambda: delivery.lowest_needed() == 10)
    for task in running:
        task.cancel()
    await asyncio.wait(running)

    assert here.sink.ids == ["1", "2", "3", "4", "5", "7", "8", "9"]


async def test_a_frame_that_cannot_be_looked_into_wakes_everybody() -> None:
    here, log = scene()
    delivery = here.delivery(name="a", wanted=wanted(a="ka")["a"])
    async with here.running(delivery):
        await here.publish(make(1, "nobody"))
        await settle()
        sealed = seal(pack("main", [make(2), make(3)]), origin=log.log_id, first=2, accepted=1.0)
        header = type(sealed.header)(99, "", "main", log.log_id, sealed.header.runs, sealed.header.raw)
        await log.append([replace(sealed, header=header)])
        await settle()
        await here.publish(make(4, "ka"))
        await here.until(lambda: delivery.lowest_needed() == 5)

    (letter,) = here.dead_letters.list("a")
    assert (letter.origin_offset, letter.count, here.sink.ids) == (2, 2, ["4"])


async def test_a_gap_wakes_everybody(caplog: pytest.LogCaptureFixture) -> None:
    here = Scene()
    here.log = log = HoledLog(REGION, clock=here.clock)
    log.holes = frozenset({2})
    delivery = here.delivery(name="a", wanted=wanted(a="ka")["a"])
    async with here.running(delivery):
        for number in range(1, 4):
            await here.publish(make(number, "nobody"))
            await settle()
        assert delivery.lag == 0

    assert "records are damaged and cannot be delivered" in caplog.text


class FarLog(CountedLog):
    """A log that has nothing in memory: each reader gets frames of its own."""

    async def read(self, *, after: Position, limit: int) -> Page:
        """As MemoryLog."""
        page = await super().read(after=after, limit=limit)
        return Page(tuple(Stored(stored.first, stored.frame) for stored in page.frames), page.upto)


async def test_frames_that_nobody_shares_are_left_to_each() -> None:
    here = Scene()
    here.log = log = FarLog(REGION, clock=here.clock)
    ask = wanted(a="ka", b="kb")
    deliveries = [here.delivery(name=name, wanted=ask[name]) for name in ask]
    async with here.running(*deliveries):
        await here.publish(make(0, "nobody"))
        await settle()
        log.reads = 0
        await here.publish(make(1, "ka"))
        await here.until(lambda: here.sink.ids == ["1"])
        assert log.reads == 3
        assert [one.lag for one in deliveries] == [0, 0]


@pytest.mark.parametrize("filter_it", [True, False])
async def test_others_have_their_turns_however_far_behind_it_is(*, filter_it: bool) -> None:
    here, _ = scene()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    looking = asyncio.create_task(here.lookout.run())
    await settle()
    waiting = asyncio.create_task(here.lookout.wait(0, lambda page, end: True))
    await settle()
    turns = 0
    for number in range(50):
        await here.publish(large(number, "nobody"))
    settings = {"wanted": wanted(a="ka")["a"]} if filter_it else {"prepare": lambda _: ()}
    delivery = here.delivery(name="a", limits=Limits(page=1), **settings)
    while here.lookout._position.offset < 50:
        await asyncio.sleep(0)
    looked, turns = turns, 0
    async with without_lookout(delivery):
        while delivery._progress.cursor.taken < 50:
            await asyncio.sleep(0)
    for task in (counting, looking, waiting):
        task.cancel()
    await asyncio.wait([counting, looking, waiting])

    assert looked > 40
    assert turns > 50


async def test_whoever_stops_waiting_leaves_nothing_behind() -> None:
    log = MemoryLog(REGION)
    lookout = Lookout(log)
    looking = asyncio.create_task(lookout.run())
    await settle()
    waiting = asyncio.create_task(lookout.wait(0, lambda page, end: True))
    await settle()
    assert len(lookout._waiting) == 1

    waiting.cancel()
    await asyncio.wait([waiting])
    assert not lookout._waiting

    await log.append(pack("main", [make(1)]))
    await settle()
    await lookout.wait(0, lambda page, end: True)  # behind what it has looked at: nothing to wait for
    looking.cancel()
    await asyncio.wait([looking])
    await lookout.wait(5, lambda page, end: True)  # it does not run


@pytest.mark.parametrize("saves", [True, False])
async def test_stopped_or_killed_at_any_turn_nothing_is_lost(*, saves: bool) -> None:
    """Events come in while subscriptions wait, get something, and are stopped; counted at the sink."""
    for turn in range(0, 90, 2):
        here, _ = scene()
        ask = wanted(a="ka", b="kb")
        limits = Limits(save_every=0.05)
        kinds = ["nobody", "ka", "nobody", "nobody", "kb"]

        def deliveries(here: Scene = here, limits: Limits = limits, ask: dict[str, Wanted] = ask) -> list[Delivery]:
            return [
                here.delivery(name=name, wanted=ask[name], limits=limits, lanes=2, retry=Retry(first=0.1))
                for name in ask
            ]

        first = deliveries()
        running = [asyncio.create_task(one.run()) for one in (*first, here.lookout)]
        for number in range(30):
            await here.publish(make(number, kinds[number % 5]))
            for _ in range(turn % 7):
                await asyncio.sleep(0)
            if number == turn // 3:
                if turn % 4:
                    await here.clock.advance(0.06)
                for one in first if not saves else ():
                    one._progress.save = nothing  # type: ignore[method-assign]  # a kill
                for task in running:
                    task.cancel()
                await asyncio.wait(running)
                second = deliveries()
                running = [asyncio.create_task(one.run()) for one in (*second, here.lookout)]
        await here.until(lambda second=second: all(one.lowest_needed() == 31 for one in second))  # type: ignore[misc]
        for task in running:
            task.cancel()
        await asyncio.wait(running)

        counts = Counter(int(event.id) for event in here.sink.arrived)
        assert set(counts) == {number for number in range(30) if kinds[number % 5] != "nobody"}, turn
        assert not saves or sum(counts.values()) - len(counts) <= 4, turn


async def nothing(*_: object) -> None:
    """A save that a kill prevented."""
