"""A node stops in time, whoever still hangs on to it."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import grpc.aio
import pytest

from federation import federation_pb2 as wire
from federation.peer import Peer
from gateway.api.isthmus_pb2 import PublishRequest, PublishResponse
from gateway.codec.frames import encode_events
from gateway.core.event import Event
from gateway.core.frame import FORMAT
from tests.e2e.processes import free_port, node, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

CONFIG = """
region: a
data: {folder}/data
api: {{http: "127.0.0.1:{http}", grpc: "127.0.0.1:{grpc}"}}
federation: {{listen: "127.0.0.1:{link}"}}
sinks:
  hung:
    http: {{url: "http://127.0.0.1:{sink}/", timeout: 60s}}
subscriptions:
  all: {{to: hung}}
"""
HALF = b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Type: application/cloudevents+json\r\n\r\n{"


@asynccontextmanager
async def silence(port: int, arrived: asyncio.Event) -> AsyncIterator[None]:
    """A server that takes requests and never answers."""
    writers: list[asyncio.StreamWriter] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()

    server = await asyncio.start_server(take, "127.0.0.1", port)
    try:
        yield
    finally:
        for writer in writers:
            writer.close()
        server.close()


async def test_a_node_stops_in_time_whoever_hangs_on_to_it(tmp_path: Path) -> None:
    """A gRPC client that never reads, half a body, a sink that never answers and a reading region, all at once."""
    ports = {name: free_port() for name in ("http", "grpc", "link", "sink")}
    file = tmp_path / "a.yaml"
    file.write_text(CONFIG.format(folder=tmp_path, **ports))
    sent = asyncio.Event()
    running = node(file, http=ports["http"])

    async with AsyncExitStack() as things:
        await things.enter_async_context(silence(ports["sink"], sent))
        await running.start()
        things.push_async_callback(running.kill)
        await running.ready()
        _, half = await asyncio.open_connection("127.0.0.1", ports["http"])
        things.callback(half.close)
        half.write(HALF)
        channel = await things.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{ports['grpc']}"))
        publish = channel.stream_stream(
            "/isthmus.v1.Isthmus/Publish",
            request_serializer=PublishRequest.SerializeToString,
            response_deserializer=PublishResponse.FromString,
        )()
        for number in range(20):
            await publish.write(request(number))
        await asyncio.wait_for(sent.wait(), 10)
        peer = await things.enter_async_context(Peer(f"127.0.0.1:{ports['link']}", region="b", node="n1"))
        log_id = (await peer.hello()).logs[0].log_id
        start = wire.Start(log_id=log_id, region="b", node="n1", window=1 << 20, frame_format=FORMAT)
        await things.enter_async_context(peer.read(start))
        await until(lambda: "reader connected" in running.log.read_text())

        told = time.monotonic()
        code = await running.stop(limit=20)
        took = time.monotonic() - told

    assert (code, took < 9.0) == (0, True), f"exit code {code} after {took:.1f} s\n{running.log.read_text()[-3000:]}"


def request(number: int) -> PublishRequest:
    """A batch of one event."""
    event = Event(f"e{number}", "/tests", "made", data=b"{}")
    return PublishRequest(sequence=number + 1, packed=encode_events([event]))
