"""Which events a subscription takes of a frame, and what becomes of those that its changes fail on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.codec.frames import open_frame, pack
from gateway.core.errors import Rejected, Unavailable
from gateway.core.records import Position, Stored
from gateway.flow.choosing import Choosing
from gateway.log.memory import MemoryLog
from gateway.rules.dialects import compile_filter
from gateway.rules.lens import Lens
from gateway.rules.rule import Rule
from tests.clock import FakeClock, settle
from tests.flow.delivering import REGION, Scene, make

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.event import Event

HERE = frozenset({REGION})


def choosing(**specs: object) -> Choosing:
    lens = Lens()
    rules = {name: compile_filter(spec, lens=lens) for name, spec in specs.items()}
    return Choosing(rules, dict.fromkeys(rules, HERE), lens)


async def stored(count: int, *, is_shared: bool = True) -> Stored:
    log = MemoryLog(REGION, clock=FakeClock())
    await log.append(pack("main", [make(number, f"k{number % 2}") for number in range(count)]))
    (frame,) = (await log.read(after=Position(log.log_id, 0), limit=1)).frames
    frame.is_shared, frame.opened = is_shared, None
    return frame


@pytest.mark.parametrize("is_shared", [True, False])
async def test_each_subscription_takes_what_passes_its_filter(is_shared: bool) -> None:
    found = choosing(
        even={"exact": {"subject": "k0"}}, big={"match": {"data": [{"numeric": [">", 6]}]}}, none={"sql": "FALSE"}
    )
    frame = await stored(10, is_shared=is_shared)

    chosen = {}
    for name in ("even", "big", "none"):
        ask = found.of(name)
        assert ask is not None
        chosen[name] = [(index, event.id) for index, event in ask(frame)]

    assert chosen == {
        "even": [(0, "0"), (2, "2"), (4, "4"), (6, "6"), (8, "8")],
        "big": [(7, "7"), (8, "8"), (9, "9")],
        "none": [],
    }
    assert (frame.decided is not None) == is_shared
    assert found.of("another") is None


async def test_a_shared_frame_is_decided_once_for_all() -> None:
    """However many subscriptions ask, each rule is asked about an event at most once."""
    asked: list[tuple[str, str]] = []

    def rule(name: str) -> Rule:
        def matches(event: Event) -> bool:
            asked.append((name, event.id))
            return True

        return Rule(matches, lambda _: (), looks=True)

    names = [f"s{number}" for number in range(20)]
    found = Choosing({name: rule(name) for name in names}, dict.fromkeys(names, HERE), Lens())
    frame = await stored(5)

    for name in names * 2:
        ask = found.of(name)
        assert ask is not None
        assert [index for index, _ in ask(frame)] == [0, 1, 2, 3, 4]

    assert len(asked) == len(set(asked)) == 20 * 5


@pytest.mark.parametrize(
    ("is_needed", "by_all", "kept"), [(False, False, False), (True, False, True), (False, True, True)]
)
async def test_events_stay_in_memory_only_where_somebody_else_looks_at_them(
    *, is_needed: bool, by_all: bool, kept: bool
) -> None:
    """A link that chooses, or a subscription without a filter."""
    lens = Lens()
    rules = {name: compile_filter({"exact": {"subject": "k0"}}, lens=lens) for name in ("a", "b")}
    regions = dict.fromkeys(["a", "b", "all"] if by_all else ["a", "b"], HERE)
    ask = Choosing(rules, regions, lens, is_needed=lambda _: is_needed).of("a")
    frame = await stored(4)
    frame.opened = open_frame(frame.frame)
    assert ask is not None

    assert [event.id for _, event in ask(frame)] == ["0", "2"]

    assert (frame.opened is not None) == kept
    assert [event.id for _, event in ask(frame)] == ["0", "2"]


@pytest.mark.parametrize(
    ("is_needed", "by_all", "kept"), [(False, False, False), (True, False, True), (False, True, True)]
)
async def test_at_the_door_a_batch_is_decided_as_its_frame_would_be(
    *, is_needed: bool, by_all: bool, kept: bool
) -> None:
    lens = Lens()
    rules = {
        "even": compile_filter({"exact": {"subject": "k0"}}, lens=lens),
        "big": compile_filter({"match": {"data": [{"numeric": [">", 6]}]}}, lens=lens),
        "elsewhere": compile_filter([], lens=lens),
    }
    regions = {"even": HERE, "big": HERE, "elsewhere": frozenset({"us"})} | ({"all": HERE} if by_all else {})
    found = Choosing(rules, regions, lens, is_needed=lambda _: is_needed)
    (batch,) = pack("main", [make(number, f"k{number % 2}") for number in range(10)])

    decided = found.at(REGION)(batch)

    assert (decided.events is not None) == kept
    assert {name: [(index, event.id) for index, event in some] for name, some in (decided.decided or {}).items()} == {
        "even": [(number, str(number)) for number in range(0, 10, 2)],
        "big": [(number, str(number)) for number in (7, 8, 9)],
    }
    assert (decided.body, decided.hashes, decided.types) == (batch.body, batch.hashes, batch.types)


@pytest.mark.parametrize("by_all", [False, True])
async def test_without_a_filter_nothing_is_decided_at_the_door(*, by_all: bool) -> None:
    found = Choosing({}, {"all": HERE} if by_all else {}, Lens(), is_needed=lambda _: True)
    (batch,) = pack("main", [make(1)])

    decided = found.at(REGION)(batch)

    assert (decided.events, decided.decided) == ([make(1)] if by_all else None, None)


async def test_a_restart_settles_what_a_changed_filter_no_longer_wants() -> None:
    """An event that was open under the old filter does not hold the position for ever."""
    scene = Scene()
    await scene.publish(*(make(number, f"k{number % 2}") for number in range(6)))

    def refuse(events: Sequence[object]) -> None:
        raise Unavailable("HTTP 503")

    scene.sink.answer = refuse
    async with scene.running(scene.delivery()):
        await scene.clock.advance(5)
    scene.sink.answer = lambda _: None
    ask = choosing(even={"exact": {"subject": "k0"}}, other={"sql": "FALSE"}).of("even")

    delivery = scene.delivery(wanted=ask)
    async with scene.running(delivery):
        await scene.until(lambda: delivery.lowest_needed() == 7)

    assert sorted(scene.sink.ids) == ["0", "2", "4"]


def mask(event: Event) -> Sequence[Event]:
    """A change that fails on what it cannot read."""
    if event.data == b"broken":
        raise Rejected("cannot mask data.email")
    return (event.but(data=b"***"),)


async def test_what_could_not_be_changed_is_never_sent_as_it_came() -> None:
    """Not when its dead letter is sent again either: the changes are tried anew, and it comes back."""
    scene = Scene()
    await scene.publish(make(1, data=b"broken"), make(2))
    async with scene.running(scene.delivery(prepare=mask)):
        await scene.until(lambda: len(scene.dead_letters.list()) == 1 and scene.sink.ids == ["2"])
        (letter,) = scene.dead_letters.list()
        assert letter.is_raw
        assert (await scene.dead_letters.resend([letter.id])).sent == 1
        await scene.until(lambda: len(scene.dead_letters.list()) == 1)

    (back,) = scene.dead_letters.list()
    assert (back.is_raw, back.redrives, back.reason) == (True, 1, "cannot mask data.email")
    assert scene.sink.ids == ["2"]


async def test_it_is_sent_once_the_changes_can_be_done() -> None:
    """Also when the node was restarted in between, with the letter on its way."""
    scene = Scene()
    await scene.publish(make(1, data=b"broken"))
    first = scene.delivery(prepare=mask)
    async with scene.running(first):
        await scene.until(lambda: len(scene.dead_letters.list()) == 1)
    (letter,) = scene.dead_letters.list()

    mended = scene.delivery(prepare=lambda event: (event.but(data=b"*mended*"),))
    assert (await scene.dead_letters.resend([letter.id])).sent == 1
    async with scene.running(mended):
        await scene.until(lambda: len(scene.sink.arrived) == 1)
        await settle()

    assert [event.data for event in scene.sink.arrived] == [b"*mended*"]
    assert scene.dead_letters.list() == ()
    await asyncio.sleep(0)
