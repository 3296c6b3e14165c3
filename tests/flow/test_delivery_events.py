"""Delivery when an event is wrong: F16, F20, F21 and F23 of the fault matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.core.errors import LogFull, PartialFailure, Rejected, Unavailable
from gateway.core.retry import Retry
from tests.clock import settle
from tests.flow.delivering import Scene, make
from tests.flow.delivering_faults import failing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.core.event import Event, Outgoing

    Answer = Callable[[Sequence[Outgoing]], None]

DAY = 86400.0


@pytest.mark.parametrize("max_batch", [1, 7])
async def test_rejected_is_never_repeated_and_is_buried_with_the_answer(max_batch: int) -> None:
    """F16: with a batch sink that refuses the whole batch, the bad events are found."""
    scene = Scene(max_batch=max_batch)
    scene.sink.answer = failing(3, 4, 11, why=Rejected)
    await scene.publish(*(make(number) for number in range(20)))
    delivery = scene.delivery()

    async with scene.running(delivery):
        await scene.until(lambda: delivery.lowest_needed() == 21)

    letters = scene.dead_letters.list("bill")
    assert [letter.event for letter in letters] == [make(3), make(4), make(11)]
    assert letters[0].reason == "not 3"
    assert (letters[0].attempts, letters[0].origin_offset, letters[0].redrives) == (1, 4, 0)
    assert sorted(map(int, scene.sink.ids)) == [n for n in range(20) if n not in (3, 4, 11)]
    if max_batch == 1:
        assert [len(scene.sink.tries(number)) for number in range(20)] == [1] * 20


async def test_a_rejected_event_lets_its_key_go_on() -> None:
    scene = Scene(max_batch=4)
    scene.sink.answer = failing(2, why=Rejected)
    await scene.publish(*(make(number, "k") for number in range(1, 6)))

    async with scene.running(scene.delivery(order_by="subject")):
        await scene.until(lambda: len(scene.sink.arrived) == 4)

    assert scene.sink.ids == ["1", "3", "4", "5"]


async def test_finding_the_rejected_event_of_a_batch_keeps_the_order_of_keys() -> None:
    """The first half fails for now: the events of its keys in the second half wait for it."""
    scene = Scene(max_batch=4)
    failures = iter(range(2))

    def answer(events: Sequence[Outgoing]) -> None:
        ids = {event.id for event in events}
        if "4" in ids:
            raise Rejected("HTTP 400")
        if "1" in ids and next(failures, None) is not None:
            raise Unavailable("HTTP 503")

    scene.sink.answer = answer
    await scene.publish(make(1, "k"), make(2, "other"), make(3, "k"), make(4, "bad"))

    async with scene.running(scene.delivery(order_by="subject", lanes=1)):
        await scene.until(lambda: len(scene.sink.arrived) == 3)

    assert [event.id for event in scene.sink.arrived if event.subject == "k"] == ["1", "3"]


async def test_poison_may_block_its_key_and_no_other() -> None:
    """F20, `poison: block`: until the destination takes it."""
    scene = Scene()
    scene.sink.answer = failing(1, why=Rejected)
    await scene.publish(*(make(number, f"k{number % 2}") for number in range(1, 9)))
    delivery = scene.delivery(order_by="subject", poison="block", retry=Retry(give_up=5.0))

    async with scene.running(delivery):
        await scene.clock.advance(600)
        assert scene.sink.ids == ["2", "4", "6", "8"]
        assert scene.dead_letters.list() == ()
        scene.sink.answer = lambda _: None
        await scene.until(lambda: len(scene.sink.arrived) == 8)

    assert scene.sink.ids == ["2", "4", "6", "8", "1", "3", "5", "7"]


async def test_a_transform_that_rejects_is_a_dead_letter() -> None:
    scene = Scene()
    await scene.publish(make(1), make(2))

    def prepare(event: Event) -> Sequence[Event]:
        if event.id == "1":
            raise Rejected("no total in its data")
        return (event,)

    delivery = scene.delivery(prepare=prepare)
    async with scene.running(delivery):
        await scene.until(lambda: delivery.lowest_needed() == 3)

    (letter,) = scene.dead_letters.list()
    assert (letter.event, letter.reason) == (make(1), "no total in its data")
    assert scene.sink.ids == ["2"]


async def test_a_poison_event_is_given_up_and_holds_only_its_key() -> None:
    """F20: Unavailable for ever, while others arrive; later events of its key follow in order."""
    scene = Scene()
    scene.sink.answer = failing(0)
    await scene.publish(*(make(number, f"k{number % 4}") for number in range(40)))
    delivery = scene.delivery(order_by="subject", retry=Retry(give_up=120.0))
    number = 40

    async with scene.running(delivery):
        await settle()
        others = [id_ for id_ in scene.sink.ids if int(id_) % 4]
        assert len(others) == 30
        while not scene.dead_letters.list():
            await scene.publish(make(number, f"k{number % 4}"))
            number += 1
            await scene.clock.advance(10)
        gave_up_at = scene.clock.monotonic() - 1000.0
        await scene.until(lambda: len(scene.sink.arrived) == number - 1)

    (letter,) = scene.dead_letters.list()
    assert letter.event == make(0, "k0")
    assert letter.reason.startswith("gave up after ")
    assert letter.attempts == len(scene.sink.tries(0)) > 5
    assert 120 <= gave_up_at <= 120 + 30 + 20
    for key in range(4):
        of_key = [int(event.id) for event in scene.sink.arrived if event.group == f"k{key}"]
        assert of_key == [n for n in range(1, number) if n % 4 == key]


async def test_one_bad_event_of_a_batch_holds_no_other() -> None:
    """A sink that can only say that the batch failed."""
    scene = Scene(max_batch=10)
    scene.sink.answer = failing(5)
    await scene.publish(*(make(number) for number in range(30)))

    async with scene.running(scene.delivery(lanes=2)):
        await scene.until(lambda: len(scene.sink.arrived) == 29, at_most=60)

    assert scene.dead_letters.list() == ()


async def test_only_failed_events_of_a_batch_are_repeated() -> None:
    """F23: PartialFailure; a rejected one is buried, those not named are settled."""
    scene = Scene(max_batch=10)
    calls = 0

    def partly(events: Sequence[Outgoing]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            scene.sink.arrived += [event for index, event in enumerate(events) if index not in (2, 4)]
            raise PartialFailure({2: Unavailable("throttled"), 4: Rejected("too old")})

    scene.sink.answer = partly
    await scene.publish(*(make(number) for number in range(10)))
    delivery = scene.delivery(lanes=1)

    async with scene.running(delivery):
        await scene.until(lambda: delivery.lowest_needed() == 11)

    assert [ids for _, ids in scene.sink.attempts] == [[str(n) for n in range(10)], ["2"]]
    assert sorted(map(int, scene.sink.ids)) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert [letter.reason for letter in scene.dead_letters.list()] == ["too old"]


async def test_order_of_a_key_when_its_batch_fails_in_part() -> None:
    """A later event of the key that arrived is settled; everything that did not arrive stays in order."""
    scene = Scene(max_batch=4)
    calls = 0

    def partly(events: Sequence[Outgoing]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            scene.sink.arrived.append(events[2])
            raise PartialFailure(dict.fromkeys((0, 1, 3), Unavailable("throttled")))

    scene.sink.answer = partly
    await scene.publish(*(make(number, "k") for number in range(8)))

    async with scene.running(scene.delivery(order_by="subject")):
        await scene.until(lambda: len(scene.sink.arrived) == 8)

    assert scene.sink.ids == ["2", "0", "1", "3", "4", "5", "6", "7"]


async def test_when_dead_letters_cannot_be_written_their_events_stay(caplog: pytest.LogCaptureFixture) -> None:
    """F21: not settled, not sent again, said once; buried as soon as it works."""
    scene = Scene()
    scene.sink.answer = failing(2, why=Rejected)

    class Full:
        rows, position, positions = scene.log.rows, scene.log.position, scene.log.positions

        async def write(self, *args: object, **settings: object) -> None:
            raise LogFull("the disk is full")

    scene.dead_letters._store = Full()
    await scene.publish(make(1), make(2), make(3))
    delivery = scene.delivery()

    async with scene.running(delivery):
        await scene.clock.advance(50)
        assert delivery.lowest_needed() == 2
        scene.dead_letters._store = scene.log
        await scene.until(lambda: delivery.lowest_needed() == 4)

    assert sorted(scene.sink.ids) == ["1", "3"]
    assert len(scene.sink.tries(2)) == 1
    assert [letter.event for letter in scene.dead_letters.list()] == [make(2)]
    assert caplog.text.count("dead letters cannot be written") == 1


async def test_resuming_tries_held_keys_at_once() -> None:
    """`poison: block` holds a key until the operator resumes, not until the longest pause is over."""
    scene = Scene()
    scene.sink.answer = failing(1, why=Rejected)
    await scene.publish(make(1, "k"), make(2, "k"), make(3, "free"))
    delivery = scene.delivery(order_by="subject", poison="block", retry=Retry(first=1000.0, longest=100_000.0))

    async with scene.running(delivery):
        await scene.clock.advance(100)
        assert scene.sink.ids == ["3"]
        scene.sink.answer = lambda _: None
        await delivery.resume()
        await scene.until(lambda: len(scene.sink.arrived) == 3, at_most=5)

    assert scene.sink.ids == ["3", "1", "2"]


async def test_an_event_that_failed_alone_is_given_up_once_others_arrive() -> None:
    """It waits while nothing tells whose fault it is; then it is its own."""
    scene = Scene()
    scene.sink.answer = failing(0)
    await scene.publish(make(0))
    delivery = scene.delivery(retry=Retry(give_up=120.0))
    async with scene.running(delivery):
        await scene.clock.advance(7200)
        assert scene.dead_letters.list() == ()
        assert scene.destination.is_down
        for number in range(1, 100):
            await scene.publish(make(number))
            await scene.clock.advance(5)

    assert [letter.event for letter in scene.dead_letters.list()] == [make(0)]
    assert len(scene.sink.arrived) == 99
