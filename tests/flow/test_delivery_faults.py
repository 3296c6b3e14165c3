"""Delivery when the destination is wrong: F13 to F15, F17 and F18 of the fault matrix."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from gateway.core.errors import Gone, Unauthorized, Unavailable
from gateway.core.retry import Retry
from gateway.flow.subscription import Limits
from tests.clock import settle
from tests.flow.delivering import Scene, Told, make
from tests.flow.delivering_faults import cannot_connect, down, failing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.core.event import Outgoing

    Answer = Callable[[Sequence[Outgoing]], None]

DAY = 86400.0


@pytest.mark.parametrize("max_batch", [1, 10])
@pytest.mark.parametrize("events", [1, 100])
async def test_nothing_is_buried_for_the_destinations_sake(max_batch: int, events: int) -> None:
    """F13: a sink that is away for a day, with give_up at one hour."""
    scene = Scene(max_batch=max_batch)
    scene.sink.answer = cannot_connect if events == 1 else down
    await scene.publish(*(make(number) for number in range(events)))
    delivery = scene.delivery(retry=Retry(give_up=3600.0), limits=Limits(save_every=60.0))

    async with scene.running(delivery):
        await scene.clock.advance(DAY)
        assert delivery.status.destination == "down"
        attempts = len(scene.sink.attempts)
        scene.sink.answer = lambda _: None
        await scene.until(lambda: delivery.lowest_needed() == events + 1)

    assert sorted(map(int, scene.sink.ids)) == list(range(events))
    assert scene.dead_letters.list() == ()
    assert attempts < DAY / 10


async def test_probes_pause_longer_and_longer_up_to_the_limit() -> None:
    scene = Scene()
    scene.sink.answer = cannot_connect
    await scene.publish(make(1))

    async with scene.running(scene.delivery()):
        await scene.clock.advance(3600)

    times = [at for at, _ in scene.sink.attempts]
    pauses = [late - early for early, late in pairwise(times[20:])]
    assert max(pauses) <= 30.0
    assert 10 < sum(pauses) / len(pauses) < 20


async def test_a_dead_sink_delays_no_other_subscription() -> None:
    """F13: nor does a hanging one (F18)."""
    scene = Scene()
    dead, hanging = Told(scene.clock), Scene()
    dead.answer = down
    never = asyncio.Event()

    async def hang(events: Sequence[Outgoing]) -> None:
        await never.wait()

    hanging.sink.pause = hang
    hanging.log = scene.log
    hanging.clock = scene.clock
    elsewhere = Scene()
    elsewhere.log, elsewhere.clock = scene.log, scene.clock
    await scene.publish(*(make(number) for number in range(1000)))
    healthy = scene.delivery(name="healthy")

    async with scene.running(
        healthy, elsewhere.delivery(name="dead", sink=dead), hanging.delivery(name="hanging", sink=hanging.sink)
    ):
        await settle()
        await scene.until(lambda: len(scene.sink.arrived) == 1000, at_most=0.1)


async def test_load_on_a_sink_that_fails_half_is_not_amplified() -> None:
    """F14: at most 1.1 attempts an event (and the allowance a second) while it fails half of them."""
    scene = Scene()
    turn = iter(range(1_000_000))

    def half(events: Sequence[Outgoing]) -> None:
        if hash((next(turn), "salt")) % 2:
            raise Unavailable("HTTP 500")

    scene.sink.answer = half
    events = 3000
    await scene.publish(*(make(number) for number in range(events)))
    delivery = scene.delivery(limits=Limits(in_memory=100_000))

    async with scene.running(delivery):
        began = scene.clock.monotonic()
        await scene.until(lambda: len({id_ for _, ids in scene.sink.attempts for id_ in ids}) == events)
        seconds = scene.clock.monotonic() - began
        attempts = len(scene.sink.attempts)
        scene.sink.answer = lambda _: None
        await scene.until(lambda: len(scene.sink.arrived) == events)

    assert attempts <= 1.1 * events + 5 * seconds + 50 + 50
    assert sorted(map(int, scene.sink.ids)) == list(range(events))


async def test_a_wish_for_a_pause_is_obeyed_exactly_by_everybody() -> None:
    """F15: 429 with Retry-After pauses the destination, not the event."""
    scene = Scene()

    def throttle(events: Sequence[Outgoing]) -> None:
        scene.sink.answer = lambda _: None
        raise Unavailable("HTTP 429", after=17.0)

    scene.sink.answer = throttle
    deliveries = [scene.delivery(name=name, lanes=1) for name in ("one", "two")]
    await scene.publish(make(1), make(2))

    async with scene.running(*deliveries):
        await settle()
        asked = scene.sink.attempts[0][0]
        before = len(scene.sink.attempts)
        await scene.clock.advance(16.9)
        assert len(scene.sink.attempts) == before
        assert scene.destination.state == "pausing"
        await scene.clock.advance(0.1)
        assert len(scene.sink.attempts) > before
        await scene.until(lambda: len(scene.sink.arrived) == 4)

    assert scene.sink.attempts[before][0] == pytest.approx(asked + 17.0)


async def test_gone_disables_the_subscription_until_resumed() -> None:
    """F17: over a restart too; its events stay."""
    scene = Scene()
    scene.sink.answer = failing(*range(10), why=Gone)
    await scene.publish(*(make(number) for number in range(10)))
    delivery = scene.delivery(lanes=2)

    async with scene.running(delivery):
        await scene.clock.advance(3600)
        assert delivery.status.state == "disabled"
    tried = len(scene.sink.attempts)
    again = scene.delivery(lanes=2)
    async with scene.running(again):
        await scene.clock.advance(3600)
        assert again.status.state == "disabled"
        assert len(scene.sink.attempts) == tried <= 2
        scene.sink.answer = lambda _: None
        await again.resume()
        await scene.until(lambda: again.lowest_needed() == 11)

    assert sorted(map(int, scene.sink.ids)) == list(range(10))
    assert scene.dead_letters.list() == ()


async def test_refused_credentials_pause_the_destination_with_an_alert(caplog: pytest.LogCaptureFixture) -> None:
    """F28 at this level: 401 and 403 bury nothing."""
    scene = Scene()
    scene.sink.answer = failing(*range(50), why=Unauthorized)
    await scene.publish(*(make(number) for number in range(50)))
    delivery = scene.delivery(retry=Retry(give_up=60.0))

    async with scene.running(delivery):
        await scene.clock.advance(3600)
        assert scene.destination.state == "unauthorized"
        assert len(scene.sink.attempts) < 8 + 3600 / 30
        scene.sink.answer = lambda _: None
        await scene.until(lambda: delivery.lowest_needed() == 51)

    assert scene.dead_letters.list() == ()
    assert "sink refuses our credentials" in caplog.text


async def test_a_hanging_send_is_cut_and_the_breaker_opens() -> None:
    """F18: then one probe at a time, and everything arrives once it answers."""
    scene = Scene()
    never = asyncio.Event()
    sending = 0

    async def hang(events: Sequence[Outgoing]) -> None:
        nonlocal sending
        sending += 1
        try:
            await never.wait()
        finally:
            sending -= 1

    scene.sink.pause = hang
    await scene.publish(*(make(number) for number in range(100)))
    delivery = scene.delivery(retry=Retry(give_up=600.0))

    async with scene.running(delivery):
        await scene.clock.advance(50)
        assert sending == 8
        await scene.clock.advance(30)
        assert scene.destination.is_down
        await scene.clock.advance(7200)
        assert sending <= 1
        scene.sink.pause = None
        await scene.until(lambda: delivery.lowest_needed() == 101)

    assert sorted(map(int, scene.sink.ids)) == list(range(100))
    assert scene.dead_letters.list() == ()


async def test_cancelling_during_a_cut_still_cancels() -> None:
    """A stop that falls together with a deadline is not swallowed."""
    scene = Scene()
    never = asyncio.Event()

    async def hang(events: Sequence[Outgoing]) -> None:
        try:
            await never.wait()
        finally:
            await settle()

    scene.sink.pause = hang
    await scene.publish(make(1))
    delivery = scene.delivery()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(delivery.run())
        await scene.clock.advance(59.99)
        for slot in delivery._slots:
            slot.cut_after(0.0, scene.clock.monotonic())
        await asyncio.sleep(0)
        running.cancel()

    assert running.cancelled()


async def test_a_bad_event_in_every_lane_does_not_keep_the_destination_down() -> None:
    """Probes go by turns over the events of a batch."""
    scene = Scene(max_batch=10)
    scene.sink.answer = failing(0, 10)
    await scene.publish(*(make(number) for number in range(20)))
    delivery = scene.delivery(lanes=2)

    async with scene.running(delivery):
        await scene.until(lambda: len(scene.sink.arrived) == 18, at_most=300)


@pytest.mark.parametrize("max_batch", [1, 10])
async def test_a_burst_of_bad_events_does_not_hold_the_others_for_long(max_batch: int) -> None:
    """F20: more bad events in a row than there are lanes; the breaker opens, and finds the good ones."""
    scene = Scene(max_batch=max_batch)
    scene.sink.answer = failing(*range(20))
    await scene.publish(*(make(number) for number in range(60)))

    async with scene.running(scene.delivery(lanes=2)):
        await scene.until(lambda: len(scene.sink.arrived) == 40, at_most=300)
        scene.sink.answer = lambda _: None
        await scene.until(lambda: len(scene.sink.arrived) == 60)


async def test_what_a_sink_should_not_raise_counts_as_unavailable(caplog: pytest.LogCaptureFixture) -> None:
    """Our bug must not bury somebody's event; it is said once."""
    scene = Scene()
    scene.sink.answer = failing(*range(5), why=ZeroDivisionError)
    await scene.publish(*(make(number) for number in range(5)))

    async with scene.running(scene.delivery()):
        await scene.clock.advance(60)
        scene.sink.answer = lambda _: None
        await scene.until(lambda: len(scene.sink.arrived) == 5)

    assert scene.dead_letters.list() == ()
    assert caplog.text.count("sink failed in a way it should not") == 1


@pytest.mark.parametrize("events", [1, 2])
@pytest.mark.parametrize("give_up", [2.0, 600.0])
@pytest.mark.parametrize("cause", [None, ConnectionRefusedError()])
async def test_few_events_are_not_given_up_for_the_destinations_sake(
    events: int, give_up: float, cause: Exception | None
) -> None:
    """F13 with one or two events under way: it takes nothing for hours, so nothing can be told about them."""
    scene = Scene()

    def down(_: Sequence[Outgoing]) -> None:
        raise Unavailable("HTTP 503") from cause

    scene.sink.answer = down
    await scene.publish(*(make(number) for number in range(events)))
    limits = Limits(save_every=20.0)  # hours pass in fewer steps
    async with scene.running(scene.delivery(retry=Retry(first=2.0, give_up=give_up), limits=limits)):
        await scene.clock.advance(4 * 3600)
        assert scene.destination.state == "down"
        assert scene.dead_letters.list() == ()
        scene.sink.answer = lambda _: None
        await scene.until(lambda: len(scene.sink.arrived) == events, at_most=60)
