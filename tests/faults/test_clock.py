"""F11: the wall clock jumps by an hour; stamps never go back, and durations do not notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.codec.frames import pack
from gateway.core.event import Event
from gateway.core.records import Position
from gateway.flow.dead_letters import DeadLetters
from gateway.flow.ingest import Ingest
from tests.clock import FakeClock
from tests.log.arrange import lmdb_log

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.log.lmdb import LmdbLog

HOUR = 3600.0


def event(number: int) -> Event:
    return Event(str(number), "/shop", "t", data=b"{}")


async def stamps(log: LmdbLog) -> list[float]:
    page = await log.read(after=Position(log.log_id, 0), limit=1 << 20)
    return [accepted for stored in page.frames for accepted in stored.frame.accepted_times()]


async def test_stamps_never_go_back_over_jumps_and_restarts(tmp_path: Path) -> None:
    clock = FakeClock()
    began = clock.now()
    jumps = [0.0, HOUR, -2 * HOUR, -HOUR, 3 * HOUR, -HOUR]
    for number, jump in enumerate(jumps):
        clock.jump(jump)
        async with lmdb_log(tmp_path, clock=clock) as log:
            await log.append(pack("main", [event(2 * number)]))
            await clock.advance(1.0)
            await log.append(pack("main", [event(2 * number + 1)]))

    async with lmdb_log(tmp_path, clock=clock) as log:
        times = await stamps(log)
        assert len(times) == 2 * len(jumps)
        assert times == sorted(times)
        assert log.seek(began + HOUR) == 2, "found by time: the two of before the first jump are left out"


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_the_duplicate_window_lasts_as_long_as_it_says(tmp_path: Path, jump: float) -> None:
    """Ten minutes by the monotonic clock: a jump neither shortens nor prolongs them."""
    clock = FakeClock()
    async with lmdb_log(tmp_path, clock=clock) as log:
        letters = DeadLetters(log, clock)
        ingest = Ingest(log, log, bury=letters.bury_refused, clock=clock, limit=1000, lasting=600.0)
        await ingest.publish("", "main", [event(1)], via="http")

        clock.jump(jump)
        await clock.advance(590)
        await ingest.publish("", "main", [event(1)], via="http")
        assert log.end == 1

        await clock.advance(20)
        clock.jump(-jump)
        await ingest.publish("", "main", [event(2)], via="http")
        await ingest.publish("", "main", [event(1)], via="http")
        assert log.end == 3


async def test_after_a_jump_back_and_a_restart_recent_duplicates_are_still_known(tmp_path: Path) -> None:
    """Stamps of the future count as just accepted: the window is never shorter than it says."""
    clock = FakeClock()
    async with lmdb_log(tmp_path, clock=clock) as log:
        await log.append(pack("main", [event(1)]))
    clock.jump(-HOUR)

    async with lmdb_log(tmp_path, clock=clock) as log:
        letters = DeadLetters(log, clock)
        ingest = Ingest(log, log, bury=letters.bury_refused, clock=clock, limit=1000, lasting=600.0)
        assert await ingest.rebuild() == 1
        await ingest.publish("", "main", [event(1)], via="http")
        assert log.end == 1


async def test_keep_does_not_trim_more_after_a_jump_back(tmp_path: Path) -> None:
    """Forward it may: `keep` is about dates. Back it never trims what is younger."""
    clock = FakeClock()
    async with lmdb_log(tmp_path, clock=clock, keep=HOUR / 2) as log:
        await log.append(pack("main", [event(1)]))
        clock.jump(-HOUR)
        await log.append(pack("main", [event(2)]))

        await log.tidy()

        assert (log.first, log.end) == (1, 2)
