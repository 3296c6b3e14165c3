"""Delivery when nothing is wrong: what arrives, in which order, and what is remembered."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest

from gateway.codec.frames import pack, seal
from gateway.core import telemetry
from gateway.core.cursor import Cursor
from gateway.core.errors import Moved
from tests.clock import settle
from tests.flow.delivering import Scene, make

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.event import Outgoing


def metric(name: str, **labels: str) -> float:
    return telemetry.registry.get_sample_value(f"isthmus_{name}", labels) or 0.0


async def test_what_is_in_the_log_arrives_and_is_settled() -> None:
    scene = Scene()
    await scene.publish(*(make(number) for number in range(1200)))
    delivery = scene.delivery()
    before = metric("delivered_events_total", subscription="bill")

    async with scene.running(delivery):
        await scene.until(lambda: len(scene.sink.arrived) == 1200)
        await scene.publish(make(1200))
        await scene.until(lambda: len(scene.sink.arrived) == 1201)
        await scene.until(lambda: delivery.lowest_needed() == 1202)

    assert sorted(map(int, scene.sink.ids)) == list(range(1201))
    assert delivery.lag == 0
    assert metric("delivered_events_total", subscription="bill") - before == 1201


async def test_an_event_arrives_with_its_stamp_its_key_and_its_group() -> None:
    scene = Scene()
    await scene.publish(
        make(1, "k"), make(2, extensions={"partitionkey": "p"}), make(3, extensions={"isthorigin": "o"})
    )
    delivery = scene.delivery(order_by="subject")

    async with scene.running(delivery):
        await scene.until(lambda: len(scene.sink.arrived) == 3)

    first, second, third = sorted(scene.sink.arrived, key=lambda event: event.id)
    assert first.extensions == {"isthorigin": f"{scene.log.log_id}:1"}
    assert (first.data, first.subject, first.group) == (b"1", "k", "k")
    assert second.group == "p"
    assert third.extensions == {"isthorigin": "o"}
    assert third.group is None
    assert len({event.idempotency_key for event in scene.sink.arrived}) == 3
    assert all(len(event.idempotency_key) == 32 for event in scene.sink.arrived)


async def test_without_stamp_an_event_leaves_as_it_came() -> None:
    scene = Scene()
    await scene.publish(make(1))

    async with scene.running(scene.delivery(stamp=False)):
        await scene.until(lambda: bool(scene.sink.arrived))

    assert scene.sink.arrived[0].extensions == {}


async def test_another_subscription_has_another_idempotency_key() -> None:
    scene = Scene()
    await scene.publish(make(1))

    async with scene.running(scene.delivery(name="one"), scene.delivery(name="two")):
        await scene.until(lambda: len(scene.sink.arrived) == 2)

    one, two = scene.sink.arrived
    assert one.idempotency_key != two.idempotency_key


async def test_filtered_events_move_the_position() -> None:
    scene = Scene()
    await scene.publish(*(make(number) for number in range(10)))
    delivery = scene.delivery(prepare=lambda event: (event,) if int(event.id) % 2 else ())
    before = metric("filtered_events_total", subscription="bill")

    async with scene.running(delivery):
        await scene.until(lambda: delivery.lowest_needed() == 11)

    assert sorted(scene.sink.ids) == ["1", "3", "5", "7", "9"]
    assert metric("filtered_events_total", subscription="bill") - before == 5


async def test_a_record_settles_when_all_it_became_is_delivered() -> None:
    scene = Scene()
    await scene.publish(make(1))
    last = asyncio.Event()

    async def second_waits(events: Sequence[Outgoing]) -> None:
        if events[0].id == "1b":
            await last.wait()

    scene.sink.pause = second_waits
    delivery = scene.delivery(prepare=lambda event: (event.but(id=event.id + "a"), event.but(id=event.id + "b")))

    async with scene.running(delivery):
        await scene.until(lambda: scene.sink.ids == ["1a"])
        await scene.clock.advance(5)
        assert delivery.lowest_needed() == 1
        last.set()
        await scene.until(lambda: delivery.lowest_needed() == 2)


async def test_only_records_of_wanted_regions_are_delivered() -> None:
    scene = Scene()
    batch = pack("main", [make(1), make(2)])[0]
    foreign = seal([batch], origin="us-east/n1@00", first=7, accepted=1.0)
    await scene.log.append([foreign])
    await scene.publish(make(3))
    here, there = scene.delivery(name="here"), scene.delivery(name="there", regions=frozenset({"us-east"}))

    async with scene.running(there):
        await scene.until(lambda: there.lowest_needed() == 4)
    async with scene.running(here):
        await scene.until(lambda: here.lowest_needed() == 4)

    assert scene.sink.ids == ["1", "2", "3"]
    assert scene.sink.arrived[0].extensions["isthorigin"] == "us-east/n1@00:7"


@pytest.mark.parametrize("order_by", ["subject", "shard"])
async def test_events_of_a_key_are_sent_one_after_the_other(order_by: str) -> None:
    """In the order of the log, and never two at a time."""
    scene = Scene(max_batch=3)
    sending: set[str | None] = set()

    async def watch(events: Sequence[Outgoing]) -> None:
        groups = {event.group for event in events}
        assert not sending & groups
        sending.update(groups)
        await asyncio.sleep(0)
        sending.difference_update(groups)

    scene.sink.pause = watch
    events = [make(number, f"k{number % 5}", extensions={"shard": f"k{number % 5}"}) for number in range(300)]
    await scene.publish(*events)

    async with scene.running(scene.delivery(order_by=order_by, lanes=4)):
        await scene.until(lambda: len(scene.sink.arrived) == 300)

    for key in range(5):
        assert [int(event.id) for event in scene.sink.arrived if event.group == f"k{key}"] == list(range(key, 300, 5))


@pytest.mark.parametrize(("batch", "largest"), [(None, 10), (4, 4), (50, 10)])
async def test_a_batch_is_as_large_as_sink_and_subscription_allow(batch: int | None, largest: int) -> None:
    scene = Scene(max_batch=10)
    await scene.publish(*(make(number) for number in range(200)))

    async with scene.running(scene.delivery(batch=batch, lanes=2)):
        await scene.until(lambda: len(scene.sink.arrived) == 200)

    assert max(len(ids) for _, ids in scene.sink.attempts) == largest


async def test_lanes_bound_how_many_sends_go_on_at_once() -> None:
    scene = Scene()
    never = asyncio.Event()

    async def hang(events: Sequence[Outgoing]) -> None:
        await never.wait()

    scene.sink.pause = hang
    await scene.publish(*(make(number) for number in range(100)))

    async with scene.running(scene.delivery(lanes=3)):
        await settle()

        assert len(scene.sink.attempts) == 3


async def test_a_slow_sink_is_read_for_slowly() -> None:
    """What is in memory is bounded however far the log is ahead."""
    scene = Scene()
    never = asyncio.Event()

    async def hang(events: Sequence[Outgoing]) -> None:
        await never.wait()

    scene.sink.pause = hang
    for start in range(0, 20_000, 500):
        await scene.publish(*(make(number) for number in range(start, start + 500)))
    delivery = scene.delivery(lanes=2)

    async with scene.running(delivery):
        await settle()

        assert delivery.status.open <= 500


async def test_starts_at_the_end_the_beginning_or_a_moment() -> None:
    scene = Scene()
    await scene.publish(make(1))
    await scene.clock.advance(100)
    moment = scene.clock.now()
    await scene.publish(make(2))
    starts = {"earliest": "earliest", "latest": "latest", "moment": moment}
    deliveries = [scene.delivery(name=name, start=start) for name, start in starts.items()]
    needed = [delivery.lowest_needed() for delivery in deliveries]

    async with scene.running(*deliveries):
        await scene.publish(make(3))
        await scene.until(lambda: all(delivery.lowest_needed() == 4 for delivery in deliveries))

    assert needed == [1, 3, 2]
    assert sorted(scene.sink.ids) == ["1", "2", "2", "3", "3", "3"]


async def test_start_means_nothing_once_there_is_a_cursor() -> None:
    scene = Scene()
    async with scene.running(scene.delivery(start="latest")):
        pass
    await scene.publish(make(1))

    async with scene.running(scene.delivery(start="latest")):
        await scene.until(lambda: scene.sink.ids == ["1"])


async def test_a_paused_subscription_keeps_its_cursor() -> None:
    scene = Scene()
    paused = scene.delivery(start="latest", paused=True)
    async with scene.running(paused):
        await scene.publish(make(1))
        await scene.clock.advance(10)
        assert paused.status.state == "paused"
        assert paused.lowest_needed() == 1
    assert scene.sink.attempts == []

    async with scene.running(scene.delivery(start="latest")):
        await scene.until(lambda: scene.sink.ids == ["1"])


async def test_a_renamed_subscription_goes_on_where_it_was() -> None:
    scene = Scene()
    await scene.publish(make(1))
    old = scene.delivery(name="old")
    async with scene.running(old):
        await scene.until(lambda: scene.sink.ids == ["1"])
    await scene.publish(make(2))
    new = scene.delivery(name="new", was="old")
    needed = new.lowest_needed()

    async with scene.running(new):
        await scene.until(lambda: len(scene.sink.arrived) == 2)

    assert needed == 2
    assert scene.sink.ids == ["1", "2"]
    assert scene.log.position("cursor/old") is None


async def test_a_cursor_has_one_owner() -> None:
    scene = Scene()
    await scene.publish(make(1))
    first = scene.delivery()

    with pytest.RaisesGroup(Moved):
        async with scene.running(first):
            await scene.until(lambda: first.lowest_needed() == 2)
            saved = scene.log.position("cursor/bill")
            await scene.log.write([], positions={"cursor/bill": (saved, Cursor(0).dump())})
            await scene.publish(make(2))
            await scene.clock.advance(5)


async def test_a_frame_that_cannot_be_opened_is_a_dead_letter() -> None:
    """With its offsets; what is around it is delivered."""
    scene = Scene()
    await scene.publish(make(1))
    batch = pack("main", [make(2), make(3)])[0]
    sealed = seal([batch], origin=scene.log.log_id, first=2, accepted=1.0)
    header = type(sealed.header)(99, "", "main", scene.log.log_id, sealed.header.runs, sealed.header.raw)
    await scene.log.append([dataclasses.replace(sealed, header=header)])
    await scene.publish(make(4))
    delivery = scene.delivery()

    async with scene.running(delivery):
        await scene.until(lambda: delivery.lowest_needed() == 5)

    (letter,) = scene.dead_letters.list("bill")
    assert scene.sink.ids == ["1", "4"]
    assert (letter.event, letter.origin, letter.origin_offset, letter.count) == (None, scene.log.log_id, 2, 2)
    assert "codec 99" in letter.reason


async def test_a_gap_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Trimming that overtook the subscription: counted and logged, then it goes on."""
    scene = Scene()
    for number in range(1, 6):
        await scene.publish(make(number))
    async with scene.running(scene.delivery(prepare=lambda event: ())):
        pass
    for number in range(6, 10):
        await scene.publish(make(number))
    await scene.log.trim(9)
    before = metric("log_gap_events_total", reader="bill")

    async with scene.running(scene.delivery()):
        await scene.until(lambda: scene.sink.ids == ["9"])

    assert metric("log_gap_events_total", reader="bill") - before == 3
    assert "records were trimmed before they were delivered" in caplog.text


async def test_another_log_than_the_cursor_knows_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A restored snapshot: what was delivered is unknown, so everything is, again."""
    scene = Scene()
    await scene.publish(make(1), make(2))
    delivery = scene.delivery()
    async with scene.running(delivery):
        await scene.until(lambda: delivery.lowest_needed() == 3)
    restored = Scene()
    restored.log.log_id = scene.log.log_id
    await restored.publish(make(1), make(7))
    saved = scene.log.position("cursor/bill")
    await restored.log.write([], positions={"cursor/bill": (None, saved)})

    async with restored.running(restored.delivery()):
        await restored.until(lambda: len(restored.sink.arrived) == 2)

    assert sorted(restored.sink.ids) == ["1", "7"]
    assert "cursor does not fit the log" in caplog.text


async def test_drain_lets_what_is_under_way_arrive() -> None:
    scene = Scene()
    done = asyncio.Event()

    async def wait(events: Sequence[Outgoing]) -> None:
        await done.wait()

    scene.sink.pause = wait
    await scene.publish(*(make(number) for number in range(10)))
    delivery = scene.delivery(lanes=2)

    async with scene.running(delivery), asyncio.TaskGroup() as tasks:
        draining = tasks.create_task(delivery.drain(10))
        await settle()
        assert not draining.done()
        done.set()

    assert len(scene.sink.attempts) == 2
    assert delivery.lowest_needed() == 3
