"""A process that appends until it is killed, and says what was acknowledged.

    python -m tests.log.writer_process DIRECTORY WRITERS

Each line on stdout is "writer number", written after the append returned. Every
writer keeps its position in the same transaction: a start reads on from there.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.log.arrange import batch, lmdb_log


async def write(directory: Path, writers: int) -> None:
    async with lmdb_log(directory, at_most=1 << 30) as log, asyncio.TaskGroup() as tasks:

        async def one(writer: int) -> None:
            name = f"source/{writer}"
            while True:
                at = log.position(name)
                number = int(at) + 1 if at is not None else 0
                events = batch(*(writer * 10_000_000 + number * 3 + step for step in range(3)), size=200)
                await log.append([events], positions={name: (at, b"%d" % number)})
                os.write(1, b"%d %d\n" % (writer, number))

        for writer in range(writers):
            tasks.create_task(one(writer))


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2])))
