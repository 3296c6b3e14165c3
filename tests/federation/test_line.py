"""What a link does on lines that are slow, mute, thin or gone."""

from __future__ import annotations

import time

import pytest

from federation.links import LONGEST_PAUSE
from federation.peer import SILENCE
from tests.emulators.fault_proxy import FaultProxy
from tests.federation.arrange import FastClock, following, memory, origin_offsets, publish, serving, until

pytestmark = pytest.mark.integration


async def test_a_mute_line_is_noticed_and_used_again_once_it_heals() -> None:
    """A connection that is open and dead (F33): found by silence, not by TCP."""
    us, eu = memory("us"), memory("eu")
    clock = FastClock(20.0)
    async with (
        serving(us) as server,
        FaultProxy("127.0.0.1", server.port) as line,
        following(eu, {"us": line.address}, clock=clock) as links,
    ):
        await publish(us, 1, 10)
        await until(lambda: eu.end == 10)
        line.mute()
        began = clock.monotonic()
        await until(lambda: links.status()[0].state == "waiting", limit=5.0)
        noticed = clock.monotonic() - began
        assert noticed >= SILENCE - 2.0
        assert "nothing heard" in (links.status()[0].problem or "")

        await publish(us, 11, 10)
        line.heal()
        await until(lambda: eu.end == 20)

    assert await origin_offsets(eu, us.log_id) == list(range(1, 21))


async def test_a_one_way_line_is_not_half_alive() -> None:
    """Only the way back is mute: the server gets our beats, we get nothing."""
    us, eu = memory("us"), memory("eu")
    async with (
        serving(us) as server,
        FaultProxy("127.0.0.1", server.port) as line,
        following(eu, {"us": line.address}) as links,
    ):
        await until(lambda: links.status() and links.status()[0].state == "following")
        line.down.is_mute = True
        await until(lambda: links.status()[0].state == "waiting")


async def test_a_quiet_link_stays_up() -> None:
    """Beats keep it alive for twice the silence that would end it."""
    us, eu = memory("us"), memory("eu")
    clock = FastClock(10.0)
    async with (
        serving(us, clock=clock) as server,
        FaultProxy("127.0.0.1", server.port) as line,
        following(eu, {"us": line.address}, clock=clock) as links,
    ):
        await until(lambda: links.status() and links.status()[0].state == "following")
        began = clock.monotonic()
        await until(lambda: clock.monotonic() - began > 2 * SILENCE)

        assert links.status()[0].state == "following"
        assert line.connections == 1, links.status()


async def test_a_peer_that_is_away_is_tried_again_without_end() -> None:
    us, eu = memory("us"), memory("eu")
    async with serving(us) as server, FaultProxy("127.0.0.1", server.port) as line:
        line.refuses = True
        async with following(eu, {"us": line.address}) as links:
            await until(lambda: line.connections >= 8)
            assert links.status()[0].problem
            assert links.status()[0].log_id is None
            line.heal()
            await publish(us, 1, 10)
            began = time.monotonic()
            await until(lambda: eu.end == 10)

            assert time.monotonic() - began < LONGEST_PAUSE + 2.0


async def test_a_round_trip_of_100_ms_leaves_the_line_full() -> None:
    """More is under way than one page, so the line never waits for an acknowledgement."""
    us, eu = memory("us"), memory("eu")
    await publish(us, 1, 20_000, per_frame=100)
    size = sum(len(stored.frame.data) for stored in us._frames)
    clock = FastClock(1.0)
    most = 0
    async with serving(us, clock=clock) as server, FaultProxy("127.0.0.1", server.port) as line:
        line.up.latency = line.down.latency = 0.05
        async with following(eu, {"us": line.address}, clock=clock):

            def arrived() -> bool:
                nonlocal most
                most = max([most, *(reading._window.in_flight for reading in server._readings)])
                return eu.end == 20_000

            await until(arrived)

    assert most > size / 4
    assert await origin_offsets(eu, us.log_id) == list(range(1, 20_001))


async def test_a_thin_line_makes_progress_and_stays_up() -> None:
    """50 kbit/s under load (F34): beats pass between the pages, so nothing is torn down and sent again."""
    us, eu = memory("us"), memory("eu")
    clock = FastClock(5.0)
    await publish(us, 1, 8000, per_frame=20)
    async with (
        serving(us, clock=clock) as server,
        FaultProxy("127.0.0.1", server.port) as line,
    ):
        line.down.bandwidth = 6250.0 * clock.speed
        async with following(eu, {"us": line.address}, clock=clock) as links:
            began = clock.monotonic()
            await until(lambda: clock.monotonic() - began > 2 * SILENCE)

            assert 0 < eu.end < 8000
            assert links.status()[0].state == "following"
            assert line.connections == 1, links.status()
