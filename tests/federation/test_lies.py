"""A peer that sends what is not right is refused, and nothing of it is appended."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import msgspec
import pytest
from xxhash import xxh3_64_intdigest

from federation import federation_pb2 as wire
from federation.link import Link, decode_position
from federation.peer import Peer
from gateway.codec.frames import CHECKED_FROM, PREFIX, pack, seal
from gateway.core import telemetry
from gateway.core.errors import Damaged
from gateway.core.frame import FORMAT, Frame, Run
from tests.federation.arrange import FastClock, event, memory, wanting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from gateway.log.memory import MemoryLog

LOG = "us/n1@0011223344556677"


def honest(first: int = 1, count: int = 5, *, origin: str = LOG, space: str = "main") -> Frame:
    batches = pack(space, [event(number) for number in range(first, first + count)])
    return seal(batches, origin=origin, first=first, accepted=1_800_000_000.0)


def forged(frame: Frame, *, count: int | None = None, **header: object) -> bytes:
    """The frame with another header and a checksum that fits."""
    head = msgspec.msgpack.encode(msgspec.structs.replace(frame.header, **header))
    rest = frame.data[frame.blob_at :]
    prefix = PREFIX.pack(b"ISF", FORMAT, 0, len(head), len(frame.data) - frame.footer_at, count or frame.count)
    checked = prefix[CHECKED_FROM:] + head + rest
    return prefix[:4] + xxh3_64_intdigest(checked).to_bytes(8, "little") + checked


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


@asynccontextmanager
async def lying(messages: Sequence[wire.FromLog | bytes]) -> AsyncIterator[str]:
    """A server that answers every Read with these messages."""

    async def read(_: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await context.read()
        for message in messages:
            await context.write(message if isinstance(message, bytes) else message.SerializeToString())
        await asyncio.Event().wait()

    server = grpc.aio.server()
    routes: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Read": grpc.stream_stream_rpc_method_handler(read)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("isthmus.federation.v1.Federation", routes),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def page(*frames: bytes, upto: int) -> wire.FromLog:
    return wire.FromLog(page=wire.Page(frames=frames, upto=wire.Place(offset=upto), end=upto))


BEGUN = wire.FromLog(begun=wire.Begun(after=0))


async def follow(address: str, log: MemoryLog) -> None:
    link = Link(LOG, append=log.append, store=log, interests=wanting("us"), clock=FastClock())
    async with Peer(address, region="eu", node="n1") as peer:
        await link.run(peer)


LIES = {
    "a bit is wrong": [page(flipped(honest().data, 100), upto=5)],
    "not a frame": [page(b"hello", upto=5)],
    "empty": [page(b"", upto=5)],
    "cut short": [page(honest().data[:-9], upto=5)],
    "of another log": [page(honest(origin="us/n2@8899aabbccddeeff").data, upto=5)],
    "of our own log's region": [page(honest(origin="eu/n1@8899aabbccddeeff").data, upto=5)],
    "count beyond the runs": [page(forged(honest(), count=6), upto=6)],
    "runs beyond the count": [page(forged(honest(), runs=(Run(1, 9, 1.0),)), upto=9)],
    "no runs": [page(forged(honest(), runs=()), upto=9)],
    "opens to a gigabyte": [page(forged(honest(), raw=1 << 30), upto=5)],
    "opens to nothing": [page(forged(honest(), raw=0), upto=5)],
    "a space that is no name": [page(forged(honest(), space="../etc"), upto=5)],
    "the same offsets twice": [page(honest().data, honest().data, upto=5)],
    "offsets go back within a page": [page(honest(10).data, honest(1).data, upto=20)],
    "upto before its events": [page(honest().data, upto=3)],
    "a time that is no number": [page(forged(honest(), runs=(Run(1, 5, float("nan")),)), upto=5)],
    "a time without end": [page(forged(honest(), runs=(Run(1, 5, float("inf")),)), upto=5)],
    "a time beyond all calendars": [page(forged(honest(), runs=(Run(1, 5, 1e300),)), upto=5)],
    "looked at in no time": [wire.FromLog(page=wire.Page(upto=wire.Place(offset=5), accepted=float("inf")))],
    "a hash too long to begin with": [wire.FromLog(page=wire.Page(upto=wire.Place(offset=5, hash=b"x" * 9)))],
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_a_lie_is_refused_and_nothing_is_appended(lie: list[wire.FromLog]) -> None:
    eu = memory("eu")
    refused = telemetry.link_refused_frames.labels("us")._value.get()

    async with lying([BEGUN, *lie]) as address:
        with pytest.raises(Damaged):
            await follow(address, eu)

    assert eu.end == 0
    assert telemetry.link_refused_frames.labels("us")._value.get() == refused + 1


async def test_offsets_that_go_back_after_a_good_page_are_refused() -> None:
    eu = memory("eu")

    async with lying([BEGUN, page(honest(1).data, upto=5), page(honest(3).data, upto=9)]) as address:
        with pytest.raises(Damaged, match="offset 3 after 5"):
            await follow(address, eu)

    assert eu.end in {0, 5}


@pytest.mark.parametrize(
    "messages",
    [
        [page(honest().data, upto=5)],
        [BEGUN, BEGUN],
    ],
    ids=["a page before the beginning", "two beginnings"],
)
async def test_an_answer_out_of_turn_is_refused(messages: list[wire.FromLog]) -> None:
    eu = memory("eu")

    async with lying(messages) as address:
        with pytest.raises(Damaged):
            await follow(address, eu)

    assert eu.end == 0


async def test_a_beginning_elsewhere_than_asked_is_refused() -> None:
    """A server cannot make a link skip what it has not read."""
    eu = memory("eu")
    async with lying([BEGUN, page(honest(1).data, upto=5)]) as address:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(follow(address, eu))
            async with asyncio.timeout(5):
                while eu.end < 5:
                    await asyncio.sleep(0.005)
            running.cancel()

    async with lying([wire.FromLog(begun=wire.Begun(after=500)), page(honest(501).data, upto=505)]) as address:
        with pytest.raises(Damaged, match="begun after 500 instead of 5"):
            await follow(address, eu)

    assert eu.end == 5


@pytest.mark.parametrize("first", [0, 1, 5, 6])
async def test_a_gap_that_ends_before_what_was_read_is_refused(first: int) -> None:
    """The position would go back, and what is ours already be appended again; 0 could not even be asked for."""
    eu = memory("eu")
    trimmed = wire.FromLog(trimmed=wire.Trimmed(first=first))

    async with lying([BEGUN, page(honest(1).data, upto=5), trimmed]) as address:
        with pytest.raises(Damaged, match=f"trimmed to {first}, read up to 5"):
            await follow(address, eu)

    kept = eu.position(f"link/{LOG}")
    assert kept is not None
    assert decode_position(kept).offset == eu.end == 5


@pytest.mark.parametrize("version", [0, 2, (1 << 64) - 1])
async def test_an_interest_that_was_never_told_cannot_hold(version: int) -> None:
    """What is kept of versions is bounded by how many there were."""
    holds = wire.FromLog(holds=wire.InterestHolds(version=version))

    async with lying([BEGUN, holds]) as address:
        with pytest.raises(Damaged, match="never told"):
            await follow(address, memory("eu"))


async def test_bytes_that_are_no_message_are_refused() -> None:
    eu = memory("eu")

    async with lying([BEGUN, b"\xff\xff\xff\xff"]) as address:
        with pytest.raises(Damaged):
            await follow(address, eu)

    assert eu.end == 0


async def test_a_message_of_a_newer_server_is_skipped() -> None:
    eu = memory("eu")
    newer = b"\xfa\x01\x03abc"  # field 31, which this build does not know

    async with lying([BEGUN, newer, page(honest(1).data, upto=5)]) as address:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(follow(address, eu))
            async with asyncio.timeout(5):
                while eu.end < 5:
                    await asyncio.sleep(0.005)
            running.cancel()

    assert eu.end == 5
