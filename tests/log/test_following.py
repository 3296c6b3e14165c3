from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import pytest

from gateway.core.errors import ConfigError, Diverged, Trimmed
from gateway.core.records import Position, Row
from gateway.log.files import WAKE
from gateway.log.following import open_reader
from tests.log.arrange import batch, everything, lmdb_log, until

if TYPE_CHECKING:
    from pathlib import Path

FOLLOWER = """
import asyncio, pathlib, sys
from gateway.core.records import Position
from gateway.log.following import open_reader

async def follow(path, events):
    async with open_reader(path) as log:
        print(log.end, flush=True)
        after = log.end
        while after < events:
            after = (await log.read(after=Position(log.log_id, after), limit=1 << 20)).upto
            print(after, flush=True)

asyncio.run(follow(pathlib.Path(sys.argv[1]), int(sys.argv[2])))
"""


async def test_a_stopped_node_can_be_read(tmp_path: Path) -> None:
    async with lmdb_log(tmp_path) as log:
        await log.append([batch(1, 2)], positions={"a": (None, b"1")}, rows=[Row("t", b"k", b"v")])
        await log.append([batch(3)])
        log_id = log.log_id
        await log.trim(2)

    async with open_reader(tmp_path) as follower:
        assert (follower.log_id, follower.first, follower.end) == (log_id, 1, 3)
        assert await everything(follower) == [1, 2, 3]
        assert follower.position("a") == b"1"
        assert follower.positions() == {"a": b"1"}
        assert follower.rows("t") == [(b"k", b"v")]
        assert follower.seek(0) == 0


async def test_a_follower_is_told_what_a_reader_is_told(tmp_path: Path) -> None:
    async with lmdb_log(tmp_path) as log:
        for number in (1, 2, 3):
            await log.append([batch(number)])
        await log.trim(3)

    async with open_reader(tmp_path) as follower:
        with pytest.raises(Trimmed):
            await follower.read(after=Position(follower.log_id, 0), limit=1)
        with pytest.raises(Diverged):
            await follower.read(after=Position(follower.log_id, 4), limit=1)
        with pytest.raises(Diverged):
            await follower.read(after=Position("eu/n1@0", 2), limit=1)


async def test_a_directory_without_a_log_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no log"):
        await open_reader(tmp_path).__aenter__()


@pytest.mark.integration
async def test_a_follower_in_another_process_is_woken(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 20) / ("deeper" * 10)
    async with lmdb_log(deep) as log:
        await log.append([batch(0)])
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FOLLOWER, str(deep), "20", stdout=asyncio.subprocess.PIPE, env=_environment()
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"1\n"
        for number in range(1, 20):
            await log.append([batch(number)])
            while int(await process.stdout.readline()) < log.end:
                pass
        assert await process.wait() == 0


@pytest.mark.integration
async def test_a_follower_that_was_killed_is_forgotten(tmp_path: Path) -> None:
    async with lmdb_log(tmp_path) as log:
        await log.append([batch(0)])
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FOLLOWER, str(tmp_path), "99", stdout=asyncio.subprocess.PIPE, env=_environment()
        )
        assert process.stdout is not None
        await process.stdout.readline()
        process.kill()
        await process.wait()
        assert list((tmp_path / WAKE).iterdir())

        await log.append([batch(1)])

        await until(lambda: not list((tmp_path / WAKE).iterdir()))


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
