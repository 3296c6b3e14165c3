from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.core.errors import ConfigError, Diverged, Moved, Unavailable
from gateway.core.records import Position, Row
from tests.log.arrange import StillClock, batch, everything, lmdb_log, numbers_of, until
from tests.log.conformance import LogConformance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.log.lmdb import LmdbLog


class TestLmdbLog(LogConformance):
    @pytest.fixture
    async def log(self, tmp_path: Path, clock: StillClock) -> AsyncIterator[LmdbLog]:
        async with lmdb_log(tmp_path, clock=clock) as log:
            yield log


class TestLmdbLogFromDisk(LogConformance):
    """The same laws when nothing is in memory."""

    keeps_newest = False

    @pytest.fixture
    async def log(self, tmp_path: Path, clock: StillClock) -> AsyncIterator[LmdbLog]:
        async with lmdb_log(tmp_path, clock=clock, tail=0) as log:
            yield log


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async with lmdb_log(tmp_path) as log:
        await log.append([batch(1, 2)], positions={"a": (None, b"1")}, rows=[Row("t", b"k", b"v")])
        log_id = log.log_id

    async with lmdb_log(tmp_path) as log:
        assert (log.log_id, log.first, log.end) == (log_id, 1, 2)
        assert await everything(log) == [1, 2]
        assert log.position("a") == b"1"
        assert log.rows("t") == [(b"k", b"v")]
        assert await log.append([batch(3)]) == 3


async def test_a_trimmed_log_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with lmdb_log(tmp_path) as log:
        await log.append([batch(1, 2)])
        await log.trim(3)

    async with lmdb_log(tmp_path) as log:
        assert (log.first, log.end) == (3, 2)
        assert await log.append([batch(3)]) == 3


async def test_stamps_do_not_go_back_over_a_restart(tmp_path: Path) -> None:
    clock = StillClock()
    async with lmdb_log(tmp_path, clock=clock) as log:
        await log.append([batch(1)])
    clock.time -= 1000

    async with lmdb_log(tmp_path, clock=clock) as log:
        await log.append([batch(2)])
        page = await log.read(after=Position(log.log_id, 1), limit=1)

    assert page.frames[0].frame.header.oldest == clock.time + 1000


async def test_a_second_holder_is_refused(tmp_path: Path) -> None:
    async with lmdb_log(tmp_path):
        with pytest.raises(Unavailable, match="in use by process"):
            await lmdb_log(tmp_path).__aenter__()


@pytest.mark.parametrize("other", [{"region": "us"}, {"node": "n2"}])
async def test_a_data_directory_of_somebody_else_is_refused(tmp_path: Path, other: dict[str, str]) -> None:
    async with lmdb_log(tmp_path):
        pass

    with pytest.raises(ConfigError, match="holds the log of"):
        await lmdb_log(tmp_path, **other).__aenter__()


async def test_a_node_without_a_name_keeps_the_one_it_got(tmp_path: Path) -> None:
    async with lmdb_log(tmp_path, node=None) as log:
        first = log.log_id

    async with lmdb_log(tmp_path, node=None) as log:
        assert log.log_id == first


async def test_concurrent_appends_share_frames_and_keep_their_order(tmp_path: Path) -> None:
    async with lmdb_log(tmp_path) as log:
        offsets = await asyncio.gather(*(log.append([batch(number)]) for number in range(300)))

        page = await log.read(after=Position(log.log_id, 0), limit=1 << 20)
        assert offsets == list(range(1, 301))
        assert numbers_of(page) == list(range(300))
        assert len(page.frames) < 30


async def test_a_frame_stays_within_its_bounds(tmp_path: Path) -> None:
    async with lmdb_log(tmp_path) as log:
        await asyncio.gather(*(log.append([batch(*range(number, number + 90))]) for number in range(0, 1800, 90)))

        page = await log.read(after=Position(log.log_id, 0), limit=1 << 20)
        assert max(stored.frame.count for stored in page.frames) <= 500
        assert numbers_of(page) == list(range(1800))


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancelled_append_that_is_repeated_appends_once(tmp_path: Path, turns: int) -> None:
    """Cancel at every turn of the loop, start again at once: nothing twice, nothing lost."""

    async def loop_of_a_source(log: LmdbLog) -> None:
        at = log.position("source/s")
        if at is None:
            await log.append([batch(1, 2, 3)], positions={"source/s": (None, b"3")})

    async with lmdb_log(tmp_path) as log:
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(loop_of_a_source(log))
            for _ in range(turns):
                await asyncio.sleep(0)
            first.cancel()
            await until(first.done)
            try:
                await loop_of_a_source(log)
            except Moved:
                await loop_of_a_source(log)

        assert log.position("source/s") == b"3"
        assert await everything(log) == [1, 2, 3]


async def test_what_waits_when_the_log_closes_is_written_or_refused(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as tasks, lmdb_log(tmp_path) as log:
        appends = [tasks.create_task(_outcome(log, number)) for number in range(50)]
        await asyncio.sleep(0)
    told = {append.result() for append in appends} - {None}

    async with lmdb_log(tmp_path) as log:
        assert set(await everything(log)) >= told
        assert told


async def _outcome(log: LmdbLog, number: int) -> int | None:
    try:
        await log.append([batch(number)])
    except Unavailable:
        return None
    return number


async def test_callers_wait_while_the_queue_is_full_and_keep_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.log.commits.QUEUE", 20_000)
    async with lmdb_log(tmp_path) as log, asyncio.TaskGroup() as tasks:
        appends = [tasks.create_task(log.append([batch(number, size=5000)])) for number in range(40)]
        await asyncio.sleep(0)
        appends[20].cancel()
        await asyncio.gather(*appends, return_exceptions=True)

        assert await everything(log) == [number for number in range(40) if number != 20]


async def test_a_hundred_tailing_readers_all_see_everything(tmp_path: Path) -> None:
    async def follow(log: LmdbLog) -> list[int]:
        seen: list[int] = []
        while len(seen) < 1000:
            page = await log.read(after=Position(log.log_id, len(seen)), limit=1 << 20)
            seen += numbers_of(page)
        return seen

    async with lmdb_log(tmp_path) as log, asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(follow(log)) for _ in range(100)]
        for first in range(0, 1000, 10):
            await log.append([batch(*range(first, first + 10))])

    assert all(reader.result() == list(range(1000)) for reader in readers)


async def test_a_restored_snapshot_shows_as_a_divergence(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with lmdb_log(data) as log:
        await log.append([batch(1)])
    snapshot = (data / "log.mdb").read_bytes()
    async with lmdb_log(data) as log:
        await log.append([batch(2)])
        page = await log.read(after=Position(log.log_id, 1), limit=1)
        seen = Position(log.log_id, 2, page.frames[0].frame.hash_at(0)[:8])

    (data / "log.mdb").write_bytes(snapshot)

    async with lmdb_log(data) as log:
        with pytest.raises(Diverged):
            await log.read(after=seen, limit=1)
        await log.append([batch(3)])
        with pytest.raises(Diverged):
            await log.read(after=seen, limit=1)


@pytest.mark.parametrize("row", [Row("t", b"", b"v"), Row("t", b"k" * 401, b"v"), Row("", b"k", b"v")])
async def test_a_row_that_cannot_be_kept_fails_only_its_caller(tmp_path: Path, row: Row) -> None:
    async with lmdb_log(tmp_path) as log:
        results = await asyncio.gather(log.write([row]), log.append([batch(1)]), return_exceptions=True)

    assert [type(result) for result in results] == [ValueError, int]


async def test_readers_that_wait_are_told_when_the_log_closes(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as tasks, lmdb_log(tmp_path) as log:
        reading = tasks.create_task(_told(log))
        await asyncio.sleep(0)

    assert "closed" in reading.result()


async def _told(log: LmdbLog) -> str:
    with pytest.raises(Unavailable) as told:
        await log.read(after=Position(log.log_id, 0), limit=1)
    return str(told.value)
