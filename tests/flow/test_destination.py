"""The breaker: when it opens, who probes, and which clock stands still meanwhile."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from gateway.core.errors import Unauthorized, Unavailable
from gateway.flow.destination import STRIKES, Destination
from tests.clock import FakeClock, settle
from tests.flow.test_delivery import metric


def refused(cause: Exception | None = None) -> Unavailable:
    problem = Unavailable("HTTP 503")
    problem.__cause__ = cause
    return problem


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def destination(clock: FakeClock) -> Destination:
    return Destination("sink", clock, random=Random(3))


async def test_one_event_that_fails_again_and_again_while_nothing_arrives_opens_it_late(
    destination: Destination,
) -> None:
    """It may be the event; after 20 times in a row nobody can tell."""
    for _ in range(4 * STRIKES):
        assert not destination.is_down
        destination.failed(["one"], refused())

    assert destination.is_down


async def test_one_event_that_fails_while_others_arrive_is_at_fault_itself(destination: Destination) -> None:
    for number in range(100):
        destination.failed(["one"], refused())
        if number % 19 == 18:
            destination.arrived(1, repeated=False)

    assert not destination.is_down


@pytest.mark.parametrize("cause", [ConnectionRefusedError(), TimeoutError()])
async def test_without_an_answer_the_destination_is_at_fault(destination: Destination, cause: Exception) -> None:
    for _ in range(5):
        destination.failed(["one"], refused(cause))

    assert destination.is_down
    assert metric("sink_up", sink="sink") == 0


async def test_it_is_down_when_different_events_fail_in_a_row(destination: Destination) -> None:
    for number in range(5):
        assert not destination.is_down
        destination.failed([number], refused())

    assert destination.state == "down"


async def test_any_arrival_starts_the_count_again(destination: Destination) -> None:
    for number in range(100):
        destination.failed([number], refused())
        if number % 4 == 3:
            destination.arrived(1, repeated=False)

    assert not destination.is_down


async def test_its_uptime_stands_still_while_it_is_down_or_pausing(destination: Destination, clock: FakeClock) -> None:
    await clock.advance(10)
    destination.failed([1], Unavailable("HTTP 429", after=100.0))
    await clock.advance(50)
    assert destination.uptime() == pytest.approx(10)
    await clock.advance(55)
    assert destination.uptime() == pytest.approx(15)
    destination.failed([1], Unauthorized("HTTP 401"))
    await clock.advance(1000)
    assert destination.uptime() == pytest.approx(15)
    destination.arrived(1, repeated=False)
    await clock.advance(5)
    assert destination.uptime() == pytest.approx(20)


async def test_a_clock_that_jumps_changes_nothing(destination: Destination, clock: FakeClock) -> None:
    """F11: durations are monotonic."""
    destination.failed([1], Unavailable("HTTP 429", after=100.0))
    clock.jump(-3600)
    assert destination.state == "pausing"
    clock.jump(7200)
    assert destination.state == "pausing"


async def test_those_who_wait_probe_by_turns_one_at_a_time(destination: Destination, clock: FakeClock) -> None:
    probed: list[str] = []
    sending = 0

    async def send(name: str) -> None:
        nonlocal sending
        while await destination.permit():
            sending += 1
            assert sending == 1
            probed.append(name)
            await clock.sleep(1)
            sending -= 1
            if len(probed) == 9:
                destination.arrived(1, repeated=False)
            else:
                destination.failed([name], refused())

    destination.failed(["x"], Unauthorized("HTTP 403"))
    async with asyncio.TaskGroup() as tasks:
        for name in "abc":
            tasks.create_task(send(name))
        await clock.advance(3600)

    assert probed == list("abcabcabc")
    assert not destination.is_down


async def test_a_cancelled_probe_leaves_its_turn_to_the_next(destination: Destination, clock: FakeClock) -> None:
    destination.failed(["x"], Unauthorized("HTTP 403"))

    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(destination.permit())
        second = tasks.create_task(destination.permit())
        await settle()
        first.cancel()
        await clock.advance(61)
        assert second.done()
        assert second.result()
    destination.abandon()
    assert await destination.permit()


async def test_failed_repeats_are_paid_for_by_first_attempts_or_time(
    destination: Destination, clock: FakeClock
) -> None:
    while not destination.retry_in():
        pass
    destination.arrived(100, repeated=False)
    allowed = 0
    while not destination.retry_in():
        allowed += 1
    assert allowed == 5
    await clock.advance(1)
    while not destination.retry_in():
        allowed += 1
    assert allowed == 10


async def test_repeats_that_arrive_cost_nothing(destination: Destination) -> None:
    for _ in range(1000):
        assert destination.retry_in() == 0
        destination.arrived(1, repeated=True)


async def test_events_known_to_be_bad_say_nothing_about_it(destination: Destination) -> None:
    for _ in range(100):
        destination.failed([], refused(ConnectionResetError()))

    assert not destination.is_down


async def test_events_that_failed_before_probe_only_when_nobody_else_waits(
    destination: Destination, clock: FakeClock
) -> None:
    destination.failed(["x"], Unauthorized("HTTP 403"))

    async with asyncio.TaskGroup() as tasks:
        failed_before = tasks.create_task(destination.permit(again=True))
        await settle()
        fresh = tasks.create_task(destination.permit())
        await clock.advance(61)
        assert fresh.done()
        assert not failed_before.done()
        destination.abandon()
        await settle()
        assert failed_before.result()
