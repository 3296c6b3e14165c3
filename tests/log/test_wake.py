"""Waking readers in other processes."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

from connectors.memory_door import until
from gateway.log.wake import Wake, Wakers

if TYPE_CHECKING:
    from pathlib import Path


async def test_without_descriptors_the_known_readers_are_woken_and_nothing_is_raised(tmp_path: Path) -> None:
    """Listing a folder takes a descriptor; an error here would end the log's thread."""
    rung = 0

    def ring() -> None:
        nonlocal rung
        rung += 1

    wakers = Wakers(tmp_path)
    with Wake(tmp_path, ring):
        wakers.ring()
        await until(lambda: rung == 1)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        os.utime(tmp_path / "wake")
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            wakers.ring()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await until(lambda: rung == 2)

        late = []
        with Wake(tmp_path, lambda: late.append(1)):
            wakers.ring()
            await until(lambda: late)
    wakers.close()
