"""Answering: posts of one turn share a publish and its outcome, and nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from connectors.memory_door import until
from gateway.api.answering import Answering
from gateway.api.limits import Limits
from gateway.core.errors import Unavailable
from gateway.core.event import Event
from tests.api.publishers import LogPublisher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from gateway.api.answers import Answer


class Asker:
    """Keeps its answers."""

    def __init__(self) -> None:
        self.statuses: list[int] = []

    def answered(self, answer: Answer) -> None:
        self.statuses.append(answer.status)


class Stumbles(LogPublisher):
    """Meets a bug over one event."""

    async def publish(
        self, principal: str, space: str, events: Sequence[Event], *, packed: bytes | None = None, via: str
    ) -> None:
        if any(event.id == "odd" for event in events):
            raise ZeroDivisionError("ours")
        await super().publish(principal, space, events, packed=packed, via=via)


@pytest.fixture
def publisher() -> LogPublisher:
    return Stumbles()


@pytest.fixture
async def answering(publisher: LogPublisher) -> AsyncIterator[Answering]:
    async with asyncio.TaskGroup() as tasks:
        answering = Answering(publisher, Limits(answer_timeout=0.2), tasks)
        yield answering
        answering.cancel()


def event(event_id: str) -> Event:
    return Event(event_id, "/shop", "t")


def post(answering: Answering, *ids: str, size: int = 100) -> list[Asker]:
    askers = [Asker() for _ in ids]
    for asker, event_id in zip(askers, ids, strict=True):
        answering.post(asker, [event(event_id)], size)
    return askers


async def test_posts_of_one_turn_are_published_together_in_order(answering: Answering, publisher: LogPublisher) -> None:
    askers = post(answering, "1", "2", "3")

    await until(lambda: all(asker.statuses for asker in askers))

    assert [asker.statuses for asker in askers] == [[202]] * 3
    assert (publisher.started, publisher.ids) == (1, ["1", "2", "3"])


async def test_the_next_turn_waits_for_nobody(answering: Answering, publisher: LogPublisher) -> None:
    publisher.open.clear()
    post(answering, "1")
    await until(lambda: publisher.started == 1)

    post(answering, "2")

    await until(lambda: publisher.started == 2)


async def test_much_is_not_published_as_one(answering: Answering, publisher: LogPublisher) -> None:
    """One joint publish is one request of the log: it must not grow with the number of senders."""
    askers = post(answering, "1", "2", "3", "4", size=600_000)

    await until(lambda: all(asker.statuses for asker in askers))

    assert (publisher.started, publisher.ids) == (2, ["1", "2", "3", "4"])


async def test_what_one_post_stumbles_over_its_neighbours_do_not_feel(
    answering: Answering, publisher: LogPublisher
) -> None:
    askers = post(answering, "1", "odd", "3")

    await until(lambda: all(asker.statuses for asker in askers))

    assert [asker.statuses for asker in askers] == [[202], [500], [202]]
    assert publisher.ids == ["1", "3"]


async def test_all_are_told_when_nothing_was_taken(answering: Answering, publisher: LogPublisher) -> None:
    publisher.refusal = Unavailable("away")
    askers = post(answering, "1", "2")

    await until(lambda: all(asker.statuses for asker in askers))

    assert [asker.statuses for asker in askers] == [[503], [503]]


async def test_who_waits_too_long_is_told_and_the_publish_is_given_up(
    answering: Answering, publisher: LogPublisher
) -> None:
    publisher.open.clear()
    askers = post(answering, "1", "2")

    await until(lambda: all(asker.statuses for asker in askers))
    publisher.open.set()
    later = post(answering, "3")
    await until(lambda: bool(later[0].statuses))

    assert [asker.statuses for asker in askers] == [[503], [503]]
    assert publisher.ids == ["3"]
