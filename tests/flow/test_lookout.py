"""Subscriptions for which nothing new comes sleep on, and their cursors move all the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.codec.frames import pack, seal
from gateway.core.errors import Unavailable
from gateway.flow.lookout import Lookout
from gateway.flow.subscription import Limits
from gateway.log.memory import MemoryLog
from tests.clock import settle
from tests.flow.delivering import REGION, Scene, make
from tests.flow.looking_out import CountedLog, filtered, large, scene, wanted, without_lookout

if TYPE_CHECKING:
    from gateway.core.records import Page, Position


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
