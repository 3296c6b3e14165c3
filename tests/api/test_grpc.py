from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import grpc
import grpc.aio
import msgspec
import pytest

from connectors.memory_door import until
from gateway.api.grpc import GrpcDoor
from gateway.api.isthmus_pb2 import PublishRequest, PublishResponse
from gateway.api.limits import Limits
from gateway.codec.frames import encode_events
from gateway.core.errors import LogFull
from gateway.core.event import Event
from tests.api.publishers import LogPublisher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIMITS = Limits(event=10_000, message=200_000, batches=4, window=50_000, events=1000, drain_timeout=2)

Stream: TypeAlias = "grpc.aio.StreamStreamCall[PublishRequest, PublishResponse]"


@pytest.fixture
def publisher() -> LogPublisher:
    return LogPublisher()


@pytest.fixture
async def door(publisher: LogPublisher) -> AsyncIterator[GrpcDoor]:
    async with GrpcDoor("127.0.0.1:0", publisher, LIMITS) as door:
        yield door
        publisher.open.set()


@asynccontextmanager
async def stream(door: GrpcDoor, compression: grpc.Compression | None = None) -> AsyncIterator[Stream]:
    async with grpc.aio.insecure_channel(door.address, compression=compression) as channel:
        publish: grpc.aio.StreamStreamMultiCallable[PublishRequest, PublishResponse] = channel.stream_stream(
            "/isthmus.v1.Isthmus/Publish",
            request_serializer=PublishRequest.SerializeToString,
            response_deserializer=PublishResponse.FromString,
        )
        call = publish()
        yield call
        call.cancel()


def some(*ids: int, data: bytes = b"1") -> bytes:
    return encode_events([Event(str(number), "/shop", "t", data=data) for number in ids])


async def answer(call: Stream) -> PublishResponse:
    response = await call.read()
    assert isinstance(response, PublishResponse)
    return response


@pytest.mark.parametrize("form", ["packed", "json_batch", "cloudevents"])
async def test_a_batch_in_each_form_is_durable_when_it_is_answered(
    door: GrpcDoor, publisher: LogPublisher, form: str
) -> None:
    body = {
        "packed": some(1, 2),
        "json_batch": json.dumps(
            [{"specversion": "1.0", "id": i, "source": "/shop", "type": "t"} for i in "12"]
        ).encode(),
        "cloudevents": b"".join(
            b"\x0a" + bytes([len(one)]) + one
            for one in (b"\x0a\x01%d\x12\x05/shop\x1a\x031.0\x22\x01t" % number for number in (1, 2))
        ),
    }[form]
    async with stream(door) as call:
        await call.write(PublishRequest(sequence=1, **{form: body}))

        assert await answer(call) == PublishResponse(sequence=1, accepted=2)
        assert publisher.ids == ["1", "2"]
        assert publisher.spaces == ["main"]


async def test_a_space_that_is_not_there_is_refused(door: GrpcDoor, publisher: LogPublisher) -> None:
    """Acknowledged, it would stop every link: no peer takes a frame of a space it does not know."""
    async with stream(door) as call:
        await call.write(PublishRequest(sequence=1, space="Billing", packed=some(1)))
        response = await answer(call)

    assert "only main" in response.refused[0].reason
    assert publisher.spaces == []


async def test_batches_are_under_way_together_and_one_answer_covers_them(
    door: GrpcDoor, publisher: LogPublisher
) -> None:
    publisher.open.clear()
    async with stream(door) as call:
        for sequence in (1, 2, 3):
            await call.write(PublishRequest(sequence=sequence, packed=some(sequence)))
        await until(lambda: publisher.started == 3)

        publisher.open.set()

        total, sequence = 0, 0
        while sequence < 3:
            response = await answer(call)
            total, sequence = total + response.accepted, response.sequence
    assert (total, sequence) == (3, 3)
    assert publisher.ids == ["1", "2", "3"]


@pytest.mark.parametrize(("data", "under_way"), [(b"1", 4), (b"x" * 9_000, 3)])
async def test_no_more_is_read_than_the_window_allows(
    door: GrpcDoor, publisher: LogPublisher, data: bytes, under_way: int
) -> None:
    """Four batches, or 50 kB of them; each here has one event, or two of 9 kB."""
    publisher.open.clear()
    async with stream(door) as call:
        for number in range(8):
            ids = (number,) if data == b"1" else (number, number + 100)
            await call.write(PublishRequest(sequence=number + 1, packed=some(*ids, data=data)))
        await until(lambda: publisher.started >= under_way)
        await asyncio.wait([asyncio.ensure_future(call.read())], timeout=0.2)

        assert publisher.started == under_way

        publisher.open.set()
        await until(lambda: publisher.started == 8)


async def test_a_batch_with_bad_events_is_refused_whole_and_names_them(door: GrpcDoor, publisher: LogPublisher) -> None:
    good = Event("1", "/shop", "t")
    batch = encode_events([good, good.but(type=""), good, good.but(data=b"x" * 10_001)])
    async with stream(door) as call:
        await call.write(PublishRequest(sequence=1, packed=some(1)))
        await call.write(PublishRequest(sequence=2, packed=batch))
        await call.write(PublishRequest(sequence=3, packed=some(3)))
        answers = [await answer(call)]
        while answers[-1].sequence < 3:
            answers.append(await answer(call))

    assert sum(one.accepted for one in answers) == 2
    (refusal,) = [one for one in answers if one.refused]
    assert refusal.sequence == 2
    assert [(one.index, one.reason.split(":")[0]) for one in refusal.refused] == [
        (1, "type"),
        (3, refusal.refused[1].reason.split(":")[0]),
    ]
    assert publisher.ids == ["1", "3"]


async def test_a_batch_full_of_bad_events_is_answered_shortly(door: GrpcDoor, publisher: LogPublisher) -> None:
    async with stream(door) as call:
        await call.write(PublishRequest(sequence=1, packed=encode_events([Event("", "", "")] * 1000)))

        assert len((await answer(call)).refused) == 20


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "no body"),
        ({"packed": b"\xc1"}, "packed"),
        ({"packed": b""}, "packed"),
        ({"packed": b"\xdd\xff\xff\xff\xff"}, "4294967295 events"),
        ({"packed": msgspec.msgpack.encode([["1", "/s", "t"]] * 1001)}, "1001 events"),
        ({"packed": msgspec.msgpack.encode([["1", "/s", "t", 5]])}, "packed"),
        ({"packed": b"\x91\x93\xa1\xff\xa1s\xa1t"}, "packed"),
        ({"json_batch": b"[" * 100_000}, "JSON"),
        ({"json_batch": b"{}"}, ""),
        ({"cloudevents": b"\x0a\xff"}, ""),
    ],
)
async def test_what_cannot_be_read_is_refused_and_the_stream_goes_on(
    door: GrpcDoor, publisher: LogPublisher, body: dict[str, bytes], says: str
) -> None:
    async with stream(door) as call:
        await call.write(PublishRequest(sequence=1, **body))
        refused = (await answer(call)).refused
        await call.write(PublishRequest(sequence=2, packed=some(2)))

        assert (await answer(call)).accepted == 1
    assert not refused[0].HasField("index") or body
    assert says in refused[0].reason


async def test_unavailable_ends_the_stream_and_nothing_after_it_is_taken(
    door: GrpcDoor, publisher: LogPublisher
) -> None:
    publisher.refusal = LogFull("the log is full", after=3.5)
    publisher.open.clear()
    async with stream(door) as call:
        for sequence in (1, 2, 3):
            await call.write(PublishRequest(sequence=sequence, packed=some(sequence)))
        await until(lambda: publisher.started == 3)
        publisher.open.set()
        response = await answer(call)

        assert (response.sequence, response.unavailable.after) == (1, 3.5)
        assert "full" in response.unavailable.reason
        assert await call.read() is grpc.aio.EOF
    assert publisher.events == []


async def test_sequences_must_grow(door: GrpcDoor, publisher: LogPublisher) -> None:
    async with stream(door) as call:
        for sequence in (5, 5):
            await call.write(PublishRequest(sequence=sequence, packed=some(sequence)))
        await call.done_writing()
        answers = [one async for one in call]

    assert "sequence" in answers[-1].refused[0].reason
    assert publisher.ids == ["5"]


async def test_an_empty_batch_is_acknowledged(door: GrpcDoor) -> None:
    async with stream(door) as call:
        await call.write(PublishRequest(sequence=1, packed=b"\x90"))

        assert await answer(call) == PublishResponse(sequence=1)


async def test_a_message_that_is_too_large_ends_only_its_stream(door: GrpcDoor, publisher: LogPublisher) -> None:
    async with stream(door) as other:
        async with stream(door) as call:
            await call.write(PublishRequest(sequence=1, packed=b"x" * 300_000))
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await call.read()
        await other.write(PublishRequest(sequence=1, packed=some(1)))

        assert (await answer(other)).accepted == 1
    assert ended.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_compressed_message_is_not_unpacked(door: GrpcDoor, publisher: LogPublisher) -> None:
    """A few kilobytes of zeros would unpack to any size."""
    async with stream(door, compression=grpc.Compression.Gzip) as call:
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await _write_and_read(call, PublishRequest(sequence=1, packed=some(1)))
    assert ended.value.code() in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL}
    assert publisher.events == []


async def _write_and_read(call: Stream, request: PublishRequest) -> None:
    await call.write(request)
    await call.read()


async def test_a_bug_that_one_stream_meets_stops_nobody(door: GrpcDoor, publisher: LogPublisher) -> None:
    publisher.bug = ZeroDivisionError("ours")
    async with stream(door) as other:
        async with stream(door) as call:
            await call.write(PublishRequest(sequence=1, packed=some(1)))
            with pytest.raises(grpc.aio.AioRpcError):
                await call.read()
        publisher.bug = None
        await other.write(PublishRequest(sequence=1, packed=some(2)))

        assert (await answer(other)).accepted == 1


async def test_bytes_under_way_are_bounded_over_all_streams(publisher: LogPublisher) -> None:
    publisher.open.clear()
    async with (
        GrpcDoor("127.0.0.1:0", publisher, replace(LIMITS, held=15_000)) as door,
        stream(door) as first,
        stream(door) as second,
    ):
        await first.write(PublishRequest(sequence=1, packed=some(1, data=b"x" * 9000)))
        await until(lambda: publisher.started == 1)

        await second.write(PublishRequest(sequence=1, packed=some(2, data=b"x" * 9000)))

        assert (await answer(second)).unavailable.after == 1.0
        publisher.open.set()
        assert (await answer(first)).accepted == 1
        await until(lambda: door.held == 0)


async def test_a_stream_that_breaks_leaves_nothing_behind(door: GrpcDoor, publisher: LogPublisher) -> None:
    publisher.open.clear()
    async with stream(door) as call:
        await call.write(PublishRequest(sequence=1, packed=some(1)))
        await until(lambda: publisher.started == 1)

    await until(lambda: not door._streams)
    assert door.held == 0


async def test_closing_answers_what_is_under_way(publisher: LogPublisher) -> None:
    publisher.open.clear()
    door = GrpcDoor("127.0.0.1:0", publisher, LIMITS)
    await door.__aenter__()
    async with stream(door) as call:
        await call.write(PublishRequest(sequence=1, packed=some(1)))
        await until(lambda: publisher.started == 1)

        closing = asyncio.ensure_future(door.__aexit__(None, None, None))
        await until(lambda: all(one._is_ended for one in door._streams))
        publisher.open.set()

        assert (await answer(call)).accepted == 1
        assert await call.read() is grpc.aio.EOF
        await closing


async def test_an_address_in_use_is_an_error(door: GrpcDoor, publisher: LogPublisher) -> None:
    with pytest.raises(OSError, match="bind"):
        await GrpcDoor(door.address, publisher, LIMITS).__aenter__()


async def test_bytes_that_are_no_http2_do_not_stop_the_door(door: GrpcDoor, publisher: LogPublisher) -> None:
    host, port = door.address.split(":")
    for nonsense in (b"\x00" * 1000, b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 999):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(nonsense)
        writer.close()

    async with stream(door) as call:
        await call.write(PublishRequest(sequence=1, packed=some(1)))
        assert (await answer(call)).accepted == 1


def test_the_stubs_are_those_of_the_proto() -> None:
    """Whoever changes the one generates the other: the numbers on the wire are kept for ever."""
    proto = Path("gateway/api/isthmus.proto").read_text()

    for message in (PublishRequest, PublishResponse):
        for field in message.DESCRIPTOR.fields:
            assert f" {field.name} = {field.number};" in proto
