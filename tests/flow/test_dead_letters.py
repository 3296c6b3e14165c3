"""Dead letters: durable, found again, sent again with a limit, dropped; never twice, never in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.core.errors import Rejected
from gateway.flow.dead_letters import DeadLetter
from gateway.flow.waiting import AGAIN, TABLE
from tests.flow.delivering import Scene, make
from tests.flow.test_delivery import metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.event import Outgoing


def letter(number: int, subscription: str = "bill", **changes: object) -> DeadLetter:
    fields = {"origin": "eu/n1@00", "origin_offset": number, **changes}
    return DeadLetter(subscription, make(number), "HTTP 400", 1, 1.0, 2.0, **fields)  # type: ignore[arg-type]


def refuse(events: Sequence[Outgoing]) -> None:
    raise Rejected("HTTP 422: no such order")


async def test_burying_twice_buries_once() -> None:
    """A crash between burying and settling repeats the burial."""
    scene = Scene()

    await scene.dead_letters.bury([letter(1)])
    await scene.dead_letters.bury([letter(1), letter(2)])

    assert [each.origin_offset for each in scene.dead_letters.list()] == [1, 2]
    assert scene.dead_letters.counts() == {"bill": 2}


async def test_letters_are_listed_in_pages_and_found_by_id() -> None:
    scene = Scene()
    await scene.dead_letters.bury([letter(number) for number in range(25)] + [letter(1, "billing")])

    first = scene.dead_letters.list("bill", limit=10)
    second = scene.dead_letters.list("bill", after=first[-1].id, limit=100)

    assert [each.origin_offset for each in first + second] == list(range(25))
    assert len(scene.dead_letters.list()) == 26
    assert scene.dead_letters.show(first[3].id) == first[3]
    assert scene.dead_letters.show("bill/00") is None
    assert scene.dead_letters.show("nonsense") is None


async def test_a_refused_event_of_a_source_is_kept() -> None:
    scene = Scene()
    before = metric("dead_letters_total", subscription="source:orders")

    await scene.dead_letters.bury_refused("orders", make(1), "id is empty")
    await scene.dead_letters.bury_refused("orders", make(1), "id is empty")

    (kept,) = scene.dead_letters.list("source:orders")
    assert (kept.event, kept.reason) == (make(1), "id is empty")
    assert metric("dead_letters_total", subscription="source:orders") - before == 1
    assert metric("dead_letters_kept", subscription="source:orders") == 1
    resent = await scene.dead_letters.resend([kept.id])
    assert resent.sent == 0
    assert "publish it again" in resent.refused[kept.id]


async def test_dropped_letters_are_gone() -> None:
    scene = Scene()
    await scene.dead_letters.bury([letter(1), letter(2)])
    one = scene.dead_letters.list()[0]

    assert await scene.dead_letters.drop([one.id, one.id + "ff"]) == 1

    assert scene.dead_letters.list() == (letter(2),)
    assert metric("dead_letters_kept", subscription="bill") == 1


async def test_a_letter_named_twice_is_one() -> None:
    """However its id is written: else more would go than are there, and fewer than none be left."""
    scene = Scene()
    scene.delivery()
    await scene.dead_letters.bury([letter(10), letter(11), letter(12)])
    first, second, _ = (each.id for each in scene.dead_letters.list())

    dropped = await scene.dead_letters.drop([first, first, "bill/" + first[5:].upper()])
    resent = await scene.dead_letters.resend([second, "bill/" + second[5:].upper()])

    assert (dropped, resent) == (1, (1, {}))
    assert scene.dead_letters.counts() == {"bill": 1}


async def test_a_letter_sent_again_arrives_with_another_idempotency_key() -> None:
    """Or the destination would drop a wanted event."""
    scene = Scene()
    await scene.publish(make(1))
    scene.sink.answer = refuse
    keys: list[str] = []

    def remember(events: Sequence[Outgoing]) -> None:
        keys.append(events[0].idempotency_key)
        refuse(events)

    scene.sink.answer = remember
    delivery = scene.delivery()
    async with scene.running(delivery):
        await scene.until(lambda: len(scene.dead_letters.list()) == 1)
        scene.sink.answer = lambda _: None
        (buried,) = scene.dead_letters.list()

        assert await scene.dead_letters.resend([buried.id, "bill/" + "0" * 32]) == (
            1,
            {"bill/" + "0" * 32: "no such dead letter"},
        )
        await scene.until(lambda: len(scene.sink.arrived) == 1)
        await scene.clock.advance(2)

    assert scene.dead_letters.list() == ()
    assert scene.sink.arrived[0].idempotency_key not in keys
    assert scene.sink.arrived[0].extensions["isthorigin"] == f"{scene.log.log_id}:1"
    assert scene.log.rows(AGAIN) == scene.log.rows(TABLE) == []


async def test_what_is_sent_again_while_nobody_runs_waits_for_the_next_run() -> None:
    scene = Scene()
    await scene.dead_letters.bury([letter(number) for number in range(3)])
    delivery = scene.delivery()

    assert (await scene.dead_letters.resend(subscription="bill")).sent == 3
    async with scene.running(delivery):
        await scene.until(lambda: len(scene.sink.arrived) == 3)
        await scene.clock.advance(2)

    assert scene.dead_letters.list() == ()
    async with scene.running(scene.delivery()):
        await scene.clock.advance(100)
    assert len(scene.sink.arrived) == 3


async def test_sending_again_what_still_fails_ends() -> None:
    """F22: five times, then it is refused unless forced; each time counted on the letter."""
    scene = Scene()
    scene.sink.answer = refuse
    await scene.publish(make(1))
    delivery = scene.delivery()

    async with scene.running(delivery):
        await scene.until(lambda: bool(scene.dead_letters.list()))
        for redrive in range(1, 6):
            assert (await scene.dead_letters.resend(subscription="bill")).sent == 1
            await scene.until(lambda: bool(scene.dead_letters.list()))
            assert scene.dead_letters.list()[0].redrives == redrive
        (buried,) = scene.dead_letters.list()
        refused = await scene.dead_letters.resend(subscription="bill")
        assert refused == (0, {buried.id: "sent again 5 times already"})
        assert (await scene.dead_letters.resend([buried.id], force=True)).sent == 1
        await scene.until(lambda: bool(scene.dead_letters.list()))

    assert len(scene.sink.attempts) == 7
    assert scene.dead_letters.list()[0].event == make(1)


async def test_sending_again_keeps_to_a_rate_and_a_choice() -> None:
    scene = Scene()
    await scene.dead_letters.bury([letter(number) for number in range(40)])
    delivery = scene.delivery()

    async with scene.running(delivery):
        chosen = await scene.dead_letters.resend(
            subscription="bill", where=lambda each: each.origin_offset % 2 == 0, rate=2.0
        )
        await scene.clock.advance(5.2)
        assert 8 <= len(scene.sink.arrived) <= 12
        await scene.until(lambda: len(scene.sink.arrived) == 20)

    assert chosen.sent == 20
    assert {each.origin_offset % 2 for each in scene.dead_letters.list()} == {1}


async def test_what_is_sent_again_does_not_hold_its_key() -> None:
    """Order between replays and new events is not promised, so new ones do not wait."""
    scene = Scene()
    old = DeadLetter("bill", make(1, "k"), "HTTP 400", 1, 1.0, 2.0, "eu/n1@00", 1)
    await scene.dead_letters.bury([old, DeadLetter("bill", make(2, "k"), "HTTP 400", 1, 1.0, 2.0, "eu/n1@00", 2)])
    delivery = scene.delivery(order_by="subject")

    async with scene.running(delivery):
        await scene.dead_letters.resend(subscription="bill", rate=0.001)
        await scene.clock.advance(5)
        await scene.publish(make(3, "k"))
        await scene.until(lambda: scene.sink.ids == ["1", "3"], at_most=10)

    assert {event.group for event in scene.sink.arrived} == {"k"}


@pytest.mark.parametrize("rest", ["", "x", "zz" * 16])
async def test_an_id_that_never_was_is_no_dead_letter(rest: str) -> None:
    scene = Scene()
    await scene.dead_letters.bury([letter(1)])

    assert scene.dead_letters.show(f"bill/{rest}") is None


async def test_letters_of_a_subscription_that_does_not_run_here_stay() -> None:
    """Nobody would read the queue they go to."""
    scene = Scene()
    await scene.dead_letters.bury([letter(1, "gone")])
    (buried,) = scene.dead_letters.list()

    resent = await scene.dead_letters.resend([buried.id], force=True)

    assert resent == (0, {buried.id: "no subscription of that name runs here"})
    assert scene.dead_letters.list() == (buried,)
    assert scene.log.rows(AGAIN) == []


async def test_a_renamed_subscription_takes_its_dead_letters_along() -> None:
    """Under its new name they can be sent again."""
    scene = Scene()
    async with scene.running(scene.delivery(name="old")):
        pass
    await scene.dead_letters.bury([letter(number, "old") for number in range(600)] + [letter(0, "older")])

    async with scene.running(scene.delivery(name="new", was="old")):
        assert scene.dead_letters.counts() == {"new": 600, "older": 1}
        assert len(scene.dead_letters.list("new", limit=1000)) == 600
        assert scene.dead_letters.list("old") == ()
        assert scene.dead_letters.show(letter(3, "new").id) == letter(3, "new")
        assert (await scene.dead_letters.resend([letter(3, "new").id])).sent == 1
        await scene.until(lambda: scene.sink.ids == ["3"])
    assert metric("dead_letters_kept", subscription="old") == 0
