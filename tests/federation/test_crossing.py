"""What one region accepted is in the other's log once, in order, with its origin and offsets."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest
from xxhash import xxh3_64_intdigest

from federation.interest import Interests, Wanted
from federation.link import Link
from federation.peer import Peer
from gateway.codec.frames import CHECKED_FROM, pack, parse, seal
from gateway.core import telemetry
from gateway.core.errors import IsthmusError
from gateway.log.lmdb import LmdbLog
from tests.emulators.fault_proxy import FaultProxy
from tests.federation.arrange import (
    FastClock,
    event,
    following,
    ids,
    memory,
    origin_offsets,
    publish,
    serving,
    until,
    wanting,
)

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.core.frame import Frame


async def test_what_was_accepted_before_and_after_the_link_crosses() -> None:
    us, eu = memory("us"), memory("eu")
    await publish(us, 1, 100)

    async with serving(us) as server, following(eu, {"us": f"127.0.0.1:{server.port}"}):
        await until(lambda: eu.end == 100)
        await publish(us, 101, 50, per_frame=1)
        await until(lambda: eu.end == 150)

    assert await origin_offsets(eu, us.log_id) == list(range(1, 151))
    assert await ids(eu, us.log_id) == [event(number).id for number in range(1, 151)]


async def test_cancelled_at_every_turn_nothing_is_lost_or_twice(tmp_path: Path) -> None:
    """The commit goes on in the log's thread while the link is cancelled and started again."""
    us = memory("us")
    clock = FastClock()
    async with LmdbLog(tmp_path, region="eu", at_most=64 << 20) as eu, serving(us) as server:
        interests = wanting("us")
        for turns in range(1, 80):
            await publish(us, us.end + 1, 7, per_frame=3)
            async with Peer(f"127.0.0.1:{server.port}", region="eu", node="n1") as peer, asyncio.TaskGroup() as tasks:
                link = Link(us.log_id, append=eu.append, store=eu, interests=interests, clock=clock)
                running = tasks.create_task(_until_it_fails(link, peer))
                for _ in range(turns):
                    await asyncio.sleep(0)
                running.cancel()
        async with following(eu, {"us": f"127.0.0.1:{server.port}"}, interests):
            await until(lambda: eu.end >= us.end)

        assert await origin_offsets(eu, us.log_id) == list(range(1, us.end + 1))


async def _until_it_fails(link: Link, peer: Peer) -> None:
    try:
        await link.run(peer)
    except IsthmusError:
        return


async def test_restarts_of_the_server_repeat_nothing() -> None:
    us, eu = memory("us"), memory("eu")
    async with serving(us) as server:
        port = server.port
        async with FaultProxy("127.0.0.1", port) as line, following(eu, {"us": line.address}):
            await publish(us, 1, 30)
            await until(lambda: eu.end == 30)
            await server.__aexit__(None, None, None)
            for _ in range(3):
                async with serving(us) as again:
                    line.redirect(again.port)
                    await publish(us, us.end + 1, 30)
                    await until(lambda: eu.end == us.end)

    assert await origin_offsets(eu, us.log_id) == list(range(1, us.end + 1))


async def test_a_line_that_breaks_again_and_again_repeats_nothing() -> None:
    us, eu = memory("us"), memory("eu")
    async with (
        serving(us) as server,
        FaultProxy("127.0.0.1", server.port) as line,
        following(eu, {"us": line.address}),
    ):
        await publish(us, 1, 4000, per_frame=20)
        for cut in (500, 3000, 9000, 20_000, 40_000):
            seen = line.connections
            line.down.cut_after = cut
            line.reset()
            await _connected_again(line, seen + 1)
        line.heal()
        line.reset()
        await until(lambda: eu.end == 4000)

    assert await origin_offsets(eu, us.log_id) == list(range(1, 4001))


async def _connected_again(line: FaultProxy, beyond: int) -> None:
    await until(lambda: line.connections > beyond)


async def test_corrupted_bytes_never_reach_the_log() -> None:
    us, eu = memory("us"), memory("eu")
    async with (
        serving(us) as server,
        FaultProxy("127.0.0.1", server.port, seed=7) as line,
        following(eu, {"us": line.address}),
    ):
        line.down.corrupt = 0.3
        await publish(us, 1, 2000, per_frame=20)
        seen = line.connections
        await until(lambda: line.connections > seen + 3)
        line.heal()
        line.reset()
        await until(lambda: eu.end == 2000)

    assert await ids(eu, us.log_id) == [event(number).id for number in range(1, 2001)]


async def test_nothing_travels_in_a_circle() -> None:
    """Three regions that all follow each other: each has every event once, and it ends."""
    logs = {name: memory(name) for name in ("us", "eu", "ap")}
    async with serving(logs["us"]) as us, serving(logs["eu"]) as eu, serving(logs["ap"]) as ap:
        ports = {"us": us.port, "eu": eu.port, "ap": ap.port}

        def others(name: str) -> dict[str, str]:
            return {other: f"127.0.0.1:{port}" for other, port in ports.items() if other != name}

        async with (
            following(logs["us"], others("us")),
            following(logs["eu"], others("eu")),
            following(logs["ap"], others("ap")),
        ):
            for log in logs.values():
                await publish(log, 1, 40)
            await until(lambda: all(log.end >= 120 for log in logs.values()))
            for log in logs.values():
                await publish(log, 41, 1)  # behind everything that could still circulate
            await until(lambda: all(log.end >= 123 for log in logs.values()))

    assert [log.end for log in logs.values()] == [123, 123, 123]


async def test_filtered_events_keep_their_origin_offsets() -> None:
    us, eu = memory("us"), memory("eu")
    interests = wanting("us", spec={"exact": {"type": "wanted"}})
    await publish(us, 1, 60, kinds=("other", "wanted", "other"))

    async with serving(us) as server, following(eu, {"us": f"127.0.0.1:{server.port}"}, interests) as links:
        await until(lambda: links.status() and links.status()[0].position == 60)

    assert await origin_offsets(eu, us.log_id) == list(range(1, 61, 3))
    assert await ids(eu, us.log_id) == [event(number).id for number in range(1, 61, 3)]


async def test_the_position_moves_over_what_is_not_wanted() -> None:
    """A restart does not look again at everything that was filtered out, and trimming is not held by it."""
    us, eu = memory("us"), memory("eu")
    interests = wanting("us", spec={"exact": {"type": "never"}})
    await publish(us, 1, 60)

    async with serving(us) as server:
        async with following(eu, {"us": f"127.0.0.1:{server.port}"}, interests) as links:
            await until(lambda: links.status() and links.status()[0].position == 60)
            await until(lambda: server.lowest_needed(us.log_id, 3600.0) == 61)

    assert eu.end == 0


async def test_interest_changes_without_a_new_connection() -> None:
    us, eu = memory("us"), memory("eu")
    interests = wanting("us", spec={"exact": {"type": "one"}})
    async with (
        serving(us) as server,
        FaultProxy("127.0.0.1", server.port) as line,
        following(eu, {"us": line.address}, interests) as links,
    ):
        await publish(us, 1, 30, kinds=("two", "one"))
        await until(lambda: links.status() and links.status()[0].position == 30)
        version = interests.want("us", [Wanted({"exact": {"type": "two"}}, None)])
        link = next(iter(links._sessions.values())).links[us.log_id]
        await until(lambda: version in link.holds)
        await publish(us, 31, 30, kinds=("two", "one"))
        await until(lambda: links.status()[0].position == 60)

        assert line.connections == 1
        assert link.holds[version] == 30

    assert await origin_offsets(eu, us.log_id) == [*range(1, 31, 2), *range(32, 61, 2)]


async def test_a_new_link_begins_at_the_oldest_subscription() -> None:
    us, eu = memory("us"), memory("eu")
    await publish(us, 1, 20)
    await asyncio.sleep(0.01)
    created = FastClock().now()
    await asyncio.sleep(0.01)
    await publish(us, 21, 20)
    interests = Interests()
    interests.want("us", [Wanted(None, created)])

    async with serving(us) as server, following(eu, {"us": f"127.0.0.1:{server.port}"}, interests):
        await until(lambda: eu.end == 20)

    assert await origin_offsets(eu, us.log_id) == list(range(21, 41))


async def test_a_region_nobody_wants_any_more_is_left() -> None:
    us, eu = memory("us"), memory("eu")
    interests = wanting("us")
    async with serving(us) as server, following(eu, {"us": f"127.0.0.1:{server.port}"}, interests) as links:
        await publish(us, 1, 10)
        await until(lambda: eu.end == 10)
        interests.want("us", [])
        await until(lambda: not links.status())
        await until(lambda: not server._readings)

        interests.want("us", [Wanted(None, None)])
        await publish(us, 11, 10)
        await until(lambda: eu.end == 20)

    assert await origin_offsets(eu, us.log_id) == list(range(1, 21))


@pytest.mark.parametrize("per_frame", [1, 7, 100])
async def test_small_frames_are_merged_for_a_reader_that_is_behind(per_frame: int) -> None:
    us, eu = memory("us"), memory("eu")
    await publish(us, 1, 700, per_frame=per_frame)

    async with serving(us) as server, following(eu, {"us": f"127.0.0.1:{server.port}"}):
        await until(lambda: eu.end == 700)

    assert await ids(eu, us.log_id) == [event(number).id for number in range(1, 701)]
    if per_frame == 1:
        assert len(eu._frames) < 50, "one frame for each of 700 events crossed"


async def test_a_frame_that_cannot_be_opened_does_not_stop_those_around_it() -> None:
    """It crosses as it is, to be buried there; to merge it with others would need to open it."""
    us, eu = memory("us", "aabbccddeeff0011"), memory("eu")
    await publish(us, 1, 50, per_frame=1)
    lost = seal(pack("main", [event(51)] * 9), origin=us.log_id, first=51, accepted=1.0)
    await us.append([parse(with_blob(lost, b"no events"))])
    await publish(us, 60, 50, per_frame=1)

    async with serving(us) as server, following(eu, {"us": f"127.0.0.1:{server.port}"}):
        await until(lambda: eu.end == 109)

    assert await origin_offsets(eu, us.log_id) == list(range(1, 110))


def with_blob(frame: Frame, blob: bytes) -> bytes:
    """The frame with other content and a checksum that fits."""
    checked = frame.data[CHECKED_FROM : frame.blob_at] + blob + frame.data[frame.footer_at :]
    return frame.data[:4] + xxh3_64_intdigest(checked).to_bytes(8, "little") + checked


async def test_events_in_and_out_are_counted() -> None:
    us, eu = memory("us-counted"), memory("eu-counted")
    async with serving(us) as server, following(eu, {"us-counted": f"127.0.0.1:{server.port}"}) as links:
        await publish(us, 1, 25)
        await until(lambda: eu.end == 25)
        await until(lambda: links.status()[0].lag_events == 0)

        assert telemetry.link_up.labels("us-counted")._value.get() == 1
        assert links.status()[0].describe()["events"] == 25

    assert telemetry.link_events.labels("us-counted")._value.get() == 25
    assert telemetry.served_events.labels("eu-counted")._value.get() == 25
    assert telemetry.link_bytes.labels("us-counted")._value.get() > 0
    assert telemetry.link_up.labels("us-counted")._value.get() == 0


async def test_how_far_a_link_that_is_down_is_behind_is_not_known() -> None:
    """Nobody knows what the other region took in meanwhile: 0 would be taken for health."""
    us, eu = memory("us-away"), memory("eu")
    await publish(us, 1, 5)

    async with serving(us) as server, following(eu, {"us-away": f"127.0.0.1:{server.port}"}) as links:
        await until(lambda: links.status() and links.status()[0].lag_events == 0)
        await server.__aexit__(None, None, None)
        await until(lambda: links.status()[0].state == "waiting")
        status = links.status()[0]

        assert (status.position, status.lag_events, status.lag_seconds) == (5, None, None)
        assert math.isnan(telemetry.link_lag_events.labels("us-away")._value.get())
