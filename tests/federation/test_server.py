"""What a server promises its readers, and itself."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from federation import federation_pb2 as wire
from federation.peer import Peer, RemoteRead
from federation.readers import STEP, Readers
from federation.reading import LINGER, Reading
from gateway.codec.frames import pack, parse
from gateway.core.errors import Diverged, Trimmed, Unavailable
from gateway.core.event import Event
from gateway.core.frame import FORMAT
from tests.clock import FakeClock
from tests.federation.arrange import FastClock, memory, publish, serving, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.records import Row
    from gateway.log.memory import MemoryLog


def start(log: MemoryLog, **fields: Any) -> wire.Start:
    made: dict[str, Any] = {"log_id": log.log_id, "region": "eu", "node": "n1", "window": 1 << 20}
    return wire.Start(**(made | {"frame_format": FORMAT} | fields))


async def pages(stream: RemoteRead, upto: int) -> list[wire.Page]:
    """The pages up to that offset."""
    found: list[wire.Page] = []
    while not found or found[-1].upto.offset < upto:
        message = await stream.next()
        if isinstance(message, wire.Page):
            found.append(message)
    return found


def peer_of(port: int, node: str = "n1") -> Peer:
    return Peer(f"127.0.0.1:{port}", region="eu", node=node)


async def test_hello_names_the_logs() -> None:
    us = memory("us")
    await publish(us, 1, 5)

    async with serving(us) as server, peer_of(server.port) as peer:
        hello = await peer.hello()

    assert (hello.region, hello.frame_format) == ("us", FORMAT)
    assert [(state.log_id, state.first, state.end) for state in hello.logs] == [(us.log_id, 1, 5)]


async def test_another_mesh_is_not_served() -> None:
    us = memory("us")
    async with serving(us) as server:
        stranger = Peer(f"127.0.0.1:{server.port}", region="eu", node="n1", mesh="other")
        async with stranger:
            with pytest.raises(Unavailable, match="mesh"):
                await stranger.hello()


async def test_a_slow_reader_gets_a_window_and_no_more() -> None:
    """What is sent and not acknowledged is bounded, so a reader that never acknowledges costs a window of memory."""
    us = memory("us")
    await publish(us, 1, 2000, per_frame=100)
    size = sum(len(stored.frame.data) for stored in us._frames)
    window = max(16 * 1024, size // 4)

    async with serving(us, clock=FastClock(1.0)) as server, peer_of(server.port) as peer:
        async with peer.read(start(us, window=window)) as stream:
            await until(lambda: bool(server._readings))
            reading = next(iter(server._readings))
            await until(lambda: reading._window.in_flight > 0)
            upto = 0
            for _ in range(200):  # it reads, but does not acknowledge
                await asyncio.sleep(0)
            assert 0 < reading._window.in_flight <= window + len(us._frames[0].frame.data)
            assert reading._at < 2000

            while upto < 2000:
                message = await stream.next()
                if isinstance(message, wire.Page):
                    upto = message.upto.offset
                    await stream.tell(wire.FromReader(ack=wire.Ack(durable=message.upto)))
    assert upto == 2000


async def test_a_position_inside_a_frame_is_read_on_from() -> None:
    us = memory("us")
    await publish(us, 1, 30)

    async with serving(us) as server, peer_of(server.port) as peer:
        async with peer.read(start(us, position=wire.Place(offset=14))) as stream:
            found = await pages(stream, 30)

    offsets = [offset for page in found for data in page.frames for offset in parse(data).origin_offsets()]
    assert offsets == list(range(15, 31))


async def test_a_trimmed_position_is_told_where_the_log_begins() -> None:
    us = memory("us")
    await publish(us, 1, 30)
    await us.trim(21)

    async with serving(us) as server, peer_of(server.port) as peer:
        async with peer.read(start(us, position=wire.Place(offset=4))) as stream:
            with pytest.raises(Trimmed) as told:
                await pages(stream, 30)

    assert told.value.first == 21


@pytest.mark.parametrize("place", [wire.Place(offset=99), wire.Place(offset=5, hash=b"another!")])
async def test_a_position_of_another_past_is_told_so(place: wire.Place) -> None:
    us = memory("us")
    await publish(us, 1, 30)

    async with serving(us) as server, peer_of(server.port) as peer, peer.read(start(us, position=place)) as stream:
        with pytest.raises(Diverged):
            await pages(stream, 30)


async def test_an_expression_that_does_not_compile_counts_as_true() -> None:
    us = memory("us")
    await publish(us, 1, 30)
    broken = wire.Interest(version=7, expression='{"no such": {"dialect": 1')

    async with serving(us) as server, peer_of(server.port) as peer:
        async with peer.read(start(us, interest=broken)) as stream:
            told = [await stream.next(), await stream.next()]
            found = await pages(stream, 30)

    holds = next(message for message in told if isinstance(message, wire.InterestHolds))
    assert (holds.version, holds.after, bool(holds.uncompiled)) == (7, 0, True)
    assert sum(parse(data).count for page in found for data in page.frames) == 30


async def test_handed_out_is_durable_before_anything_leaves() -> None:
    us = memory("us")
    await publish(us, 1, 30)
    written: list[int] = []
    write = us.write

    async with serving(us, clock=FastClock(1.0)) as server, peer_of(server.port) as peer:
        gate = asyncio.Event()

        async def held(rows: Sequence[Row], **more: Any) -> None:
            await gate.wait()
            await write(rows, **more)
            written.append(1)

        us.write = held  # type: ignore[method-assign]  # the disk is slow
        async with peer.read(start(us)) as stream, asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(pages(stream, 30))
            for _ in range(100):
                await asyncio.sleep(0.001)
            assert not reading.done()
            gate.set()
            await reading
        us.write = write  # type: ignore[method-assign]

        assert written
        assert server.readers(us.log_id)["eu"].handed_out >= 30


async def test_the_row_of_a_reader_survives_a_restart() -> None:
    us = memory("us")
    await publish(us, 1, 30)
    async with serving(us) as server, peer_of(server.port) as peer, peer.read(start(us, term=3)) as stream:
        found = await pages(stream, 30)
        await stream.tell(wire.FromReader(ack=wire.Ack(durable=found[-1].upto)))
        await until(lambda: server.readers(us.log_id)["eu"].durable == 30)

    async with serving(us) as server:
        row = server.readers(us.log_id)["eu"]

        assert (row.term, row.node, row.durable, row.handed_out) == (3, "n1", 30, 30)
        assert server.lowest_needed(us.log_id, 3600.0) == 31


async def test_after_a_crash_handed_out_is_at_or_beyond_what_left() -> None:
    us = memory("us")
    await publish(us, 1, 30)
    async with serving(us) as server, peer_of(server.port) as peer, peer.read(start(us)) as stream:
        await pages(stream, 30)
        crashed = dict(us._tables["readers"])

    us._tables["readers"] = crashed
    async with serving(us) as server:
        assert 30 <= server.readers(us.log_id)["eu"].handed_out <= 30 + STEP


async def test_only_the_highest_term_is_served() -> None:
    us = memory("us")
    await publish(us, 1, 30)
    async with serving(us) as server, peer_of(server.port) as old, peer_of(server.port, "n2") as new:
        async with old.read(start(us, term=1)) as first:
            await pages(first, 30)
            async with new.read(start(us, term=2, node="n2")) as second:
                await pages(second, 30)

                with pytest.raises(Unavailable, match="term 2"):
                    await pages(first, 31)

        async with old.read(start(us, term=1)) as again:
            with pytest.raises(Unavailable, match="term 1 of eu ended"):
                await pages(again, 30)


async def test_another_node_in_the_same_term_is_not_served_while_the_first_reads() -> None:
    us = memory("us")
    await publish(us, 1, 30)
    async with serving(us) as server, peer_of(server.port) as one, peer_of(server.port, "n2") as two:
        async with one.read(start(us)) as first:
            await pages(first, 30)
            async with two.read(start(us, node="n2")) as second:
                with pytest.raises(Unavailable, match="n1 reads"):
                    await pages(second, 30)


async def test_a_second_stream_of_the_same_node_replaces_the_first() -> None:
    """The first is what a broken connection left behind."""
    us = memory("us")
    await publish(us, 1, 30)
    async with serving(us) as server, peer_of(server.port) as peer:
        async with peer.read(start(us)) as first, peer.read(start(us)) as second:
            await pages(second, 30)

            with pytest.raises(Unavailable, match="another stream"):
                await pages(first, 99)


async def test_a_region_that_was_forgotten_holds_no_longer() -> None:
    us = memory("us")
    await publish(us, 1, 30)
    async with serving(us) as server, peer_of(server.port) as peer:
        async with peer.read(start(us, position=wire.Place(offset=10))) as stream:
            await pages(stream, 30)

        assert server.lowest_needed(us.log_id, 60.0) == 11
        assert server.lowest_needed(us.log_id, -1.0) is None


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b""])
async def test_what_is_not_a_start_gets_an_answer_and_harms_nobody(data: bytes) -> None:
    us = memory("us")
    await publish(us, 1, 5)
    async with serving(us) as server, peer_of(server.port) as peer:
        stream = RemoteRead(peer, peer._open, start(us))
        stream._call = peer._open.stream_stream("/isthmus.federation.v1.Federation/Read")()
        await stream._stream.write(data)
        with pytest.raises(Unavailable):
            await stream.next()

        async with peer.read(start(us)) as stream:
            assert (await pages(stream, 5))[-1].upto.offset == 5


@pytest.mark.parametrize("who", [{"region": "x" * 500}, {"region": "No Label"}, {"node": "a/b"}, {"node": ""}])
async def test_a_reader_whose_name_is_none_is_turned_away_and_the_rows_of_others_are_saved(who: dict[str, str]) -> None:
    """A row under such a name could not be written, nor could those written with it."""
    us = memory("us")
    await publish(us, 1, 5)
    async with serving(us) as server, peer_of(server.port) as peer:
        async with peer.read(start(us, **who)) as stream:
            with pytest.raises(Unavailable, match="no name of a region"):
                await stream.next()

        assert not server.readers(us.log_id)


async def test_one_port_has_one_holder() -> None:
    us = memory("us")
    async with serving(us) as server:
        with pytest.raises(Unavailable, match="cannot listen"):
            async with serving(us, port=server.port):
                pass


async def test_events_arrive_as_they_were() -> None:
    us = memory("us")
    await publish(us, 1, 3)
    async with serving(us) as server, peer_of(server.port) as peer, peer.read(start(us)) as stream:
        found = await pages(stream, 3)

    assert [data for page in found for data in page.frames] == [stored.frame.data for stored in us._frames]


@pytest.mark.parametrize("beyond", [wire.Place(offset=99), wire.Place(offset=99, hash=b"12345678")])
async def test_a_position_beyond_the_end_does_not_move_what_is_held(beyond: wire.Place) -> None:
    """After a restored snapshot its reader goes back: until then nothing it may need is let go."""
    us = memory("us")
    await publish(us, 1, 30)

    async with serving(us) as server, peer_of(server.port) as peer:
        async with peer.read(start(us, position=wire.Place(offset=10))) as stream:
            await pages(stream, 30)
        async with peer.read(start(us, position=beyond)) as stream:
            await stream.tell(wire.FromReader(ack=wire.Ack(durable=wire.Place(offset=99))))
            with pytest.raises(Diverged):
                await pages(stream, 30)

        assert server.readers(us.log_id)["eu"].durable == 10


async def test_a_reader_that_changes_its_interest_without_end_is_hung_up_on() -> None:
    """Each change is answered; who does not read the answers does not fill our memory."""
    us = memory("us")
    readers = Readers(us.log_id, us, FastClock())
    reading = Reading(us, readers, start(us), FastClock())
    reads = asyncio.Event()
    heard = 0
    said: list[wire.FromLog] = []

    async def receive() -> bytes | None:
        nonlocal heard
        heard += 1
        await asyncio.sleep(0)
        return wire.FromReader(interest=wire.Interest(version=heard)).SerializeToString()

    async def send(data: bytes) -> bool:
        await reads.wait()
        said.append(wire.FromLog.FromString(data))
        return True

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(reading.run(receive, send))
        await until(lambda: heard > 1000)
        for _ in range(3000):
            await asyncio.sleep(0)
        assert heard < 1100
        reads.set()
        await running

    assert said[-1].closed.reason == "too many interests"


@pytest.mark.parametrize(("acknowledged", "then"), [(True, [1, 2, 3, 4]), (False, [1, 2, 4])])
async def test_while_a_reader_is_busy_small_pages_wait_for_company(acknowledged: bool, then: list[int]) -> None:
    """One that keeps up gets what is new at once; one that has not acknowledged gets it in fewer pages, 5 ms later."""
    us, clock = memory("us"), FakeClock()
    reading = Reading(us, Readers(us.log_id, us, clock), start(us), clock)
    heard: asyncio.Queue[bytes | None] = asyncio.Queue()
    offsets: list[int] = []

    async def send(data: bytes) -> bool:
        message = wire.FromLog.FromString(data)
        if message.HasField("page"):
            offsets.append(message.page.upto.offset)
            if acknowledged or len(offsets) == 1:  # the first acknowledgement shows how fast the line is
                heard.put_nowait(wire.FromReader(ack=wire.Ack(durable=message.page.upto)).SerializeToString())
        return True

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reading.run(heard.get, send))
        for number in (1, 2, 3, 4):
            large = Event(str(number), "/tests", "made", data=random.Random(number).randbytes(20_000))
            await us.append(pack("main", [large]))
            await clock.advance(0.001)
        await clock.advance(LINGER)
        heard.put_nowait(None)

    assert offsets == then
