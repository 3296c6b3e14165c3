"""What a link brings of the past is not delivered to a subscription that begins later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.codec.frames import merge, pack, seal
from gateway.flow.subscription import SKEW
from tests.flow.delivering import REGION, Scene, make

if TYPE_CHECKING:
    from gateway.core.frame import Frame

CREATED = 1_700_000_000.0
BOTH = frozenset({REGION, "us-east"})


def of_us(first: int, *accepted: float) -> Frame:
    """One frame of events `first`, `first` + 1, … of another region, accepted there at these moments."""
    return merge(
        [
            seal(pack("main", [make(offset)]), origin="us-east/n1@9f3a", first=offset, accepted=at)
            for offset, at in enumerate(accepted, start=first)
        ]
    )


async def test_a_later_subscription_is_not_given_history() -> None:
    """Another subscription had the link read all there is; this one began later."""
    scene = Scene()
    delivery = scene.delivery(start="latest", since=CREATED, regions=BOTH)

    async with scene.running(delivery):
        await scene.log.append([of_us(1, CREATED - 9000.0, CREATED - 8000.0), of_us(3, CREATED - 7000.0, CREATED)])
        await scene.log.append([of_us(5, CREATED + 1.0)])
        await scene.until(lambda: len(scene.sink.ids) == 2 and delivery.status.lag == 0)

    assert scene.sink.ids == ["4", "5"]


async def test_a_subscription_from_the_beginning_is_given_all() -> None:
    scene = Scene()

    async with scene.running(scene.delivery(since=None, regions=BOTH)):
        await scene.log.append([of_us(1, 1.0, CREATED)])
        await scene.until(lambda: len(scene.sink.ids) == 2)

    assert scene.sink.ids == ["1", "2"]


@pytest.mark.parametrize(("early", "arrives"), [(SKEW - 1.0, True), (SKEW + 1.0, False)])
async def test_clocks_may_differ_by_a_minute(early: float, *, arrives: bool) -> None:
    """Rather an event too many than one lost."""
    scene = Scene()

    async with scene.running(scene.delivery(since=CREATED, regions=BOTH)):
        await scene.log.append([of_us(1, CREATED - early), of_us(2, CREATED)])
        await scene.until(lambda: "2" in scene.sink.ids)

    assert ("1" in scene.sink.ids) is arrives


async def test_the_own_log_is_delivered_from_the_cursor_on_whatever_the_clock_said() -> None:
    """The position decides there: a clock that was set back loses nothing."""
    scene = Scene()

    async with scene.running(scene.delivery(since=CREATED + 9000.0)):
        await scene.publish(make(1))
        await scene.until(lambda: len(scene.sink.ids) == 1)

    assert scene.sink.ids == ["1"]
