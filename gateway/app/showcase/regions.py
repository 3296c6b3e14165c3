"""The demo's three regions: who wants what from whom, and each as a process of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
from ruamel.yaml import YAML

from gateway.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

AWS, GCP, AZURE = "aws-eu-west", "gcp-us-central", "azure-asia-east"
NAMES = (AWS, GCP, AZURE)
WEBHOOK, FILE = "webhook", "file"


class Want(NamedTuple):
    """One subscription: events of some types from some regions into a sink."""

    name: str
    region: str
    origins: tuple[str, ...]
    types: tuple[str, ...]
    """Prefixes of the types; none: all of them."""
    sink: str
    order_by: str | None = None

    def takes(self, origin: str, kind: str) -> bool:
        """Whether an event of that type from that region is wanted."""
        return origin in self.origins and (not self.types or kind.startswith(self.types))

    def configure(self) -> dict[str, object]:
        """The subscription as it stands in the region's file."""
        settings: dict[str, object] = {"from": list(self.origins), "to": self.name}
        if self.types:
            settings["filter"] = {"any": [{"prefix": {"type": prefix}} for prefix in self.types]}
        if self.order_by:
            settings["order_by"] = self.order_by
        return settings


WANTS = (
    Want("orders", AWS, (GCP, AZURE), ("com.acme.order.", "com.acme.stock."), WEBHOOK, "subject"),
    Want("payments", AWS, (AWS, GCP), ("com.acme.payment.", "com.acme.payout."), FILE),
    Want("analytics", GCP, (AWS, AZURE), (), FILE),
    Want("fleet", AZURE, (AWS, GCP), ("io.fleet.", "io.sensors."), WEBHOOK, "partitionkey"),
    Want("audit", AZURE, (AWS,), ("com.acme.user.", "com.example."), FILE),
)


def crosses(origin: str, region: str, kind: str) -> bool:
    """Whether anybody in a region wants an event of that type from another."""
    return region != origin and any(want.takes(origin, kind) for want in WANTS if want.region == region)


@dataclass
class Region:
    """One node, its folder and its process."""

    name: str
    folder: Path
    http: int
    link: int
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Its HTTP door."""
        return f"http://127.0.0.1:{self.http}"

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.folder / "data"

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self.process is not None and self.process.returncode is None

    def configure(self, others: Sequence[Region], hook: str, queue: Mapping[str, str] | None) -> None:
        """Write its file; `hook` is the address of the demo's webhook, `queue` the settings of an SQS source."""
        wants = [want for want in WANTS if want.region == self.name]
        settings: dict[str, object] = {
            "region": self.name,
            "data": str(self.data),
            "api": {"http": f"127.0.0.1:{self.http}"},
            "federation": {
                "listen": f"127.0.0.1:{self.link}",
                "peers": {other.name: [f"127.0.0.1:{other.link}"] for other in others if other is not self},
            },
            "sinks": {
                want.name: {"http": {"url": f"{hook}/{want.name}"}}
                if want.sink == WEBHOOK
                else {"file": {"path": str(self.delivered(want.name))}}
                for want in wants
            },
            "subscriptions": {want.name: want.configure() for want in wants},
        }
        if queue:
            settings["sources"] = {"queue": {"aws.sqs": dict(queue)}}
        self.folder.mkdir(parents=True)
        with self._file.open("w", encoding="utf-8") as file:
            YAML().dump(settings, file)

    @property
    def _file(self) -> Path:
        return self.folder / "region.yaml"

    def delivered(self, subscription: str) -> Path:
        """Where a file sink of it writes."""
        return self.folder / f"{subscription}.jsonl"

    async def start(self) -> None:
        """Start the process; it writes into `node.log`."""
        with (self.folder / "node.log").open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway.app.cli", "run", str(self._file)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C is for the demo, which then stops its regions one by one
            )

    async def ready(self, session: aiohttp.ClientSession, *, limit: float = 20.0) -> None:
        """Wait until it takes events.

        :raises Unavailable: it ended, or takes longer than `limit` seconds.
        """
        try:
            async with asyncio.timeout(limit):
                while not await self._answers(session):
                    if not self.is_running:
                        raise Unavailable(f"{self.name} ended by itself:\n{self.last_words()}")
                    await asyncio.sleep(0.05)
        except TimeoutError as problem:
            raise Unavailable(f"{self.name} is not ready after {limit:.0f} s:\n{self.last_words()}") from problem

    async def _answers(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/readyz") as answer:
                return answer.ok
        except (aiohttp.ClientError, TimeoutError):
            return False

    def last_words(self) -> str:
        """The end of what the node wrote."""
        return (self.folder / "node.log").read_text(encoding="utf-8", errors="replace")[-2000:]

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.process is not None:
            if self.process.returncode is None:
                self.process.kill()
            await self.process.wait()

    async def stop(self, *, limit: float = 12.0) -> int:
        """SIGTERM, and its exit code; SIGKILL when it takes longer than `limit` seconds."""
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(limit):
                return await self.process.wait()
        except TimeoutError:
            await self.kill()
            return -9


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody holds just now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
