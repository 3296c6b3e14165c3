from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.core import telemetry
from gateway.core.errors import LogFull, Trimmed
from gateway.core.records import Position, Row
from tests.log.arrange import StillClock, batch, everything, lmdb_log

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.log.lmdb import LmdbLog

MiB = 1024 * 1024


async def fill(log: LmdbLog, *, events: int, start: int = 0) -> int:
    """Append frames of about 50 KB until refused or done; how many were taken."""
    for number in range(start, start + events):
        try:
            await log.append([batch(number, size=50_000)])
        except LogFull:
            return number - start
    return events


async def test_what_is_older_than_keep_goes_unless_somebody_needs_it(tmp_path: Path) -> None:
    clock = StillClock()
    async with lmdb_log(tmp_path, clock=clock, keep=100.0) as log:
        needed = {"billing": 3}
        log.holds = lambda: needed
        for number in range(1, 6):
            await log.append([batch(number)])
            clock.time += 40
        clock.time += 60

        await log.tidy()
        assert log.first == 3

        needed["billing"] = 6
        await log.tidy()
        assert log.first == 5


async def test_a_full_log_refuses_and_keeps_what_is_needed(tmp_path: Path) -> None:
    async with lmdb_log(tmp_path, at_most=2 * MiB) as log:
        log.holds = lambda: {"billing": 1}

        taken = await fill(log, events=100)

        assert 20 < taken < 41
        assert log.is_full
        assert log.health() == log.is_full
        assert log.size <= 2 * MiB
        assert await everything(log) == list(range(taken))


async def test_rows_and_positions_are_written_while_the_log_is_full(tmp_path: Path) -> None:
    async with lmdb_log(tmp_path, at_most=2 * MiB) as log:
        log.holds = lambda: {"billing": 1}
        await fill(log, events=100)

        for number in range(200):
            await log.write(
                [Row("dead", number.to_bytes(4, "big"), b"x" * 1000)],
                positions={"cursor/billing": (b"%d" % (number - 1) if number else None, b"%d" % number)},
            )

        assert log.position("cursor/billing") == b"199"
        assert len(log.rows("dead")) == 200


async def test_a_full_log_takes_events_again_once_they_are_delivered(tmp_path: Path) -> None:
    async with lmdb_log(tmp_path, at_most=2 * MiB) as log:
        needed = {"billing": 1}
        log.holds = lambda: needed
        taken = await fill(log, events=100)

        needed["billing"] = taken - 5
        again = await fill(log, events=10, start=taken) or await fill(log, events=10, start=taken)

        assert again == 10
        assert log.is_full is None
        assert (await everything(log))[-10:] == list(range(taken, taken + 10))
        assert log.first <= needed["billing"]


async def test_a_log_that_nobody_needs_never_fills(tmp_path: Path) -> None:
    async with lmdb_log(tmp_path, at_most=2 * MiB) as log:
        for start in range(0, 400, 20):
            assert await fill(log, events=20, start=start) == 20
            await log.tidy()

        assert log.end == 400
        assert log.size <= 2 * MiB
        assert (tmp_path / "log.mdb").stat().st_size < 8 * MiB


async def test_drop_oldest_never_refuses_and_tells_who_lost_what(tmp_path: Path) -> None:
    gaps: list[tuple[str, int, int, int]] = []
    before = telemetry.log_gap_events.labels("slow")._value.get()
    async with lmdb_log(tmp_path, at_most=2 * MiB, full="drop_oldest") as log:
        log.holds = lambda: {"slow": 5, "fast": log.end + 1}
        log.on_gap = lambda *gap: gaps.append(gap)

        assert await fill(log, events=200) == 200

        assert log.is_full is None
        assert await everything(log) == list(range(log.first - 1, 200))
        with pytest.raises(Trimmed):
            await log.read(after=Position(log.log_id, 4), limit=1)
        assert {reader for reader, *_ in gaps} == {"slow"}
        lost = [offset for _, first, last, _ in gaps for offset in range(first, last + 1)]
        assert lost == list(range(5, log.first))
        assert telemetry.log_gap_events.labels("slow")._value.get() - before == len(lost)


async def test_a_single_append_larger_than_the_log_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    async with lmdb_log(tmp_path, at_most=2 * MiB, full="drop_oldest") as log:
        await log.append([batch(1)])

        with pytest.raises(LogFull):
            await log.append([batch(number, size=400_000) for number in range(2, 12)])

        await log.append([batch(2)])
        assert await everything(log) in ([1, 2], [2])


async def test_a_map_without_a_run_of_free_pages_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LMDB says MapFull: the append is refused, what may go goes, and the next one fits."""
    monkeypatch.setattr("gateway.log.lmdb.map_size_for", lambda at_most: at_most // 2)
    async with lmdb_log(tmp_path, at_most=4 * MiB, full="drop_oldest") as log:
        taken = await fill(log, events=100)
        assert 10 < taken < 100

        await log.write([Row("dead", b"k", b"v")])
        for number in range(taken, taken + 200):
            while not await fill(log, events=1, start=number):
                pass

        assert log.end == taken + 200
        assert await everything(log) == list(range(log.first - 1, taken + 200))
        assert log.rows("dead") == [(b"k", b"v")]
