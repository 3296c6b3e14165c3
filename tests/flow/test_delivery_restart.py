"""Stopped at any moment, killed at any moment: nothing is lost, repeats are bounded, keys stay in order."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from gateway.core.errors import Rejected, Unavailable
from gateway.core.retry import Retry
from gateway.flow.subscription import Limits
from tests.clock import settle
from tests.flow.delivering import Scene, make

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.core.event import Outgoing
    from gateway.core.records import Row

EVENTS = 60
KEYS = 4
LANES = 3
MAX_BATCH = 5


class Slow:
    """A store whose writes take three turns of the loop, and go on when their caller is cancelled."""

    def __init__(self, scene: Scene, tasks: asyncio.TaskGroup) -> None:
        self._scene = scene
        self._tasks = tasks
        self.rows, self.position, self.positions = scene.log.rows, scene.log.position, scene.log.positions

    async def write(
        self,
        rows: Sequence[Row],
        *,
        positions: Mapping[str, tuple[bytes | None, bytes | None]] | None = None,
    ) -> None:
        async def commit() -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            try:
                await self._scene.log.write(rows, positions=positions)
            except BaseException as problem:  # noqa: BLE001  handed to whoever still waits
                if not done.done():
                    done.set_exception(problem)
                return
            if not done.done():
                done.set_result(None)

        done = asyncio.get_running_loop().create_future()
        self._tasks.create_task(commit())
        await done


def answer(*, faulty: bool) -> Callable[[Sequence[Outgoing]], None]:
    """Event 7 fails five times, event 11 is rejected."""
    failures = iter(range(5))

    def answer(events: Sequence[Outgoing]) -> None:
        ids = {event.id for event in events}
        if faulty and "7" in ids and next(failures, None) is not None:
            raise Unavailable("HTTP 500")
        if faulty and "11" in ids:
            raise Rejected("HTTP 400")

    return answer


def check(scene: Scene, *, faulty: bool, repeats: int) -> None:
    ids = [int(event.id) for event in scene.sink.arrived]
    buried = [letter.event for letter in scene.dead_letters.list()]
    seen = Counter(ids)
    assert set(ids) == set(range(EVENTS)) - ({11} if faulty else set()), "lost"
    assert [event.id for event in buried if event] == (["11"] if faulty else []), "buried"
    assert sum(seen.values()) - len(seen) <= repeats, "repeated"
    for key in range(KEYS):
        first = list(dict.fromkeys(number for number in ids if number % KEYS == key))
        assert first == sorted(first), "reordered"


@pytest.mark.parametrize("faulty", [False, True])
@pytest.mark.parametrize("order_by", ["subject", None])
async def test_cancelled_at_any_turn_nothing_is_lost(order_by: str | None, faulty: bool) -> None:
    """Cancelled, the cursor is saved once more: only what was being sent repeats."""
    for turn in range(80):
        scene = Scene(max_batch=MAX_BATCH)
        scene.sink.answer = answer(faulty=faulty)
        await scene.publish(*(make(number, f"k{number % KEYS}") for number in range(EVENTS)))
        settings = {"order_by": order_by, "lanes": LANES, "retry": Retry(first=0.1)}
        limits = Limits(open_for=0.05, save_every=0.05)
        async with asyncio.TaskGroup() as tasks:
            store = Slow(scene, tasks)
            scene.dead_letters._store = store
            first = scene.delivery(limits=limits, **settings)
            first._store = first._progress._store = store
            running = tasks.create_task(first.run())
            for _ in range(turn):
                await asyncio.sleep(0)
                if turn % 3 == 0:
                    await scene.clock.advance(0.01)
            running.cancel()
            await settle()
            assert running.cancelled() or running.done()
            second = scene.delivery(limits=limits, **settings)
            second._store = second._progress._store = store
            running = tasks.create_task(second.run())
            await scene.until(lambda second=second: second.lowest_needed() == EVENTS + 1 and not second._waiting.events)
            running.cancel()

        if order_by is None:
            ids = Counter(int(event.id) for event in scene.sink.arrived)
            assert set(ids) == set(range(EVENTS)) - ({11} if faulty else set())
            assert sum(ids.values()) - len(ids) <= (LANES + 1) * MAX_BATCH
        else:
            check(scene, faulty=faulty, repeats=(LANES + 1) * MAX_BATCH)


@pytest.mark.parametrize("turns", range(8))
async def test_a_save_that_was_cancelled_and_committed_after_all_is_known_as_ours(turns: int) -> None:
    scene = Scene()
    await scene.publish(*(make(number) for number in range(10)))
    async with asyncio.TaskGroup() as tasks:
        store = Slow(scene, tasks)
        delivery = scene.delivery()
        delivery._store = delivery._progress._store = store
        running = tasks.create_task(delivery.run())
        await settle()
        await scene.until(lambda: delivery.lowest_needed() == 11)
        await scene.publish(make(10), make(11))
        await settle()
        delivery._saver.ring()
        for _ in range(turns):
            await asyncio.sleep(0)
        await scene.publish(make(12))
        running.cancel()

    assert running.cancelled()
    assert delivery.lowest_needed() in (13, 14)
    assert scene.log.position("cursor/bill") == delivery._progress._saved


@pytest.mark.parametrize("faulty", [False, True])
async def test_killed_at_any_turn_nothing_is_lost(faulty: bool) -> None:
    """Killed (no last save): what was settled since the last save repeats too."""
    for turn in range(0, 200, 3):
        scene = Scene(max_batch=MAX_BATCH)
        scene.sink.answer = answer(faulty=faulty)
        await scene.publish(*(make(number, f"k{number % KEYS}") for number in range(EVENTS)))
        settings = {"order_by": "subject", "lanes": LANES, "retry": Retry(first=0.1)}
        limits = Limits(open_for=0.05, save_every=0.05)
        async with asyncio.TaskGroup() as tasks:
            first = scene.delivery(limits=limits, **settings)
            running = tasks.create_task(first.run())
            for _ in range(turn):
                await asyncio.sleep(0)
                if turn % 2 == 0:
                    await scene.clock.advance(0.005)
            first._progress.save = nothing
            running.cancel()
            await settle()
            second = scene.delivery(limits=limits, **settings)
            running = tasks.create_task(second.run())
            await scene.until(lambda second=second: second.lowest_needed() == EVENTS + 1 and not second._waiting.events)
            running.cancel()

        check(scene, faulty=faulty, repeats=EVENTS)


async def nothing(*_: object) -> None:
    """A save that a kill prevented."""


async def test_idempotency_keys_are_the_same_after_a_restart() -> None:
    scene = Scene()
    await scene.publish(make(1))
    first = scene.delivery()
    first._progress.save = nothing
    async with scene.running(first):
        await scene.until(lambda: len(scene.sink.arrived) == 1)

    async with scene.running(scene.delivery()):
        await scene.until(lambda: len(scene.sink.arrived) == 2)

    one, two = scene.sink.arrived
    assert one.idempotency_key == two.idempotency_key


async def test_settled_ranges_survive() -> None:
    """What was settled behind an open offset is not sent again."""
    scene = Scene()
    never = asyncio.Event()

    async def one_hangs(events: Sequence[Outgoing]) -> None:
        if events[0].id == "3":
            await never.wait()

    scene.sink.pause = one_hangs
    await scene.publish(*(make(number) for number in range(100)))
    async with scene.running(scene.delivery()):
        await scene.until(lambda: len(scene.sink.arrived) == 99)
    scene.sink.pause = None

    again = scene.delivery()
    async with scene.running(again):
        await scene.until(lambda: again.lowest_needed() == 101)

    assert len(scene.sink.arrived) == 100


async def test_the_clock_of_giving_up_survives_restarts() -> None:
    scene = Scene()

    def one_fails(events: Sequence[Outgoing]) -> None:
        if events[0].id == "0":
            raise Unavailable("HTTP 500")

    scene.sink.answer = one_fails
    await scene.publish(make(0))
    number = 1
    began = scene.clock.monotonic()
    while not scene.dead_letters.list():
        delivery = scene.delivery(retry=Retry(longest=5.0, give_up=50.0))
        async with scene.running(delivery):
            for _ in range(4):
                await scene.publish(make(number))
                number += 1
                await scene.clock.advance(3)
        assert scene.clock.monotonic() - began < 120

    (letter,) = scene.dead_letters.list()
    assert letter.first_at < letter.last_at - 45
    assert letter.attempts == len(scene.sink.tries(0))
