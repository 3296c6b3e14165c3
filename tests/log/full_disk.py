"""A disk of its own that fills up: run inside a mount namespace by test_full_disk.py.

    unshare -m python -m tests.log.full_disk DIRECTORY

Prints "ok" when a log on a full 16 MiB tmpfs refuses appends, still writes
positions and dead letters, loses nothing, and takes events again once there is room.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from gateway.core.errors import LogFull
from gateway.core.records import Row
from tests.log.arrange import batch, everything, lmdb_log, until

MiB = 1024 * 1024


async def fill_up(mounted: Path) -> None:
    data = mounted / "data"
    other = mounted / "somebody-else"
    other.write_bytes(b"x" * 6 * MiB)
    needed = {"billing": 1}
    async with lmdb_log(data, at_most=1 << 30) as log:
        log.holds = lambda: needed
        taken = await append_until_full(log, 0)
        assert log.is_full == "the disk is full", log.is_full
        assert taken > 50, taken

        for number in range(300):
            await log.write(
                [Row("dead", number.to_bytes(4, "big"), b"x" * 500)],
                positions={"cursor/billing": (b"%d" % (number - 1) if number else None, b"%d" % number)},
            )
        assert await everything(log) == list(range(taken))

        other.unlink()
        await recovers(log)
        more = await append_until_full(log, taken)
        assert more > 50, more
        taken += more

        needed["billing"] = taken - 20
        await log.trim(taken - 20)
        await recovers(log)
        for number in range(taken, taken + 20):
            await log.append([batch(number, size=50_000)])
        taken += 20
        assert await everything(log) == list(range(log.first - 1, taken))

    async with lmdb_log(data, at_most=1 << 30) as log:
        assert log.end == taken
        assert log.position("cursor/billing") == b"299"
        assert len(log.rows("dead")) == 300


async def append_until_full(log: object, start: int) -> int:
    number = start
    while True:
        try:
            await log.append([batch(number, size=50_000)])  # type: ignore[attr-defined]
        except LogFull as full:
            return number - start if full.after else 0
        number += 1


async def recovers(log: object) -> None:
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        maintaining = tasks.create_task(log.maintain())  # type: ignore[attr-defined]
        await until(lambda: log.is_full is None)  # type: ignore[attr-defined]
        maintaining.cancel()


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(directory)], check=True)
    asyncio.run(fill_up(directory))
    print("ok")
