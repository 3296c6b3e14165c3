"""The gRPC door: `isthmus.v1.Isthmus`, streams of batches (gateway/api/isthmus.proto).

A message over gRPC costs the same whatever is in it; hence batches, many of
them under way on one stream, and answers that cover several at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import grpc
import grpc.aio

from gateway.api.address import parse_address
from gateway.api.isthmus_pb2 import PublishRequest, PublishResponse
from gateway.api.stream import PublishStream
from gateway.core import telemetry

if TYPE_CHECKING:
    from types import TracebackType

    from gateway.api.limits import Limits
    from gateway.core.contracts import Publisher

SERVICE = "isthmus.v1.Isthmus"

_open_streams = telemetry.connections.labels(door="grpc")


class GrpcDoor:
    """Listens while it is entered. Leaving it stops accepting and answers the batches under way."""

    def __init__(self, address: str, publisher: Publisher, limits: Limits) -> None:
        """`address` is `host:port`, port 0 means any."""
        self.address = address
        """`host:port`; once entered the one it is bound to."""
        self.limits = limits
        self.held = 0
        """Bytes of batches under way on all streams."""
        self._publisher = publisher
        self._streams: set[PublishStream] = set()
        self._server: grpc.aio.Server

    async def __aenter__(self) -> Self:
        """Bind and listen. The server belongs to the loop it is entered in.

        :raises OSError: the address cannot be bound.
        """
        self._server = grpc.aio.server(options=_options(self.limits), maximum_concurrent_rpcs=self.limits.connections)
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    SERVICE,
                    {
                        "Publish": grpc.stream_stream_rpc_method_handler(
                            self._publish,
                            request_deserializer=PublishRequest.FromString,
                            response_serializer=PublishResponse.SerializeToString,
                        )
                    },
                ),
            )
        )
        try:
            port = self._server.add_insecure_port(self.address)
        except RuntimeError as problem:
            raise OSError(f"cannot bind {self.address}: {problem}") from problem
        host, _ = parse_address(self.address)
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Read no more, answer what is under way, cut off what takes longer than `drain_timeout`."""
        for stream in list(self._streams):
            stream.stop()
        await self._server.stop(self.limits.drain_timeout)

    async def _publish(self, _: object, context: grpc.aio.ServicerContext[PublishRequest, PublishResponse]) -> None:
        stream = PublishStream(self, self._publisher, context)
        self._streams.add(stream)
        _open_streams.set(len(self._streams))
        try:
            await stream.run()
        finally:
            self._streams.discard(stream)
            _open_streams.set(len(self._streams))


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.message),
        ("grpc.max_metadata_size", limits.head),
        ("grpc.http2.lookahead_bytes", 2 * 1024 * 1024),  # sixteen batches without waiting for a window update
        ("grpc.http2.max_frame_size", 1024 * 1024),  # a batch in one piece: 5 % less CPU than in seven
        ("grpc.max_concurrent_streams", limits.streams),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.so_reuseport", 0),  # else a second node on the same port would start in silence
        ("grpc.compression_enabled_algorithms_bitset", 1),  # identity only: what is counted is what came
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.max_connection_idle_ms", int(limits.idle_timeout * 1000)),
        ("grpc.server_handshake_timeout_ms", int(limits.header_timeout * 1000)),
    ]
