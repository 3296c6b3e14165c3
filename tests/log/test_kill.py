from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from gateway.log.damage import verify
from tests.log.arrange import everything, lmdb_log

if TYPE_CHECKING:
    from pathlib import Path

WRITERS = 8


async def run_and_kill(directory: Path, acknowledged: dict[int, int], *, after: int) -> None:
    """Start a writer and kill it once it acknowledged so many appends; notes what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.log.writer_process", str(directory), str(WRITERS)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    heard = 0
    async for line in process.stdout:
        if not line.endswith(b"\n"):
            break
        writer, number = map(int, line.split())
        assert number > acknowledged.get(writer, -1), "a writer was told an older position than it had"
        acknowledged[writer] = number
        heard += 1
        if heard == after:
            process.send_signal(signal.SIGKILL)
    await process.wait()


async def check(directory: Path, acknowledged: dict[int, int]) -> None:
    """Everything acknowledged is there, once and in order; nothing is half there."""
    assert verify(directory).is_whole
    async with lmdb_log(directory, at_most=1 << 30) as log:
        numbers = await everything(log)
        for writer in range(WRITERS):
            its = [number - writer * 10_000_000 for number in numbers if number // 10_000_000 == writer]
            position = int(log.position(f"source/{writer}") or -1)
            assert its == list(range((position + 1) * 3))
            assert position >= acknowledged.get(writer, -1)
            acknowledged[writer] = position


@pytest.mark.integration
@pytest.mark.timeout(60)
async def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    acknowledged: dict[int, int] = {}
    for after in (1, 300, 1111):
        await run_and_kill(tmp_path, acknowledged, after=after)
        await check(tmp_path, acknowledged)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_killed_again_and_again(tmp_path: Path) -> None:
    seed = int(os.environ.get("ISTHMUS_SEED", str(time.time_ns() % 1_000_000)))
    print(f"ISTHMUS_SEED={seed}")
    random_ = random.Random(seed)
    acknowledged: dict[int, int] = {}
    until = time.monotonic() + float(os.environ.get("ISTHMUS_SOAK_SECONDS", "300"))
    rounds = 0
    while time.monotonic() < until:
        await run_and_kill(tmp_path, acknowledged, after=random_.randrange(1, 3000))
        await check(tmp_path, acknowledged)
        rounds += 1
    print(f"killed {rounds} times, {sum(acknowledged.values()) * 3} events")
