from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from connectors.memory_door import until
from gateway.api.answers import Answer
from gateway.api.http import HttpDoor
from gateway.api.limits import Limits
from gateway.core.errors import LogFull, Unavailable
from tests.api.publishers import LogPublisher
from tests.api.wire import ask, dial, event, post

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.api.http1 import Request

LIMITS = Limits(
    event=10_000,
    request=100_000,
    connections=5,
    header_timeout=0.4,
    body_timeout=0.4,
    idle_timeout=0.4,
    answer_timeout=0.4,
    drain_timeout=0.4,
    events=50,
)
PATIENT = replace(LIMITS, header_timeout=15, body_timeout=15, idle_timeout=15, answer_timeout=15, drain_timeout=15)
STRUCTURED = "Content-Type: application/cloudevents+json"
BATCH = "Content-Type: application/cloudevents-batch+json; charset=utf-8"


@pytest.fixture
def publisher() -> LogPublisher:
    return LogPublisher()


async def _livez(request: Request) -> Answer:
    return Answer(200, b"alive")


@pytest.fixture
async def door(publisher: LogPublisher) -> AsyncIterator[HttpDoor]:
    async with HttpDoor("127.0.0.1:0", publisher, PATIENT, {"GET /livez": _livez}) as door:
        yield door


@pytest.fixture
async def strict(publisher: LogPublisher) -> AsyncIterator[HttpDoor]:
    async with HttpDoor("127.0.0.1:0", publisher, LIMITS, {"GET /livez": _livez}) as door:
        yield door


def document(number: int, **members: object) -> dict[str, object]:
    return {"specversion": "1.0", "id": str(number), "source": "/shop", "type": "t", **members}


@pytest.mark.parametrize("path", ["/events", "/"])
@pytest.mark.parametrize(
    ("field", "body", "ids"),
    [
        (STRUCTURED, json.dumps(document(7, data={"n": 1})).encode(), ["7"]),
        (BATCH, json.dumps([document(1), document(2), document(3)]).encode(), ["1", "2", "3"]),
        (BATCH, b"[]", []),
    ],
)
async def test_documents_are_taken(
    door: HttpDoor, publisher: LogPublisher, path: str, field: str, body: bytes, ids: list[str]
) -> None:
    reply = await ask(door.address, post(body, field, path=path))

    assert (reply.status, reply.body) == (202, b"")
    assert publisher.ids == ids


async def test_a_binary_event_arrives_unchanged(door: HttpDoor, publisher: LogPublisher) -> None:
    reply = await ask(door.address, event("a%20b", b"\x00\xff{", "ce-tenant: Gr%C3%BC%C3%9Fe"))

    assert (reply.status, reply.body) == (202, b"")
    assert [(one.id, one.data, one.extensions) for one in publisher.events] == [
        ("a b", b"\x00\xff{", {"tenant": "Grüße"})
    ]


async def test_202_is_said_after_the_events_are_durable_and_not_before(door: HttpDoor, publisher: LogPublisher) -> None:
    publisher.open.clear()
    async with dial(door.address) as line:
        await line.say(event())
        await until(lambda: publisher.started == 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line.hear(), 0.1)

        publisher.open.set()

        assert (await line.hear()).status == 202
    assert publisher.ids == ["1"]


async def test_events_of_one_connection_keep_their_order_when_pipelined(
    door: HttpDoor, publisher: LogPublisher
) -> None:
    async with dial(door.address) as line:
        await line.say(*(event(number) for number in range(300)))
        replies = [(await line.hear()).status for _ in range(300)]

    assert replies == [202] * 300
    assert publisher.ids == [str(number) for number in range(300)]


async def test_pipelined_requests_are_not_read_without_bound(door: HttpDoor, publisher: LogPublisher) -> None:
    """While one request waits, at most a little is read ahead: the rest stays with the sender."""
    publisher.open.clear()
    flood = event(1, b"x" * 9000) * 2000  # 18 MB
    async with dial(door.address) as line:
        line.writer.write(flood)
        await until(lambda: publisher.started == 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line.writer.drain(), 0.3)

        assert all(one._requests.held < 1_000_000 for one in door._connections)
        assert line.writer.transport.get_write_buffer_size() > 5_000_000
    publisher.open.set()


@pytest.mark.parametrize(
    ("request_", "status", "says"),
    [
        (post(b"{}", "Content-Type: application/json"), 400, "application/cloudevents+json"),
        (post(b'{"a":1}'), 400, "ce-specversion"),
        (post(b"{}", STRUCTURED), 400, "specversion"),
        (post(b"{", STRUCTURED), 400, "JSON"),
        (post(b"\xff\xfe", STRUCTURED), 400, "UTF-8"),
        (post(b"[" * 90_000, STRUCTURED), 400, "JSON"),
        (post(b'{"a":' * 10_000, STRUCTURED), 400, "JSON"),
        (post(b"[" * 90_000, BATCH), 400, "JSON"),
        (post(json.dumps(document(1, id="")).encode(), STRUCTURED), 400, "id"),
        (post(json.dumps(document(1, time="now")).encode(), STRUCTURED), 400, "time"),
        (post(b'{"specversion":"1.0","id":"1","id":"2","source":"/s","type":"t"}', STRUCTURED), 400, "id"),
        (post(b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data":NaN}', STRUCTURED), 400, ""),
        (post(b'{"specversion":"1.0","id":"\\ud800","source":"/s","type":"t"}', STRUCTURED), 400, ""),
        (
            post(json.dumps(document(1)).encode(), "Content-Type: application/cloudevents+avro"),
            415,
            "application/cloudevents+json",
        ),
        (post(b"x", "Content-Encoding: gzip", STRUCTURED), 415, "compressed"),
        (event("", b"x"), 400, "id"),
        (event("\udcff", b"x"), 400, "id"),
        (event(1, b"x", "ce-id: 2"), 400, "id"),
        (event(1, b"x" * 10_001), 413, "10000"),
        (post(json.dumps([document(n) for n in range(51)]).encode(), BATCH), 413, "50"),
        (b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n", 405, "POST"),
        (b"DELETE /livez HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET"),
        (b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404, "/events"),
        (b"nonsense\r\n\r\n", 400, "request line"),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400, "request line"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \xff\r\n\r\n", 501, "chunked"),
    ],
)
async def test_what_is_refused_is_told_why(
    door: HttpDoor, publisher: LogPublisher, request_: bytes, status: int, says: str
) -> None:
    reply = await ask(door.address, request_)

    assert (reply.status, reply.problem["status"]) == (status, status)
    assert says in reply.problem["detail"]
    assert publisher.events == []


async def test_a_wrong_event_of_a_batch_is_named_by_its_index_and_none_is_taken(
    door: HttpDoor, publisher: LogPublisher
) -> None:
    batch = [document(0), document(1), document(2, type=""), document(3)]

    reply = await ask(door.address, post(json.dumps(batch).encode(), BATCH))

    assert (reply.status, reply.problem["index"]) == (400, 2)
    assert "type" in reply.problem["detail"]
    assert publisher.events == []


async def test_a_refused_event_does_not_end_its_connection(door: HttpDoor, publisher: LogPublisher) -> None:
    async with dial(door.address) as line:
        await line.say(post(b"{}", STRUCTURED), event(2))

        assert [(await line.hear()).status, (await line.hear()).status] == [400, 202]


@pytest.mark.parametrize(
    ("refusal", "after"),
    [(LogFull("full", after=7.2), "8"), (Unavailable("away"), "1"), (Unavailable("x", after=0), "1")],
)
async def test_unavailable_is_503_with_the_time_to_come_back(
    door: HttpDoor, publisher: LogPublisher, refusal: Unavailable, after: str
) -> None:
    publisher.refusal = refusal

    reply = await ask(door.address, event())

    assert (reply.status, reply.headers["retry-after"]) == (503, after)


async def test_a_bug_that_one_request_meets_is_500_and_stops_nobody(
    door: HttpDoor, publisher: LogPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    publisher.bug = ZeroDivisionError("ours")
    async with dial(door.address) as other:
        assert (await ask(door.address, event())).status == 500

        publisher.bug = None
        await other.say(event(2))

        assert (await other.hear()).status == 202
    assert "request failed" in caplog.text


# sizes


@pytest.mark.parametrize("length", [100_001, 100_000_000, 10**14])
async def test_a_large_body_is_refused_before_it_is_sent(door: HttpDoor, length: int) -> None:
    reply = await ask(door.address, post(b"", STRUCTURED, length=length))

    assert reply.status == 413
    assert reply.headers["connection"] == "close"


async def test_a_client_that_asks_first_is_told_413_instead_of_continue(door: HttpDoor) -> None:
    async with dial(door.address) as line:
        await line.say(post(b"", "Expect: 100-continue", length=100_001))

        assert (await line.hear()).status == 413


async def test_a_client_that_asks_first_is_told_to_continue(door: HttpDoor) -> None:
    body = json.dumps(document(1)).encode()
    async with dial(door.address) as line:
        await line.say(post(b"", "Expect: 100-continue", STRUCTURED, length=len(body)))
        assert (await line.hear()).status == 100

        await line.say(body)

        assert (await line.hear()).status == 202


async def test_an_endless_chunked_body_is_cut_off_at_the_limit(door: HttpDoor) -> None:
    async with dial(door.address) as line:
        await line.say(b"POST /events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")

        for _ in range(98):
            await line.say(b"400\r\n" + b"x" * 1024 + b"\r\n")

        assert (await line.hear()).status == 413
        assert await line.is_closed()


async def test_a_hundred_megabytes_leave_memory_flat(door: HttpDoor) -> None:
    before = _resident()
    async with dial(door.address) as line:
        reading = asyncio.ensure_future(line.hear())
        await line.say(post(b"", STRUCTURED, length=100_000_000))
        try:
            for _ in range(1600):
                await line.say(b"x" * 65536)
        except ConnectionError:
            pass

        assert (await reading).status == 413
    assert _resident() - before < 20_000_000


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_all_bodies_together_are_bounded(publisher: LogPublisher) -> None:
    limits = replace(PATIENT, held=150_000)
    async with (
        HttpDoor("127.0.0.1:0", publisher, limits) as door,
        dial(door.address) as first,
        dial(door.address) as second,
    ):
        await first.say(post(b"x" * 90_000, STRUCTURED, length=95_000))
        await until(lambda: door.held >= 90_000)

        await second.say(post(b"x" * 90_000, STRUCTURED, length=95_000))
        reply = await second.hear()

        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert await second.is_closed()
        await until(lambda: door.held < 95_000)


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
