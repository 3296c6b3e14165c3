"""Whatever happens while subscriptions wait together, nothing is lost and each is told what it misses."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.codec.frames import pack, seal
from gateway.core.cursor import Cursor
from gateway.core.errors import Unavailable
from gateway.core.records import Page, Position, Stored
from gateway.core.retry import Retry
from gateway.flow.subscription import Limits
from tests.clock import settle
from tests.flow.delivering import REGION, Scene, make
from tests.flow.looking_out import CountedLog, scene, wanted, without_lookout
from tests.flow.test_delivery_gaps import HoledLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.event import Outgoing
    from gateway.flow.delivery import Delivery
    from gateway.flow.subscription import Wanted


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
