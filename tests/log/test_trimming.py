from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from gateway.core.errors import LogFull, Trimmed
from gateway.core.records import Position, Row
from gateway.flow.dead_letters import DeadLetters
from gateway.flow.delivery import Delivery
from gateway.flow.destination import Destination
from gateway.flow.lookout import Lookout
from gateway.flow.subscription import Subscription
from tests.clock import FakeClock
from tests.flow.delivering import Told
from tests.flow.test_delivery import metric
from tests.log.arrange import StillClock, batch, everything, lmdb_log, until

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


async def test_a_subscription_counts_what_it_lost_once(tmp_path: Path) -> None:
    """The log says so when it drops them, the subscription counts them when it gets there."""
    clock = StillClock()
    sink = Told(FakeClock())
    before = metric("log_gap_events_total", reader="bill")
    async with lmdb_log(tmp_path, at_most=2 * MiB, full="drop_oldest") as log:
        letters = DeadLetters(log, clock)
        bill = Subscription("bill", lambda event: (event,), frozenset({"eu"}), start="earliest")
        delivery = Delivery(bill, log, log, sink, Destination("sink", clock), letters, Lookout(log), clock)
        log.holds = lambda: {"bill": delivery.lowest_needed()}
        running = asyncio.create_task(delivery.run())
        await log.append([batch(0)])
        await until(lambda: delivery.lowest_needed() == 2)
        running.cancel()
        await asyncio.wait([running])
        await fill(log, events=100, start=1)
        lost = log.first - 2

        running = asyncio.create_task(delivery.run())
        await until(lambda: len(sink.arrived) == 101 - lost)
        running.cancel()
        await asyncio.wait([running])

    assert lost > 20
    assert metric("log_gap_events_total", reader="bill") - before == lost


async def test_nothing_is_dropped_where_dropping_all_would_not_help(tmp_path: Path) -> None:
    """What fills the log are not its events."""
    async with lmdb_log(tmp_path, at_most=2 * MiB, full="drop_oldest") as log:
        for number in range(10):
            await log.append([batch(number, size=5_000)])
        for number in range(200):
            await log.write([Row("notes", number.to_bytes(4, "big"), b"x" * 8000)])

        with pytest.raises(LogFull):
            await log.append([batch(10, size=500_000)])

        assert log.first == 1


@pytest.mark.parametrize("table", ["dead", "waiting", "again"])
async def test_dead_letters_and_waiting_events_take_a_quarter_at_most(tmp_path: Path, table: str) -> None:
    """Above it none is added; what is moved, replaced or deleted, and positions, go on; so do appends."""
    async with lmdb_log(tmp_path, at_most=2 * MiB) as log:
        rows = [Row(table, number.to_bytes(4, "big"), b"x" * 3000) for number in range(300)]
        kept = 0
        with suppress(LogFull):
            for row in rows:
                await log.write([row])
                kept += 1
        with pytest.raises(LogFull, match="more than a quarter of at_most; resend or drop some"):
            await log.write([rows[kept]])
        assert 2 * MiB // 4 <= kept * 4096 < 2 * MiB // 3

        await log.append([batch(1)])
        await log.write([Row("other", b"1", b"x")], positions={"cursor/bill": (None, b"1")})
        await log.write([rows[0]])
        await log.write([Row(table, rows[0].key, None), Row("again", b"moved", b"x")])
        await log.write([Row(table, row.key, None) for row in rows[1:50]])
        await log.write([rows[1]])

        assert log.is_full is None
