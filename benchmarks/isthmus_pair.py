"""Two regions of ours: client → A → link → B, durable at both, with everything of the product on."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from struct import iter_unpack
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.events import documents, make
from benchmarks.http_connection import HttpConnection
from benchmarks.machine import free_ports
from gateway.client import Client
from gateway.codec.frames import hash_of
from gateway.core.records import Position
from gateway.log.following import open_reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from benchmarks.load import Meter
    from gateway.log.following import FollowedLog

_A = """
region: a
data: {folder}/a
log: {{at_most: 8GiB}}
api: {{http: 127.0.0.1:{http_a}, grpc: 127.0.0.1:{grpc_a}}}
federation: {{listen: 127.0.0.1:{link_a}, peers: {{b: [127.0.0.1:{link_b}]}}}}
sinks: {{out: {{file: {{path: {folder}/out-a.jsonl}}}}}}
subscriptions: {{{filters_a}}}
logging: {{level: warning}}
"""
_B = """
region: b
data: {folder}/b
log: {{at_most: 8GiB}}
api: {{http: 127.0.0.1:{http_b}}}
federation: {{listen: 127.0.0.1:{link_b}, peers: {{a: [127.0.0.1:{link_a}]}}}}
sinks: {{out: {{file: {{path: {folder}/out.jsonl}}}}}}
subscriptions: {{everything: {{from: [a], to: out, paused: {paused}}}, {filters_b}}}
logging: {{level: warning}}
"""
_FILTER = """
filter{number}: {{from: [a], to: out, match: {{
  type: [{{prefix: com.acme.order.}}],
  data: {{currency: [EUR], shipping: {{price: [{{numeric: ["<", 5]}}]}}, customer: [{{prefix: "c-{number:04}"}}]}}}}}}
"""
"""A ten-thousandth of the events passes; the filter looks at three places of the data."""
_FILTERS = ", ".join(_FILTER.format(number=number).strip() for number in range(10))
_PORTS = ("http_a", "grpc_a", "link_a", "http_b", "link_b")
_LIMIT = 20.0
_PAGE = 4 << 20
_LOOK_EVERY = 0.001
"""The follower reads at most so often, so that measuring costs little; it adds to the latencies."""


class IsthmusPair:
    """Both nodes run; `publish` goes to A, and `follow` sees what is durable in B."""

    def __init__(self, folder: Path, ports: dict[str, int], processes: list[asyncio.subprocess.Process]) -> None:
        self.folder = folder
        self.ports = ports
        self.pids = {name: process.pid for name, process in zip("ab", processes, strict=True)}
        self.link_port = ports["link_a"]
        self._run = f"{time.time_ns():x}"
        self._client: Client | None = None
        self._idle: asyncio.Queue[HttpConnection] = asyncio.Queue()

    @asynccontextmanager
    async def door(self, name: str, *, batch: int, workers: int) -> AsyncIterator[None]:
        """Open the client's side of a door: `grpc` or `http`."""
        async with AsyncExitStack() as stack:
            if name == "grpc":
                address = f"127.0.0.1:{self.ports['grpc_a']}"
                client = Client(address, batch=batch, in_flight=workers)
                self._client = await stack.enter_async_context(client)
            else:
                for _ in range(workers):
                    connection = await HttpConnection.open(self.ports["http_a"])
                    stack.callback(connection.close)
                    self._idle.put_nowait(connection)
            yield

    async def publish(self, first: int, count: int, meter: Meter, due: float | None) -> None:
        """See `benchmarks.load.Pair`."""
        if due is not None:
            meter.awaited[hash_of(make(self._run, first + count - 1, 1)[0])] = due
        if self._client is not None:
            await self._client.publish(make(self._run, first, count))
            return
        connection = await self._idle.get()
        if count == 1:
            await connection.post(b"application/cloudevents+json", documents(self._run, first, 1)[0])
        else:
            body = b"[" + b",".join(documents(self._run, first, count)) + b"]"
            await connection.post(b"application/cloudevents-batch+json", body)
        self._idle.put_nowait(connection)

    async def follow(self, meter: Meter) -> None:
        """Tell the meter what is durable in B's log, for ever."""
        async with open_reader(self.folder / "b") as log:
            await _follow(log, meter)

    def delivered(self) -> int:
        """How many events B's file sink has."""
        return self._metric("http_b", b'isthmus_delivered_events_total{subscription="everything"}')

    def _metric(self, port: str, name: bytes) -> int:
        with urlopen(f"http://127.0.0.1:{self.ports[port]}/metrics", timeout=5) as answer:
            for line in answer.read().splitlines():
                if line.startswith(name):
                    return int(float(line.split()[-1]))
        return 0


async def _follow(log: FollowedLog, meter: Meter) -> None:
    upto = log.end
    while True:
        page = await log.read(after=Position(log.log_id, upto), limit=_PAGE)
        now = time.monotonic()
        if meter.awaited:
            for stored in page.frames:
                for (found,) in iter_unpack("16s", stored.frame.hashes):
                    if found in meter.awaited:
                        meter.settle(found, now)
        meter.arrived(page.upto - upto, now)
        upto = page.upto
        await asyncio.sleep(_LOOK_EVERY)


@asynccontextmanager
async def isthmus_pair(
    folder: Path, *, deliver: bool, filters: str, environment: dict[str, str]
) -> AsyncIterator[IsthmusPair]:
    """Start both regions in a folder, and wait until they are ready and the link is up."""
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    processes: list[asyncio.subprocess.Process] = []
    try:
        for name, text in (("a", _A), ("b", _B)):
            config = folder / f"{name}.yaml"
            chosen = {f"filters_{region}": _FILTERS if region == filters else "" for region in "ab"}
            config.write_text(text.format(folder=folder, paused=str(not deliver).lower(), **chosen, **ports))
            with (folder / f"{name}.log").open("wb") as output:
                processes.append(
                    await asyncio.create_subprocess_exec(
                        *(sys.executable, "-m", "gateway.app.cli", "run", str(config)),
                        stdout=output,
                        stderr=output,
                        env={**os.environ, **environment},
                    )
                )
        pair = IsthmusPair(folder, ports, processes)
        async with asyncio.timeout(_LIMIT):
            while not (_is_ready(ports["http_a"]) and _is_ready(ports["http_b"])):
                if any(process.returncode is not None for process in processes):
                    raise RuntimeError((folder / "a.log").read_text() + (folder / "b.log").read_text())
                await asyncio.sleep(0.05)
        yield pair
    finally:
        for process in processes:
            if process.returncode is None:
                process.terminate()
        for process in processes:
            await process.wait()


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
