"""Every released format of the data file keeps a sample that must still open."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import zstandard

from gateway.codec.frames import open_frame
from gateway.core.records import LogReader, Position
from gateway.log.damage import verify
from gateway.log.files import DATA
from gateway.log.following import open_reader
from tests.log.arrange import batch, lmdb_log

SAMPLES = Path(__file__).parent.parent / "data"
sample = import_module("tests.data.log-v1.make")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    packed = (SAMPLES / "log-v1" / "log.mdb.zst").read_bytes()
    (tmp_path / DATA).write_bytes(zstandard.ZstdDecompressor().decompress(packed))
    return tmp_path


async def _check(log: LogReader) -> None:
    page = await log.read(after=Position(log.log_id, 1), limit=1 << 20)
    assert [stored.first for stored in page.frames] == [2, 4, 6]
    assert [event for stored in page.frames for event in open_frame(stored.frame)] == [
        *sample.EVENTS,
        sample.EVENTS[0],
    ]
    headers = [stored.frame.header for stored in page.frames]
    assert [header.space for header in headers] == ["main", "main", "other"]
    assert [header.origin for header in headers] == [log.log_id, sample.ORIGIN, log.log_id]
    assert [(header.first, header.oldest) for header in headers] == [
        (2, 1_790_000_000.0),
        (41, 1_789_999_000.0),
        (6, 1_790_000_020.0),
    ]


async def test_a_log_of_format_1_opens_and_goes_on(directory: Path) -> None:
    async with lmdb_log(directory) as log:
        assert log.log_id.startswith("eu/n1@")
        assert (log.first, log.end) == (2, 6)
        await _check(log)
        assert log.positions() == {"source/q": b"2", f"link/{sample.ORIGIN}": b"42"}
        assert log.rows("dead") == [(b"k\x00\xff", b"v")]
        assert log.rows("waiting") == [(b"k", b"w")]
        assert log.seek(1_790_000_015.0) == 5
        assert await log.append([batch(1)]) == 7


async def test_a_log_of_format_1_can_be_followed_and_verified(directory: Path) -> None:
    async with open_reader(directory) as follower:
        await _check(follower)

    report = verify(directory)
    assert report.is_whole
    assert (report.frames, report.events, report.first, report.end) == (3, 5, 2, 6)
