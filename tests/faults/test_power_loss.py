"""F4: nothing is acknowledged before the disk was told to keep it, as the system calls of a node show."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from tests.api import wire
from tests.e2e.alone import alone
from tests.e2e.processes import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

EVENTS = 50
SYNCED = re.compile(r"(fdatasync|fsync)(\(\d+<[^>]*/log\.mdb>\)| resumed).*= 0$")
"""A whole call, or the end of one during which another thread was seen."""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
async def test_every_answer_comes_after_a_sync_of_its_commit(tmp_path: Path) -> None:
    """One event after the other: between two answers the data file was synced, each time."""
    one = alone(tmp_path)
    trace, said = tmp_path / "trace", tmp_path / "strace.log"
    await one.node.start()
    try:
        await one.node.ready()
        assert one.node.process is not None
        calls = "trace=fdatasync,fsync,write,writev,sendto,sendmsg"
        options = ("-f", "-y", "-s", "24", "-e", calls, "-o", str(trace), "-p", str(one.node.process.pid))
        with said.open("wb") as output:
            tracer = await asyncio.create_subprocess_exec("strace", *options, stderr=output)
        await until(lambda: "attached" in said.read_text() or tracer.returncode is not None)
        if tracer.returncode is not None:
            pytest.skip(f"a process cannot be traced here: {said.read_text()}")
        async with wire.dial(f"127.0.0.1:{one.node.http}") as line:
            for number in range(EVENTS):
                await line.say(wire.event(number))
                assert (await line.hear()).status == 202
        tracer.send_signal(signal.SIGINT)
        await tracer.wait()
    finally:
        await one.node.kill()

    story = "".join("A" if "HTTP/1.1 202" in call else "S" for call in trace.read_text().splitlines() if is_told(call))
    assert story.count("A") == EVENTS, trace.read_text()[-3000:]
    assert re.fullmatch(r"(S+A)+S*", story), story


def is_told(call: str) -> bool:
    """Whether this line is an answer that leaves, or a sync that ended."""
    return ("HTTP/1.1 202" in call) or SYNCED.search(call) is not None
