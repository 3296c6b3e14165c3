"""What a node holds back from trimming, from its first moment on."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gateway.app import build
from gateway.app.config import load
from gateway.app.node import Node
from gateway.app.view import View
from gateway.codec.frames import pack
from gateway.core.clock import SystemClock
from gateway.core.event import Event
from gateway.core.records import Position
from gateway.flow.dead_letters import DeadLetters
from gateway.log.memory import MemoryLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

CONFIG = """
region: a
node: n1
data: data
log: {keep: 0s}
sinks:
  out: {file: {path: out.jsonl}}
subscriptions:
  later: {to: out, start: earliest, paused: true}
"""


@asynccontextmanager
async def running(config: Path) -> AsyncIterator[Node]:
    node = Node(load(config))
    life = asyncio.create_task(node.run())
    started = asyncio.create_task(node.started.wait())
    try:
        await asyncio.wait([life, started], return_when=asyncio.FIRST_COMPLETED)
        yield node
    finally:
        started.cancel()
        life.cancel()
        await asyncio.wait([life])


async def test_a_restart_trims_nothing_that_a_subscription_still_needs(tmp_path: Path) -> None:
    """However old it is: `keep` is for what everybody has."""
    config = tmp_path / "a.yaml"
    config.write_text(CONFIG)
    async with running(config) as node:
        for number in range(40):  # so many bytes that the start has to wait for the disk more than once
            data = random.Random(number).randbytes(400_000)
            await node.log.append(pack("main", [Event(f"e{number}", "/tests", "made", data=data)]))
        await node.log.tidy()
        assert node.log.first == 1

    async with running(config) as node:
        await node.log.tidy()
        assert (node.log.first, node.log.end) == (1, 40)


async def test_every_check_has_a_name_of_its_own(tmp_path: Path) -> None:
    config = tmp_path / "a.yaml"
    config.write_text(CONFIG)

    async with running(config) as node:
        names = [check.name for check in View(node).checks()]

    assert len(names) == len(set(names))


FILTERED = """
region: a
data: data
sinks:
  out: {file: {path: out.jsonl}}
subscriptions:
  red: {to: out, match: {type: [shade], data: {colour: [red]}}}
  blue: {to: out, match: {type: [shade], data: {colour: [blue]}}}
"""


async def test_what_comes_in_is_decided_at_the_door(tmp_path: Path) -> None:
    """Before anybody reads it, as the filters of the configuration say."""
    config = tmp_path / "a.yaml"
    config.write_text(FILTERED)
    loaded, log, clock = load(config), MemoryLog("a"), SystemClock()
    choosing = build.choosing(loaded, lambda _: False)
    ingest = build.ingest(loaded, log, DeadLetters(log, clock), choosing, clock)  # type: ignore[arg-type]  # any log

    await ingest.publish("", "main", [shade(1, "green"), shade(2, "red")], via="http")

    (stored,) = (await log.read(after=Position(log.log_id, 0), limit=1)).frames
    assert (stored.opened, stored.decided) == (None, {"red": [(1, shade(2, "red"))]})


def shade(number: int, colour: str) -> Event:
    return Event(
        str(number), "/s", "shade", datacontenttype="application/json", data=b'{"colour":"%b"}' % colour.encode()
    )


async def test_a_node_has_one_who_looks_out_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "a.yaml"
    config.write_text(FILTERED)

    async with running(config) as node:
        for number, colour in enumerate(("green", "green", "red"), start=1):
            await node.log.append(pack("main", [shade(number, colour)]))
            async with asyncio.timeout(5):
                while any(delivery.lag for delivery in node.deliveries.values()):
                    await asyncio.sleep(0.01)
        assert [health.state for health in node.healths if health.name == "lookout"] == ["running"]
    assert b'"id":"3"' in (tmp_path / "out.jsonl").read_bytes()
