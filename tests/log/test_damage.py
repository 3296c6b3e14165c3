from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import lmdb
import pytest

from gateway.core.errors import ConfigError, Damaged
from gateway.core.records import Position
from gateway.log.damage import verify, verify_apart
from gateway.log.files import CLOSED, DATA, MARKER, read_meta
from gateway.log.layout import DATABASES, FRAMES, META, key_of
from tests.log.arrange import batch, everything, lmdb_log, noise, numbers_of

if TYPE_CHECKING:
    from pathlib import Path


async def write_log(path: Path, *, frames: int = 20, size: int = 5000) -> None:
    async with lmdb_log(path) as log:
        for number in range(frames):
            await log.append([batch(number, size=size)])


def overwrite(path: Path, at: int, content: bytes) -> None:
    with (path / DATA).open("r+b") as file:
        file.seek(at)
        file.write(content)


def blob_at(path: Path, number: int, *, size: int = 5000) -> int:
    """Where in the file the data of an event lies."""
    return (path / DATA).read_bytes().index(noise(number, size)[100:200])


async def test_a_whole_log_is_reported_whole(tmp_path: Path) -> None:
    await write_log(tmp_path)

    report = verify(tmp_path)

    assert report.is_whole
    assert (report.frames, report.events, report.first, report.end) == (20, 20, 1, 20)


async def test_an_open_log_can_be_verified_from_outside(tmp_path: Path) -> None:
    async with lmdb_log(tmp_path) as log:
        await log.append([batch(1, 2)])

        report = await verify_apart(tmp_path)

    assert report.is_whole
    assert report.events == 2


@pytest.mark.parametrize("pages", [0, 1, 5])
async def test_a_file_that_was_cut_off_is_refused_and_left_alone(tmp_path: Path, pages: int) -> None:
    """Opened by LMDB it would kill the process."""
    await write_log(tmp_path)
    meta = read_meta(tmp_path / DATA)
    assert meta is not None
    os.truncate(tmp_path / DATA, meta.size - 1 if pages == 0 else pages * meta.page + 17)

    with pytest.raises(Damaged, match="cut off"):
        await lmdb_log(tmp_path).__aenter__()
    assert verify(tmp_path).broken


async def test_something_that_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / DATA).write_bytes(b"hello" * 4000)

    with pytest.raises(Damaged, match="not a log"):
        await lmdb_log(tmp_path).__aenter__()


async def test_a_damaged_frame_is_named_and_the_rest_stays_readable(tmp_path: Path) -> None:
    await write_log(tmp_path)
    overwrite(tmp_path, blob_at(tmp_path, 7), b"\0\0\0\0")

    async with lmdb_log(tmp_path) as log:
        assert await everything(log) == [number for number in range(20) if number != 7]
        page = await log.read(after=Position(log.log_id, 0), limit=1 << 20)
        assert page.gaps == ((8, 8),)
        assert page.upto == 20
        assert [key for key, _ in log.rows("log.damaged")] == [key_of(8)]

    report = verify(tmp_path)
    assert [(problem.first, problem.last, problem.is_frame) for problem in report.problems] == [(8, 8, True)]


async def test_a_page_of_nothing_but_damage_still_goes_on(tmp_path: Path) -> None:
    await write_log(tmp_path, frames=3)
    for number in range(3):
        overwrite(tmp_path, blob_at(tmp_path, number), b"\0\0\0\0")

    async with lmdb_log(tmp_path) as log:
        page = await log.read(after=Position(log.log_id, 0), limit=1)

    assert page.frames == ()
    assert page.gaps[0] == (1, 1)
    assert page.upto >= 1


async def test_after_an_unclean_stop_damage_is_found_before_anybody_reads(tmp_path: Path) -> None:
    await write_log(tmp_path)
    overwrite(tmp_path, blob_at(tmp_path, 7), b"\0\0\0\0")
    (tmp_path / CLOSED).unlink(missing_ok=True)

    async with lmdb_log(tmp_path) as log:
        assert [key for key, _ in log.rows("log.damaged")] == [key_of(8)]
        assert await log.append([batch(20)]) == 21


async def test_a_missing_frame_shows_in_the_chain(tmp_path: Path) -> None:
    await write_log(tmp_path)
    with lmdb.open(str(tmp_path / DATA), subdir=False, max_dbs=len(DATABASES)) as environment:
        frames = environment.open_db(FRAMES)
        with environment.begin(write=True) as txn:
            txn.delete(key_of(11), db=frames)

    report = verify(tmp_path)

    assert [problem.first for problem in report.problems] == [10]
    async with lmdb_log(tmp_path) as log:
        page = await log.read(after=Position(log.log_id, 8), limit=1 << 20)
        assert page.gaps == ((11, 11),)
        assert len(page.frames) == 11


@pytest.mark.integration
@pytest.mark.parametrize("seed", range(8))
async def test_bits_flipped_anywhere_never_pass_for_events(tmp_path: Path, seed: int) -> None:
    """Whatever byte of the file changes: refused, or told as a gap; never a wrong event, never a dead process."""
    await write_log(tmp_path, frames=30, size=1500 if seed % 2 else 6000)
    whole = (tmp_path / DATA).read_bytes()
    meta = read_meta(tmp_path / DATA)
    assert meta is not None
    random_ = random.Random(seed)
    for _ in range(3):
        changed = bytearray(whole)
        for _ in range(20):
            changed[random_.randrange(2 * meta.page, meta.size)] ^= 1 << random_.randrange(8)
        (tmp_path / DATA).write_bytes(changed)
        (tmp_path / CLOSED).unlink(missing_ok=True)

        try:
            async with lmdb_log(tmp_path) as log:
                seen, gaps, after = [], set(), 0
                while after < log.end:
                    page = await log.read(after=Position(log.log_id, after), limit=1 << 20)
                    seen += numbers_of(page)
                    gaps |= {offset - 1 for first, last in page.gaps for offset in range(first, last + 1)}
                    after = page.upto
        except Damaged:
            continue
        assert sorted({*seen, *gaps}) == list(range(30))
        assert len(seen) == len(set(seen))


async def test_a_log_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    await write_log(tmp_path, frames=1)
    with lmdb.open(str(tmp_path / DATA), subdir=False, max_dbs=len(DATABASES)) as environment:
        meta = environment.open_db(META)
        with environment.begin(write=True) as txn:
            txn.put(b"format", b"2", db=meta)

    with pytest.raises(ConfigError, match="newer isthmus"):
        await lmdb_log(tmp_path).__aenter__()


async def test_a_node_killed_while_it_made_its_log_makes_it_again(tmp_path: Path) -> None:
    lmdb.open(str(tmp_path / DATA), subdir=False, max_dbs=len(DATABASES), map_size=1 << 27).close()
    (tmp_path / CLOSED).unlink(missing_ok=True)

    async with lmdb_log(tmp_path) as log:
        assert await log.append([batch(1)]) == 1


async def test_a_log_without_its_last_frame_is_checked_and_says_so(tmp_path: Path) -> None:
    await write_log(tmp_path, frames=5)
    with lmdb.open(str(tmp_path / DATA), subdir=False, max_dbs=len(DATABASES)) as environment:
        frames = environment.open_db(FRAMES)
        with environment.begin(write=True) as txn:
            txn.delete(key_of(5), db=frames)

    async with lmdb_log(tmp_path) as log:
        page = await log.read(after=Position(log.log_id, 0), limit=1 << 20)
        assert (numbers_of(page), page.gaps, page.upto) == ([0, 1, 2, 3], ((5, 5),), 5)
        assert await log.append([batch(5)]) == 6


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("missing", [True, False])
async def test_an_empty_or_missing_file_where_a_log_was_is_refused(
    tmp_path: Path, *, clean: bool, missing: bool
) -> None:
    """It is no new log, however the last holder ended."""
    await write_log(tmp_path, frames=1)
    if not clean:
        (tmp_path / CLOSED).unlink()
    (tmp_path / DATA).unlink()
    if not missing:
        (tmp_path / DATA).touch()

    with pytest.raises(Damaged, match=r"gone or empty; restore it, or remove log-id .*to begin a new log"):
        async with lmdb_log(tmp_path):
            pass

    assert not missing or not (tmp_path / DATA).exists()
    for marker in (MARKER, CLOSED):
        (tmp_path / marker).unlink(missing_ok=True)
    async with lmdb_log(tmp_path) as log:
        assert log.end == 0


async def test_a_full_disk_keeps_no_log_from_opening(tmp_path: Path) -> None:
    """Without room for the marker it is written at a later start."""
    await write_log(tmp_path, frames=1)
    (tmp_path / MARKER).unlink()
    (tmp_path / MARKER).symlink_to(tmp_path / "nowhere" / "to-go")  # fails when it is written, as a full disk does

    async with lmdb_log(tmp_path) as log:
        assert log.end == 1


async def test_a_log_from_before_the_marker_gets_one(tmp_path: Path) -> None:
    await write_log(tmp_path, frames=1)
    (tmp_path / MARKER).unlink()

    async with lmdb_log(tmp_path) as log:
        assert (tmp_path / MARKER).read_text().strip() == log.log_id
