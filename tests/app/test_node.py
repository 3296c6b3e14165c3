"""What a node holds back from trimming, from its first moment on."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gateway.app.config import load
from gateway.app.node import Node
from gateway.app.view import View
from gateway.codec.frames import pack
from gateway.core.event import Event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

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
