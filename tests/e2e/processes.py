"""Nodes and other programs as real processes that can be killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def free_port() -> int:
    """A loopback port that nobody holds just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], object], *, limit: float = 15.0, every: float = 0.02) -> None:
    """Wait for a condition, looking often; fail after `limit` seconds."""
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(every)


@dataclass
class Program:
    """One process, its output in `log`."""

    arguments: Sequence[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None
    kills: int = 0

    async def start(self) -> Self:
        """Start it; it must not be running."""
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *self.arguments, stdout=output, stderr=output, env={**os.environ, **self.environment}
            )
        return self

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.returncode is None

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.process is not None:
            if self.process.returncode is None:
                self.process.send_signal(signal.SIGKILL)
                self.kills += 1
            await self.process.wait()

    async def stop(self, *, limit: float = 15.0) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(limit):
            return await self.process.wait()


@dataclass
class Region(Program):
    """A node of one region."""

    http: int = 0
    """Port of its HTTP door."""

    async def ready(self, *, limit: float = 20.0) -> None:
        """Wait until /readyz answers 200."""
        async with aiohttp.ClientSession() as session, asyncio.timeout(limit):
            while True:
                try:
                    async with session.get(f"http://127.0.0.1:{self.http}/readyz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                if not self.is_running:
                    raise RuntimeError(f"the node ended:\n{self.log.read_text()[-4000:]}")
                await asyncio.sleep(0.05)


def node(config: Path, *, http: int, module: Sequence[str] = ("-m", "gateway.app.cli"), **environment: str) -> Region:
    """The node of a config file, not yet started."""
    return Region([*module, "run", str(config)], config.with_suffix(".log"), environment, http=http)
