"""The peer: NATS JetStream, from a leaf node to a mirror in a hub of another domain.

Events travel as the same JSON documents. There is no publishing in batches
outside atomic ones, so a batch is so many asynchronous publishes and waiting for
their acknowledgements, through nats-py. No message ids: nobody drops duplicates.
The link is as by default: compressed only from
10 ms of round trip on, so not here; one case switches compression on. With `sync_interval:
always` an acknowledgement comes after fsync, as ours do; by default before.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nats
from nats.errors import Error as NatsError
from nats.js.api import ExternalStream, StorageType, StreamConfig, StreamSource

from benchmarks.events import documents
from benchmarks.machine import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.client import Client as Nats
    from nats.js import JetStreamContext

    from benchmarks.load import Meter

_HUB = """
server_name: hub
listen: 127.0.0.1:{hub}
jetstream {{ store_dir: "{folder}/hub", domain: hub, {sync} }}
leafnodes {{ listen: 127.0.0.1:{link}, compression: {compression} }}
"""
_LEAF = """
server_name: leaf
listen: 127.0.0.1:{leaf}
jetstream {{ store_dir: "{folder}/leaf", domain: leaf, {sync} }}
leafnodes {{ remotes: [ {{ url: "nats-leaf://127.0.0.1:{link}", compression: {compression} }} ] }}
"""
_LIMIT = 20.0
_LOOK_EVERY = 0.002
_OUTSTANDING = 100_000


class JetStreamPair:
    """Both servers run; `publish` goes to the leaf, and `follow` sees what the mirror has."""

    def __init__(self, link_port: int, pids: dict[str, int], leaf: JetStreamContext, hub: JetStreamContext) -> None:
        self.link_port = link_port
        self.pids = pids
        self._leaf = leaf
        self._hub = hub
        self._run = f"{time.time_ns():x}"

    @asynccontextmanager
    async def door(self, name: str, *, batch: int, workers: int) -> AsyncIterator[None]:
        """There is only one."""
        del name, batch, workers
        yield

    async def publish(self, first: int, count: int, meter: Meter, due: float | None) -> None:
        """See `benchmarks.load.Pair`."""
        acknowledgements = [await self._leaf.publish_async("orders", one) for one in documents(self._run, first, count)]
        if due is not None:
            acknowledgements[-1].add_done_callback(lambda done: meter.awaited.setdefault(done.result().seq, due))
        await asyncio.wait(acknowledgements)

    async def follow(self, meter: Meter) -> None:
        """Tell the meter how far the mirror is, for ever."""
        upto = 0
        while True:
            state = (await self._hub.stream_info("mirror")).state
            now = time.monotonic()
            if state.last_seq > upto:
                for sample in [one for one in meter.awaited if isinstance(one, int) and one <= state.last_seq]:
                    meter.settle(sample, now)
                meter.arrived(state.last_seq - upto, now)
                upto = state.last_seq
            await asyncio.sleep(_LOOK_EVERY)

    def delivered(self) -> int:
        """Nothing is delivered here."""
        return 0


@asynccontextmanager
async def jetstream_pair(folder: Path, *, always: bool, compression: str) -> AsyncIterator[JetStreamPair]:
    """Start hub and leaf in a folder, with a stream at the leaf and its mirror at the hub."""
    ports = dict(zip(("hub", "leaf", "link"), free_ports(3), strict=True))
    sync = "sync_interval: always" if always else ""
    processes: dict[str, asyncio.subprocess.Process] = {}
    clients: list[Nats] = []
    try:
        for name, text in (("hub", _HUB), ("leaf", _LEAF)):
            config = folder / f"{name}.conf"
            config.write_text(text.format(folder=folder, sync=sync, compression=compression, **ports))
            with (folder / f"{name}.log").open("wb") as output:
                program = Path(sys.executable).with_name("nats-server")
                processes[name] = await asyncio.create_subprocess_exec(
                    str(program), "-c", str(config), stdout=output, stderr=output
                )
        leaf, hub = [await _connect(ports[name], clients) for name in ("leaf", "hub")]
        async with asyncio.timeout(_LIMIT):
            await _streams(leaf, hub)
        yield JetStreamPair(ports["link"], {name: process.pid for name, process in processes.items()}, leaf, hub)
    finally:
        for client in clients:
            await client.close()
        for process in processes.values():
            if process.returncode is None:
                process.terminate()
        for process in processes.values():
            await process.wait()


async def _connect(port: int, clients: list[Nats]) -> JetStreamContext:
    async with asyncio.timeout(_LIMIT):
        while True:
            try:
                client = await nats.connect(f"nats://127.0.0.1:{port}", allow_reconnect=False, error_cb=_ignore)
            except (NatsError, OSError):
                await asyncio.sleep(0.05)
            else:
                clients.append(client)
                return client.jetstream(publish_async_max_pending=_OUTSTANDING)


async def _ignore(_: Exception) -> None:
    """Refused while the server starts; what else goes wrong is raised where it happens."""


async def _streams(leaf: JetStreamContext, hub: JetStreamContext) -> None:
    """Make the stream and its mirror; right after the start the servers may not be ready for it."""
    origin = StreamConfig(name="orders", subjects=["orders"], storage=StorageType.FILE)
    source = StreamSource(name="orders", external=ExternalStream(api="$JS.leaf.API"))
    mirror = StreamConfig(name="mirror", mirror=source, storage=StorageType.FILE)
    for context, config in ((leaf, origin), (hub, mirror)):
        while True:
            try:
                await context.add_stream(config)
                break
            except NatsError:
                await asyncio.sleep(0.1)
    await leaf.publish("orders", b"first")
    while (await hub.stream_info("mirror")).state.last_seq < 1:
        await asyncio.sleep(0.02)
