"""Signals, with real processes: what an orchestrator does to a node."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = """
import asyncio, sys
from pathlib import Path
from gateway.app import process
from gateway.app.config import Config

class Node:
    def __init__(self, config):
        self.draining = float(sys.argv[1])

    async def run(self):
        try:
            print("running", type(asyncio.get_running_loop()).__module__, flush=True)
            await asyncio.Event().wait()
        finally:
            print("draining", flush=True)
            await asyncio.sleep(self.draining)
            print("drained", flush=True)

process.DRAIN = float(sys.argv[2])
process.serve(Config(region="eu", data=Path("x"), insecure=True, api={"http": "0.0.0.0:1"}), Node)
print("left", flush=True)
"""


@contextmanager
def running(*, draining: float, allowed: float = 10.0, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(draining), str(allowed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_exits_0(number: signal.Signals) -> None:
    with running(draining=0.05) as process:
        assert said(process).startswith("running")

        process.send_signal(number)
        out, err = process.communicate(timeout=15)

        assert (process.returncode, out.split()) == (0, ["draining", "drained", "left"])
        assert "whoever can reach this address is trusted" in err


def test_a_second_signal_exits_at_once() -> None:
    with running(draining=60) as process:
        assert said(process).startswith("running")
        process.send_signal(signal.SIGTERM)
        assert said(process) == "draining"

        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=15) == 128 + signal.SIGTERM


def test_a_node_that_does_not_stop_is_left() -> None:
    with running(draining=60, allowed=0.2) as process:
        assert said(process).startswith("running")

        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=15)

        assert process.returncode == 1
        assert "not stopped in time" in err


@pytest.mark.parametrize(("environment", "module"), [({}, "uvloop"), ({"ISTHMUS_LOOP": "asyncio"}, "asyncio.")])
def test_the_loop_is_uvloop_unless_said_otherwise(environment: dict[str, str], module: str) -> None:
    with running(draining=0, **environment) as process:
        assert said(process).startswith(f"running {module}")
