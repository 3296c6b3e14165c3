"""A node whose disk is full: it refuses, goes on delivering, and takes events again when there is room."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


async def _run(*command: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.integration
@pytest.mark.timeout(120)
async def test_a_node_on_a_full_disk_refuses_delivers_and_recovers(tmp_path: Path) -> None:
    """503 with Retry-After; what it has goes out; dead letters are written; room is noticed without a restart."""
    code, said = await _run("unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path))
    if code != 0:
        pytest.skip(f"no mount namespace here: {said.strip()}")

    code, said = await _run("unshare", "-m", sys.executable, "-m", "tests.e2e.full_disk", str(tmp_path))

    print(said)
    assert said.endswith("ok\n"), said
    assert code == 0
