"""The HTTP door: connections, their time, how they end; other routes."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from connectors.memory_door import until
from gateway.api.answers import Answer
from gateway.api.http import HttpDoor
from tests.api.wire import ask, dial, event, post

if TYPE_CHECKING:
    from gateway.api.http1 import Request
    from tests.api.publishers import LogPublisher

from tests.api.conftest import LIMITS, PATIENT

STRUCTURED = "Content-Type: application/cloudevents+json"

# time


@pytest.mark.parametrize(
    "beginning",
    [
        b"POST /events HT",
        b"POST /events HTTP/1.1\r\nHost: x\r\nA: ",
        post(b"{", STRUCTURED, length=100),
        b"POST /events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
async def test_a_request_that_never_ends_is_cut(strict: HttpDoor, beginning: bytes) -> None:
    async with dial(strict.address) as line:
        await line.say(beginning)

        assert (await line.hear()).status == 408
        assert await line.is_closed()
    await until(lambda: not strict._connections)


async def test_trickling_bytes_do_not_buy_time_for_a_head(strict: HttpDoor) -> None:
    async with dial(strict.address) as line:
        reply = asyncio.ensure_future(line.hear())
        await line.say(b"POST /events HTTP/1.1\r\nHost: x\r\nA: ")
        while not reply.done():
            line.writer.write(b"a")
            await asyncio.wait([reply], timeout=0.02)

        assert (await reply).status == 408


@pytest.mark.parametrize("beginning", [b"", b"\r\n\r\n", event()])
async def test_an_idle_connection_is_closed_in_silence(strict: HttpDoor, beginning: bytes) -> None:
    async with dial(strict.address) as line:
        await line.say(beginning)
        if beginning == event():
            assert (await line.hear()).status == 202

        assert await line.is_closed()


async def test_a_publish_that_takes_too_long_is_503(strict: HttpDoor, publisher: LogPublisher) -> None:
    publisher.open.clear()

    reply = await ask(strict.address, event())

    assert (reply.status, reply.headers["retry-after"]) == (503, "1")


async def test_a_client_that_does_not_read_its_answers_is_cut(publisher: LogPublisher) -> None:
    async def much(request: Request) -> Answer:
        return Answer(200, b"x" * 10_000_000)

    limits = replace(PATIENT, answer_timeout=0.4)
    async with HttpDoor("127.0.0.1:0", publisher, limits, {"GET /much": much}) as door, dial(door.address) as line:
        line.writer.write(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET / HTTP/1.1\r\n" * 1_000_000)
        await until(lambda: bool(door._connections))
        (connection,) = door._connections

        await until(lambda: not door._connections)

        assert connection._requests.held < 1_000_000


# connections


async def test_one_connection_too_many_is_told_so(strict: HttpDoor) -> None:
    lines = [dial(strict.address) for _ in range(5)]
    opened = [await line.__aenter__() for line in lines]
    await until(lambda: len(strict._connections) == 5)

    async with dial(strict.address) as sixth:
        reply = await sixth.hear()
        assert (reply.status, reply.headers["connection"]) == (503, "close")

    await opened[0].say(event())
    assert (await opened[0].hear()).status == 202
    for line in lines:
        await line.__aexit__(None, None, None)
    await until(lambda: not strict._connections)


async def test_a_half_closed_connection_still_gets_its_answer(door: HttpDoor) -> None:
    async with dial(door.address) as line:
        await line.say(event())
        line.writer.write_eof()

        assert (await line.hear()).status == 202
        assert await line.is_closed()


async def test_a_client_that_goes_away_leaves_nothing_behind(door: HttpDoor, publisher: LogPublisher) -> None:
    publisher.open.clear()
    async with dial(door.address) as line:
        await line.say(event())
        await until(lambda: publisher.started == 1)

    publisher.open.set()

    await until(lambda: not door._connections)
    assert publisher.ids == ["1"]


@pytest.mark.parametrize(("fields", "version"), [(("Connection: close",), "1.1"), ((), "1.0")])
async def test_a_connection_that_should_end_ends(door: HttpDoor, fields: tuple[str, ...], version: str) -> None:
    async with dial(door.address) as line:
        await line.say(event(1, b"{}", *fields).replace(b"HTTP/1.1", f"HTTP/{version}".encode()))

        assert (await line.hear()).status == 202
        assert await line.is_closed()


async def test_closing_lets_the_request_under_way_finish(publisher: LogPublisher) -> None:
    publisher.open.clear()
    door = HttpDoor("127.0.0.1:0", publisher, PATIENT)
    await door.__aenter__()
    async with dial(door.address) as busy, dial(door.address) as idle:
        await busy.say(event())
        await until(lambda: publisher.started == 1 and len(door._connections) == 2)

        closing = asyncio.ensure_future(door.__aexit__(None, None, None))
        assert await idle.is_closed()
        with pytest.raises(OSError, match=r"."):
            await _connect(door.address)
        publisher.open.set()
        reply = await busy.hear()
        await closing

    assert (reply.status, reply.headers["connection"]) == (202, "close")


async def _connect(address: str) -> None:
    async with dial(address):
        pass


async def test_closing_does_not_wait_for_ever(publisher: LogPublisher) -> None:
    publisher.open.clear()
    async with HttpDoor("127.0.0.1:0", publisher, replace(PATIENT, drain_timeout=0.2)) as door:
        line = dial(door.address)
        await (await line.__aenter__()).say(event())
        await until(lambda: publisher.started == 1)

    assert publisher.events == []
    await line.__aexit__(None, None, None)


# other routes


async def test_an_extra_route_answers(door: HttpDoor) -> None:
    got = await ask(door.address, b"GET /livez?verbose HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (got.status, got.body) == (200, b"alive")


async def test_head_is_get_without_the_body(door: HttpDoor) -> None:
    async with dial(door.address) as line:
        await line.say(b"HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await line.reader.read()

    assert b"Content-Length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_a_webhook_sender_may_shake_hands(door: HttpDoor) -> None:
    reply = await ask(
        door.address, b"OPTIONS /events HTTP/1.1\r\nHost: x\r\nWebHook-Request-Origin: sender.example\r\n\r\n"
    )

    assert (reply.status, reply.headers["webhook-allowed-origin"]) == (200, "sender.example")


@pytest.mark.parametrize("origin", ["\u4e2d", "\udcff"])
async def test_what_is_given_back_may_be_any_text(door: HttpDoor, origin: str) -> None:
    request_ = f"OPTIONS / HTTP/1.1\r\nHost: x\r\nWebHook-Request-Origin: {origin}\r\n\r\n"

    assert (await ask(door.address, request_.encode("utf-8", "surrogateescape"))).status == 200


async def test_an_address_in_use_is_an_error(door: HttpDoor, publisher: LogPublisher) -> None:
    with pytest.raises(OSError, match="address"):
        await HttpDoor(door.address, publisher, LIMITS).__aenter__()


async def test_random_bytes_never_stop_the_door(door: HttpDoor, publisher: LogPublisher) -> None:
    dice = random.Random(1)
    for _ in range(200):
        async with dial(door.address) as line:
            await line.say(dice.choice([b"", event(), event()[:-2]]) + dice.randbytes(dice.randrange(1, 400)))
            if dice.random() < 0.5:
                line.writer.write_eof()
                await line.reader.read()

    assert (await ask(door.address, event("last"))).status == 202
