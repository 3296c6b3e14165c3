"""The waiting log: a stuck key leaves the cursor free, keeps its order, and survives a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.core.errors import LogFull, Unavailable
from gateway.core.retry import Retry
from gateway.flow.subscription import Limits
from gateway.flow.waiting import TABLE
from tests.flow.delivering import Scene, make
from tests.flow.test_delivery import metric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.core.event import Outgoing
    from gateway.core.records import Row

    Positions = Mapping[str, tuple[bytes | None, bytes | None]]


def refusing(scene: Scene, *keys: str) -> Callable[[Sequence[Outgoing]], None]:
    """An answer that fails for these keys, and counts the others as arrived."""

    def answer(events: Sequence[Outgoing]) -> None:
        if any(event.subject in keys for event in events):
            raise Unavailable("HTTP 500")

    return answer


async def flow(scene: Scene, start: int, count: int, *, seconds: float = 1.0) -> int:
    """Publish one event a second, by turns of the keys k0, k1 and k2; return the next number."""
    for number in range(start, start + count):
        await scene.publish(make(number, f"k{number % 3}"))
        await scene.clock.advance(seconds)
    return start + count


def of_key(scene: Scene, key: str) -> list[int]:
    return [int(event.id) for event in scene.sink.arrived if event.subject == key]


@pytest.mark.parametrize("order_by", ["subject", None])
async def test_after_a_minute_a_stuck_event_waits_apart_and_the_cursor_goes_on(order_by: str | None) -> None:
    scene = Scene()
    scene.sink.answer = refusing(scene, "k0")
    delivery = scene.delivery(order_by=order_by)

    async with scene.running(delivery):
        number = await flow(scene, 0, 50)
        assert delivery.lowest_needed() == 1
        number = await flow(scene, number, 100)
        assert delivery.lowest_needed() > 60
        assert delivery.status.waiting >= len(scene.log.rows(TABLE)) > 20
        assert metric("waiting_events", subscription="bill") > 20
        assert len(of_key(scene, "k1")) >= 48
        scene.sink.answer = lambda _: None
        await scene.until(lambda: len(scene.sink.arrived) == number)
        await scene.until(lambda: delivery.lowest_needed() == number + 1 and not scene.log.rows(TABLE))

    assert delivery.status.waiting == 0
    if order_by:
        assert of_key(scene, "k0") == list(range(0, number, 3))
    assert sorted(of_key(scene, "k0")) == list(range(0, number, 3))


async def test_waiting_events_survive_a_restart_in_order() -> None:
    scene = Scene()
    scene.sink.answer = refusing(scene, "k0", "k1")
    async with scene.running(scene.delivery(order_by="subject")):
        number = await flow(scene, 0, 150)
    waiting = len(scene.log.rows(TABLE))
    again = scene.delivery(order_by="subject")
    async with scene.running(again):
        assert again.status.waiting >= waiting > 50
        number = await flow(scene, number, 30)
        scene.sink.answer = lambda _: None
        await scene.until(lambda: len(scene.sink.arrived) == number)

    for key in range(3):
        assert of_key(scene, f"k{key}") == list(range(key, number, 3))


async def test_a_stuck_event_waits_apart_once_it_is_far_behind() -> None:
    scene = Scene(max_batch=10)
    scene.sink.answer = refusing(scene, "k0")
    delivery = scene.delivery(order_by="subject", limits=Limits(open_behind=1000))
    await scene.publish(make(0, "k0"))

    async with scene.running(delivery):
        await scene.publish(*(make(number, f"n{number % 50}") for number in range(1, 999)))
        await scene.clock.advance(3)
        assert delivery.lowest_needed() == 1
        await scene.publish(*(make(number, f"n{number % 50}") for number in range(999, 1100)))
        await scene.clock.advance(3)
        assert delivery.lowest_needed() == 1101


async def test_more_stuck_events_than_memory_may_hold_go_to_the_log() -> None:
    """At once, and all of them arrive in the end, each once."""
    scene = Scene(max_batch=1)
    scene.sink.answer = refusing(scene, "k0")
    limits = Limits(in_memory=100)
    events = [make(number, "k0" if number % 5 else "good") for number in range(2000)]
    for start in range(0, 2000, 50):
        await scene.publish(*events[start : start + 50])
    delivery = scene.delivery(order_by="subject", limits=limits)

    async with scene.running(delivery):
        for _ in range(40):
            await scene.clock.advance(1)
            assert delivery._waiting.in_memory <= 150
        scene.sink.answer = lambda _: None
        await scene.until(lambda: len(scene.sink.arrived) == 2000)

    assert of_key(scene, "k0") == [number for number in range(2000) if number % 5]


async def test_a_full_waiting_log_blocks_its_subscription_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.sink.answer = refusing(scene, "k0", "k1")
    limits = Limits(waiting_events=40)
    delivery, other = scene.delivery(order_by="subject", limits=limits), Scene()
    other.log, other.clock = scene.log, scene.clock
    healthy = other.delivery(name="healthy", sink=other.sink)

    async with scene.running(delivery, healthy):
        number = await flow(scene, 0, 300)
        assert delivery.status.state == "blocked"
        assert len(scene.log.rows(TABLE)) <= 40 + 10
        assert len(other.sink.arrived) == 0 or other is not scene
        scene.sink.answer = lambda _: None
        await scene.until(lambda: len(scene.sink.arrived) == number)
        assert delivery.status.state == "running"

    assert caplog.text.count("waiting log is full") == 1
    for key in range(3):
        assert of_key(scene, f"k{key}") == list(range(key, number, 3))


async def test_a_save_that_failed_is_made_up_for(caplog: pytest.LogCaptureFixture) -> None:
    """What moved into the waiting log is written with the next cursor that is."""
    scene = Scene()
    scene.sink.answer = refusing(scene, "k0")
    delivery = scene.delivery(order_by="subject")
    store = Refusing(scene)
    async with scene.running(delivery):
        number = await flow(scene, 0, 50)
        delivery._progress._store = store
        number = await flow(scene, number, 60)
        assert scene.log.rows(TABLE) == []
        delivery._progress._store = scene.log
        number = await flow(scene, number, 5)
    assert caplog.text.count("cursor cannot be saved") == 1
    scene.sink.answer = lambda _: None

    async with scene.running(scene.delivery(order_by="subject")):
        await scene.until(lambda: len(scene.sink.arrived) == number)

    assert of_key(scene, "k0") == list(range(0, number, 3))


class Refusing:
    """A store on a full disk."""

    def __init__(self, scene: Scene) -> None:
        self.rows, self.position, self.positions = scene.log.rows, scene.log.position, scene.log.positions

    async def write(self, rows: Sequence[Row], *, positions: Positions | None = None) -> None:
        raise LogFull("the disk is full")


async def test_giving_up_goes_on_in_the_waiting_log() -> None:
    """Over a restart; the dead letter has the first attempt."""
    scene = Scene()
    scene.sink.answer = refusing(scene, "k0")
    await scene.publish(make(0, "k0"))
    settings = {"order_by": "subject", "retry": Retry(longest=10.0, give_up=200.0)}
    began = scene.clock.now()
    async with scene.running(scene.delivery(**settings)):
        for number in range(1, 100):
            await scene.publish(make(number, "k1"))
            await scene.clock.advance(1)
    assert len(scene.log.rows(TABLE)) == 1

    async with scene.running(scene.delivery(**settings)):
        for number in range(100, 230):
            await scene.publish(make(number, "k1"))
            await scene.clock.advance(1)

    (letter,) = scene.dead_letters.list()
    assert letter.first_at == pytest.approx(began, abs=2)
    assert 190 < letter.last_at - letter.first_at < 225
    assert letter.attempts == len(scene.sink.tries(0))
    assert scene.log.rows(TABLE) == []


async def test_a_renamed_subscription_takes_its_waiting_events_along() -> None:
    scene = Scene()
    scene.sink.answer = refusing(scene, "k0")
    async with scene.running(scene.delivery(name="old", order_by="subject")):
        number = await flow(scene, 0, 120)
    scene.sink.answer = lambda _: None

    async with scene.running(scene.delivery(name="new", was="old", order_by="subject")):
        await scene.until(lambda: len(scene.sink.arrived) == number)

    assert of_key(scene, "k0") == list(range(0, number, 3))
    assert scene.log.rows(TABLE) == []


async def test_without_room_for_rows_events_stay_in_the_log_and_arrived_ones_leave_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Dead letters took the room: nothing more moves, what waited goes as it arrives, and all is made up for."""
    scene = Scene()
    scene.sink.answer = refusing(scene, "k0")
    delivery = scene.delivery(order_by="subject", retry=Retry(first=0.2, longest=5.0))
    async with scene.running(delivery):
        number = await flow(scene, 0, 90)
        assert len(scene.log.rows(TABLE)) > 20
        delivery._progress._store = Growing(scene)
        scene.sink.answer = refusing(scene, "k0", "k1")
        number = await flow(scene, number, 90)
        assert delivery.status.state == "blocked"
        scene.sink.answer = refusing(scene, "k1")
        await scene.until(lambda: scene.log.rows(TABLE) == [], at_most=300)
        position = delivery.lowest_needed()
        assert position < number

        delivery._progress._store = scene.log
        scene.sink.answer = lambda _: None
        await scene.until(lambda: delivery.lowest_needed() == number + 1)

    assert caplog.text.count("waiting log is full") == 1
    for key in range(3):
        assert of_key(scene, f"k{key}") == list(range(key, number, 3))


class Growing(Refusing):
    """A store that may not grow."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._log = scene.log

    async def write(self, rows: Sequence[Row], *, positions: Positions | None = None) -> None:
        there = {key for key, _ in self._log.rows(TABLE, limit=10_000)}
        if sum((row.value is not None) - (row.key in there) for row in rows if row.table == TABLE) > 0:
            raise LogFull("a quarter")
        await self._log.write(rows, positions=positions)
