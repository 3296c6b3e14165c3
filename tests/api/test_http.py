"""The HTTP door: what is taken, what is refused and why, and how large it may be."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from connectors.memory_door import until
from gateway.api.http import HttpDoor
from gateway.core.errors import LogFull, Unavailable
from tests.api.conftest import PATIENT
from tests.api.wire import ask, dial, event, post

if TYPE_CHECKING:
    from tests.api.publishers import LogPublisher

STRUCTURED = "Content-Type: application/cloudevents+json"
BATCH = "Content-Type: application/cloudevents-batch+json; charset=utf-8"


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
