"""Peer: another region's node over gRPC; errors of gRPC become ours here and nowhere else.

One Peer is one connection, opened once and closed for good: who wants to try
again makes a new one. It is alive while anything at all comes in.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import grpc
from google.protobuf.message import DecodeError

from federation import federation_pb2 as wire
from federation.server import CODECS, SERVICE
from gateway.codec.frames import MAX_FRAME
from gateway.core.clock import Clock, SystemClock
from gateway.core.errors import Damaged, Diverged, IsthmusError, Trimmed, Unavailable
from gateway.core.frame import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import TypeAlias

    Call: TypeAlias = grpc.aio.StreamStreamCall[bytes, bytes]

SILENCE = 10.0
"""Seconds without a byte after which a connection counts as dead."""
_ANSWER = 4.0
"""Seconds for a Hello, connecting included."""
_BEAT = 1.0
_OPTIONS: list[tuple[str, int]] = [
    ("grpc.use_local_subchannel_pool", 1),  # else a new channel gets the old, half-dead connection
    ("grpc.max_receive_message_length", 2 * MAX_FRAME),
    ("grpc.http2.max_frame_size", 1024 * 1024),  # a page in one piece
    ("grpc.max_send_message_length", 1024 * 1024),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_retries", 0),
]


class Peer:
    """A node of another region. `async with` it, then `hello`, `pulse` and `read`."""

    def __init__(self, address: str, *, region: str, node: str, mesh: str = "", clock: Clock | None = None) -> None:
        self.address = address
        self.region, self.node = region, node
        self.clock: Clock = clock or SystemClock()
        self.time = 0.0
        """Its wall clock, at its last beat."""
        self.ends: dict[str, int] = {}
        """Log id → offset of the last record, at its last beat or page."""
        self._mesh = mesh
        self._heard = 0.0
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Self:
        """Make the channel; it connects with the first call."""
        self._channel = grpc.aio.insecure_channel(self.address, options=_OPTIONS)
        self.heard()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection and end every stream on it."""
        if self._channel is not None:
            await self._channel.close()

    def heard(self) -> None:
        """Note a sign of life."""
        self._heard = self.clock.monotonic()

    async def hello(self) -> wire.HelloReply:
        """Ask who it is and which logs it serves.

        :raises Unavailable: no answer within 4 s, or it refuses us.
        """
        asked = wire.HelloRequest(
            mesh=self._mesh, region=self.region, node=self.node, frame_format=FORMAT, codecs=CODECS
        )
        with _translated(self.address):
            ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._open.unary_unary(f"/{SERVICE}/Hello")
            reply = wire.HelloReply.FromString(await ask(asked.SerializeToString(), timeout=_ANSWER))
        self.heard()
        self.ends.update({state.log_id: state.end for state in reply.logs})
        return reply

    async def pulse(self) -> None:
        """Exchange beats until the peer falls silent.

        :raises Unavailable: nothing came in for 10 s, on any stream, or the stream broke.
        """
        call: Call = self._open.stream_stream(f"/{SERVICE}/Pulse")()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._beat(call), name=f"beat {self.address}")
                tasks.create_task(self._watch(), name=f"watch {self.address}")
                tasks.create_task(self._hear(call), name=f"hear {self.address}")
        except ExceptionGroup as problems:
            raise single(problems) from None
        finally:
            call.cancel()

    async def _beat(self, call: Call) -> None:
        while True:
            with _translated(self.address):
                await call.write(wire.Beat(time=self.clock.now()).SerializeToString())
            await self.clock.sleep(_BEAT)

    async def _watch(self) -> None:
        while (silent := self.clock.monotonic() - self._heard) < SILENCE:
            await self.clock.sleep(min(_BEAT, SILENCE - silent))
        raise Unavailable(f"{self.address}: nothing heard for {silent:.0f} s")

    async def _hear(self, call: Call) -> None:
        while True:
            with _translated(self.address):
                data = await call.read()
                if not isinstance(data, bytes):
                    break
                beat = wire.Beat.FromString(data)
            self.heard()
            self.time = beat.time
            self.ends.update({state.log_id: state.end for state in beat.logs})
        raise Unavailable(f"{self.address}: ended its pulse")

    def read(self, start: wire.Start) -> RemoteRead:
        """Begin to follow one of its logs; `async with` the result."""
        return RemoteRead(self, self._open, start)

    @property
    def _open(self) -> grpc.aio.Channel:
        if self._channel is None:
            raise Unavailable(f"{self.address}: not connected")
        return self._channel


class RemoteRead:
    """One Read stream, at the reader. One task calls `next`, one other calls `tell`."""

    def __init__(self, peer: Peer, channel: grpc.aio.Channel, start: wire.Start) -> None:
        self._peer = peer
        self._channel = channel
        self._start = start
        self._call: Call | None = None

    async def __aenter__(self) -> Self:
        """Send the start."""
        self._call = self._channel.stream_stream(f"/{SERVICE}/Read")()
        await self.tell(wire.FromReader(start=self._start))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        if self._call is not None:
            self._call.cancel()

    async def tell(self, message: wire.FromReader) -> None:
        """Send an acknowledgement, an interest or a window.

        :raises Unavailable: the stream is gone.
        """
        with _translated(self._peer.address):
            await self._stream.write(message.SerializeToString())

    async def next(self) -> wire.Page | wire.Begun | wire.InterestHolds:
        """The next thing the log says; waits for it.

        :raises Trimmed, Diverged: what became of the position.
        :raises Unavailable: the stream ended or broke.
        :raises Damaged: that was not a message.
        """
        while True:
            with _translated(self._peer.address):
                data = await self._stream.read()
                if not isinstance(data, bytes):
                    raise Unavailable(f"{self._peer.address}: ended the stream")
                message = wire.FromLog.FromString(data)
            self._peer.heard()
            match message.WhichOneof("what"):
                case "page":
                    return message.page
                case "begun":
                    return message.begun
                case "holds":
                    return message.holds
                case "trimmed":
                    raise Trimmed(message.trimmed.first)
                case "diverged":
                    raise Diverged(message.diverged.reason)
                case "closed":
                    raise Unavailable(f"{self._peer.address}: {message.closed.reason}")
                case _:  # of a newer server, and nothing we need
                    continue

    @property
    def _stream(self) -> Call:
        if self._call is None:
            raise Unavailable(f"{self._peer.address}: not connected")
        return self._call


def single(problems: ExceptionGroup[Exception]) -> Exception:
    """What ended a group of tasks: the first error of ours, or the group itself when a bug is in it."""
    leaves: list[Exception] = []
    for problem in problems.exceptions:
        found = single(problem) if isinstance(problem, ExceptionGroup) else problem
        leaves.append(found)
    if all(isinstance(leaf, IsthmusError) for leaf in leaves):
        return leaves[0]
    return problems


@contextmanager
def _translated(address: str) -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as problem:
        raise Unavailable(f"{address}: {problem.code().name}: {problem.details()}") from problem
    except (grpc.aio.UsageError, grpc.aio.InternalError, asyncio.InvalidStateError) as problem:
        raise Unavailable(f"{address}: the stream is gone: {problem}") from problem
    except DecodeError as problem:
        raise Damaged(f"{address}: sent what is not a message of this protocol") from problem
