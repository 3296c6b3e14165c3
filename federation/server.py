"""FederationServer: lets other regions read the logs of this one.

    Hello   who we are, which logs           Read   one Reading each
    Pulse   a beat a second, with the ends of our logs

Messages stay bytes up to here, so that broken ones are ours to answer.
"""

from __future__ import annotations

import asyncio
import logging
import re
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from federation import federation_pb2 as wire
from federation.readers import Readers
from federation.reading import Reading
from gateway.codec.frames import NONE, ZSTD
from gateway.core.clock import Clock, SystemClock
from gateway.core.errors import Unavailable
from gateway.core.frame import FORMAT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import TypeAlias

    from federation.readers import ReaderRow
    from federation.reading import ServedLog

    Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]

log = logging.getLogger(__name__)

_M = TypeVar("_M", bound=Message)

SERVICE = "isthmus.federation.v1.Federation"
CODECS = (NONE, ZSTD)
SAVE = 1.0
"""Seconds between saves of what readers acknowledged."""
_GRACE = 1.0
_is_name = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?").fullmatch
"""Region and node names are DNS labels: what becomes a row's key or a metric's label is short and harmless."""
_OPTIONS: list[tuple[str, int]] = [
    ("grpc.so_reuseport", 0),  # a second holder of the port must fail, not share it
    ("grpc.max_receive_message_length", 1024 * 1024),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_concurrent_streams", 256),
    ("grpc.max_allowed_incoming_connections", 256),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 2_000),  # at most what peers are set to, else GOAWAY
]


class FederationServer:
    """Serves the logs of one node. `async with` it (the port is open then), then `run` it."""

    def __init__(
        self,
        logs: Mapping[str, ServedLog],
        *,
        region: str,
        node: str,
        listen: str,
        mesh: str = "",
        software: str = "",
        clock: Clock | None = None,
    ) -> None:
        self._logs = dict(logs)
        self._region, self._node, self._mesh, self._software = region, node, mesh, software
        self._listen = listen
        self._clock = clock or SystemClock()
        self._readers = {log_id: Readers(log_id, served, self._clock) for log_id, served in self._logs.items()}
        self._readings: set[Reading] = set()
        self._stopping = asyncio.Event()
        self._server: grpc.aio.Server | None = None
        self.port = 0
        """The port that was bound, once entered."""

    async def __aenter__(self) -> Self:
        """Read the readers' rows, bind and serve.

        :raises Unavailable: the address cannot be bound.
        """
        for readers in self._readers.values():
            readers.load()
        server = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers((self._routes(),))
        try:
            self.port = server.add_insecure_port(self._listen)
        except RuntimeError as problem:
            await server.stop(None)
            raise Unavailable(f"cannot listen on {self._listen} for other regions: {problem}") from problem
        await server.start()
        self._server = server
        log.info("serving other regions", extra={"listen": self._listen, "logs": sorted(self._logs)})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell every reader, close the port, save the rows exactly."""
        self._stopping.set()
        for reading in self._readings:
            reading.close("the node stops")
        if self._server is not None:
            await self._server.stop(_GRACE)
        for readers in self._readers.values():
            await readers.save()

    async def run(self) -> None:
        """Keep the readers' rows on disk up to date, until cancelled."""
        while True:
            await self._clock.sleep(SAVE)
            for readers in self._readers.values():
                readers.touch()
                await readers.save()

    def holds(self, log_id: str, forget: float) -> dict[str, int]:
        """For trimming: `link to <region>` → the first offset needed by a region seen within `forget` seconds."""
        return self._readers[log_id].holds(forget)

    def lowest_needed(self, log_id: str, forget: float) -> int | None:
        """The first offset of a log that a region seen within `forget` seconds still needs; None: none waits."""
        return self._readers[log_id].lowest_needed(forget)

    @property
    def looks_inside(self) -> bool:
        """Whether some reading region wants only a part of what it is served."""
        return any(reading.looks_inside for reading in self._readings)

    def readers(self, log_id: str) -> dict[str, ReaderRow]:
        """Reading region → its row, for the admin API."""
        return self._readers[log_id].rows()

    def _routes(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Hello": grpc.unary_unary_rpc_method_handler(self._hello),
                "Read": grpc.stream_stream_rpc_method_handler(self._read),
                "Pulse": grpc.stream_stream_rpc_method_handler(self._pulse),
            },
        )

    async def _hello(self, data: bytes, context: Context) -> bytes:
        asked = await _parsed(wire.HelloRequest(), data, context)
        if asked.mesh != self._mesh:
            reason = f"this is mesh {self._mesh!r}, not {asked.mesh!r}"
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, reason)
        return wire.HelloReply(
            mesh=self._mesh,
            region=self._region,
            node=self._node,
            software=self._software,
            frame_format=FORMAT,
            codecs=CODECS,
            logs=self._states(),
        ).SerializeToString()

    async def _read(self, _: object, context: Context) -> None:
        data = await _received(context)
        if data is None:
            return
        start = (await _parsed(wire.FromReader(), data, context)).start
        served = self._logs.get(start.log_id)
        if served is None or not (_is_name(start.region) and _is_name(start.node)):
            asked = f"log {start.log_id!r} for {start.region!r}/{start.node!r}"[:500]
            reason = f"{asked}: no such log here, or no name of a region or node"
            closed = wire.FromLog(closed=wire.Closed(reason=reason))
            await _sent(context, closed.SerializeToString())
            return
        reading = Reading(served, self._readers[start.log_id], start, self._clock)
        self._readings.add(reading)
        try:
            await reading.run(partial(_received, context), partial(_sent, context))
        finally:
            self._readings.discard(reading)

    async def _pulse(self, _: object, context: Context) -> None:
        async with asyncio.TaskGroup() as tasks:
            parts = [
                tasks.create_task(self._beat(context), name="beat"),
                tasks.create_task(_hear(context), name="hear"),
                tasks.create_task(self._stopping.wait(), name="until the server stops"),
            ]
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in parts:
                part.cancel()

    async def _beat(self, context: Context) -> None:
        while await _sent(context, wire.Beat(time=self._clock.now(), logs=self._states()).SerializeToString()):
            await self._clock.sleep(1.0)

    def _states(self) -> list[wire.LogState]:
        return [
            wire.LogState(log_id=log_id, first=served.first, end=served.end) for log_id, served in self._logs.items()
        ]


async def _received(context: Context) -> bytes | None:
    """The next message; None when the other side hung up, or the server stops."""
    try:
        data = await context.read()
    except grpc.aio.BaseError:
        return None
    return data if isinstance(data, bytes) else None  # EOF is an object of its own


async def _sent(context: Context, data: bytes) -> bool:
    """Send a message; False when there is nobody any more."""
    try:
        await context.write(data)
    except grpc.aio.BaseError:
        return False
    return True


async def _hear(context: Context) -> None:
    while await _received(context) is not None:
        pass


async def _parsed(message: _M, data: bytes, context: Context) -> _M:
    try:
        message.ParseFromString(data)
    except DecodeError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a message of this protocol")
    return message
