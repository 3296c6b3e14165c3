from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from connectors.memory_door import until
from gateway.api.grpc import GrpcDoor
from gateway.api.limits import Limits
from gateway.client import Client, Refused
from gateway.core.errors import LogFull, Unavailable
from gateway.core.event import Event
from tests.api.publishers import LogPublisher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

LIMITS = Limits(event=2_000_000, drain_timeout=1)


@pytest.fixture
def publisher() -> LogPublisher:
    return LogPublisher()


@pytest.fixture
async def door(publisher: LogPublisher) -> AsyncIterator[GrpcDoor]:
    async with GrpcDoor("127.0.0.1:0", publisher, LIMITS) as door:
        yield door
        publisher.open.set()


@pytest.fixture
async def client(door: GrpcDoor) -> AsyncIterator[Client]:
    async with Client(door.address) as client:
        yield client


def one(number: int | str, *, size: int = 1, kind: str = "t") -> Event:
    return Event(str(number), "/shop", kind, data=b"x" * size)


def some(*numbers: int) -> list[Event]:
    return [one(number) for number in numbers]


def numbers(ids: Sequence[str]) -> list[int]:
    return [int(each) for each in ids]


async def test_an_event_is_durable_when_publish_returns(client: Client, publisher: LogPublisher) -> None:
    event = Event("1", "/shop", "t", subject="s", data=b"\x00\xff", extensions={"n": 5, "b": True})

    await client.publish(event)

    assert publisher.events == [event]


async def test_publish_does_not_return_before(client: Client, publisher: LogPublisher) -> None:
    publisher.open.clear()
    publishing = asyncio.ensure_future(client.publish(one(1)))
    await until(lambda: publisher.started == 1)

    done, _ = await asyncio.wait([publishing], timeout=0.1)

    assert not done
    publisher.open.set()
    await publishing


async def test_what_comes_while_batches_are_under_way_travels_together(client: Client, publisher: LogPublisher) -> None:
    publisher.open.clear()
    async with asyncio.TaskGroup() as tasks:
        for number in range(1000):
            tasks.create_task(client.publish(one(number)))
            if number < 10:
                await asyncio.sleep(0)
        await until(lambda: publisher.started >= 2)
        publisher.open.set()

    assert numbers(publisher.ids) == list(range(1000))
    assert publisher.started < 10


@pytest.mark.parametrize("size", [1, 100_000])
async def test_a_long_list_is_split_and_keeps_its_order(client: Client, publisher: LogPublisher, size: int) -> None:
    """Into batches of 500 events, and of few megabytes."""
    count = 1234 if size == 1 else 100

    await client.publish([one(number, size=size) for number in range(count)])

    assert numbers(publisher.ids) == list(range(count))
    assert publisher.started >= 3


async def test_no_events_are_published_at_once(client: Client) -> None:
    await client.publish([])


async def test_refused_events_are_named_and_the_others_are_durable(client: Client, publisher: LogPublisher) -> None:
    publisher.open.clear()
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(client.publish(one(1)))
        second = tasks.create_task(client.publish(one(2)))
        await until(lambda: publisher.started >= 1)
        # these three travel in one batch
        good = tasks.create_task(client.publish(some(10, 11)))
        mixed = tasks.create_task(_refused(client, [one(20), one("", kind="t"), one(22), one(23, kind="")]))
        also = tasks.create_task(client.publish(some(30)))
        await asyncio.sleep(0)
        publisher.open.set()

    assert sorted(mixed.result()) == [1, 3]
    assert mixed.result()[1].startswith("id")
    assert sorted(numbers(publisher.ids)) == [1, 2, 10, 11, 20, 22, 30]
    assert all(task.done() for task in (first, second, good, also))


async def _refused(client: Client, events: Sequence[Event]) -> dict[int, str]:
    with pytest.raises(Refused) as refused:
        await client.publish(events)
    return refused.value.reasons


async def test_a_batch_with_more_bad_events_than_one_answer_names_ends(client: Client, publisher: LogPublisher) -> None:
    events = [one(number, kind="" if number % 2 else "t") for number in range(200)]

    reasons = await _refused(client, events)

    assert sorted(reasons) == list(range(1, 200, 2))
    assert numbers(publisher.ids) == list(range(0, 200, 2))


@pytest.mark.parametrize("size", [2_100_000, 10_000_000])
async def test_an_event_that_is_too_large_harms_no_other(client: Client, publisher: LogPublisher, size: int) -> None:
    """Too large for this gateway's limit, and for any message."""
    reasons = await _refused(client, [one(0), one(1, size=size), one(2)])

    assert list(reasons) == [1]
    assert sorted(numbers(publisher.ids)) == [0, 2]


async def test_unavailable_is_tried_again_until_it_is_taken(client: Client, publisher: LogPublisher) -> None:
    publisher.refusal = LogFull("the log is full", after=0.05)
    publishing = asyncio.ensure_future(client.publish(some(*range(1200))))
    await until(lambda: publisher.started > 4)

    publisher.refusal = None
    await publishing

    assert numbers(publisher.ids) == list(range(1200))


async def test_a_gateway_that_is_not_there_yet_is_waited_for(publisher: LogPublisher) -> None:
    async with GrpcDoor("127.0.0.1:0", publisher, LIMITS) as first:
        address = first.address
    async with Client(address) as client:
        publishing = asyncio.ensure_future(client.publish(one(1)))
        await asyncio.wait([publishing], timeout=0.1)

        async with GrpcDoor(address, publisher, LIMITS):
            await publishing

    assert publisher.ids == ["1"]


async def test_nothing_acknowledged_is_missing_when_the_gateway_restarts(publisher: LogPublisher) -> None:
    """Batches that broke off are sent again; those that were durable may repeat, and the gateway drops them."""
    dice = random.Random(1)
    acknowledged: list[int] = []
    number = 0

    async def publish(client: Client) -> None:
        nonlocal number
        while not stop.is_set():
            number += 1
            mine = number
            await client.publish(one(mine))
            acknowledged.append(mine)

    stop = asyncio.Event()
    door = GrpcDoor("127.0.0.1:0", publisher, LIMITS)
    await door.__aenter__()
    async with Client(door.address) as client, asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(publish(client))
        for _ in range(4):
            seen = len(acknowledged)
            await until(lambda seen=seen: len(acknowledged) > seen + dice.randrange(50, 200))  # type: ignore[misc]
            await door._server.stop(None)
            door = GrpcDoor(door.address, publisher, LIMITS)
            await door.__aenter__()
        stop.set()

    assert sorted(acknowledged) == list(range(1, number + 1))
    assert set(acknowledged) <= set(numbers(publisher.ids))
    await door.__aexit__(None, None, None)


async def test_nobody_waits_longer_than_the_deadline(door: GrpcDoor, publisher: LogPublisher) -> None:
    publisher.refusal = LogFull("the log is full")
    async with Client(door.address, deadline=0.3) as client:
        with pytest.raises(Unavailable, match="the log is full"):
            await client.publish(one(1))


async def test_an_abandoned_event_is_not_sent_again(door: GrpcDoor, publisher: LogPublisher) -> None:
    publisher.refusal = LogFull("the log is full", after=0.6)
    async with Client(door.address, deadline=0.5) as client:
        with pytest.raises(Unavailable):
            await client.publish(one(1))
        publisher.refusal = None

        await client.publish(one(2))

    assert publisher.ids == ["2"]


async def test_closing_ends_those_that_wait(door: GrpcDoor, publisher: LogPublisher) -> None:
    publisher.open.clear()
    async with Client(door.address) as client:
        sent = asyncio.ensure_future(client.publish(one(1)))
        await until(lambda: publisher.started == 1)
        waiting = asyncio.ensure_future(client.publish(one(2)))
        await asyncio.sleep(0)

    for publishing in (sent, waiting):
        with pytest.raises(Unavailable, match="closed"):
            await publishing
