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
@pytest.mark.timeout(60)
async def test_a_full_disk_refuses_appends_and_loses_nothing(tmp_path: Path) -> None:
    """Positions and dead letters still go through, and when there is room again so do events, without a restart."""
    code, said = await _run("unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path))
    if code != 0:
        pytest.skip(f"no mount namespace here: {said.strip()}")

    code, said = await _run("unshare", "-m", sys.executable, "-m", "tests.log.full_disk", str(tmp_path))

    assert said.endswith("ok\n"), said
    assert code == 0
