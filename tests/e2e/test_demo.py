"""What a newcomer runs first must hold: the demo, and the benchmark."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]

ROOT = Path(__file__).parents[2]


async def run(*arguments: str) -> tuple[int, str]:
    """Exit code and output of a program."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_the_demo_loses_nothing_and_says_so() -> None:
    code, output = await run("-m", "gateway.app.cli", "demo", "--events", "900", "--seconds", "3")

    assert code == 0, output
    lines = output.splitlines()
    assert "lost 0" in lines
    assert "duplicated 0 over links" in lines
    assert any("was killed with SIGKILL" in line for line in lines)


@pytest.mark.parametrize("case", ["grpc-100", "http-10"])
async def test_a_case_of_the_benchmark_runs_alone(case: str) -> None:
    code, output = await run("-m", "benchmarks.crossing", "--case", case, "--seconds", "0.5")

    assert code == 0, output
    row = json.loads(output.splitlines()[-1])
    assert row["case"] == case
    assert row["events_per_second"] > 0
    assert row["p99_ms"] >= row["p50_ms"] > 0
    assert 100 < row["wire_bytes_per_event"] < 1000
