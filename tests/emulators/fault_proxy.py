"""FaultProxy: a TCP line that can be made slow, thin, mute or broken while connections are open.

    client ─ up ─▶ proxy ─ up ─▶ server
           ◀ down ─      ◀ down ─

Every change applies to the connections that are open, at once.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_CHUNK = 64 * 1024
_AHEAD = 256
"""Chunks that may wait in one direction of one connection; then TCP itself holds the sender back."""
_SLICES = 20
"""Pieces a second in which bytes come out of a thin line."""


@dataclass
class Lane:
    """One direction, of all connections."""

    latency: float = 0.0
    """Seconds every byte is late."""
    jitter: float = 0.0
    """Seconds by which `latency` varies, either way; order is kept."""
    bandwidth: float = 0.0
    """Bytes a second of each connection; 0: no bound."""
    is_mute: bool = False
    """Bytes vanish, sockets stay open: a black hole."""
    cut_after: int | None = None
    """Reset all connections once one of them carried that many bytes; None: never."""
    corrupt: float = 0.0
    """Chance that a chunk has one wrong byte."""
    carried: int = 0
    """Bytes that got through, in all."""

    def heal(self) -> None:
        """Make the line good again; what vanished stays lost."""
        self.latency = self.jitter = self.bandwidth = self.corrupt = 0.0
        self.is_mute = False
        self.cut_after = None


class FaultProxy:
    """`async with` it; clients connect to `port`."""

    def __init__(self, host: str, port: int, *, seed: int = 0) -> None:
        self.up, self.down = Lane(), Lane()
        self.port = 0
        self.connections = 0
        """Taken since the start."""
        self.refuses = False
        """New connections are reset at once."""
        self._target = (host, port)
        self._random = random.Random(seed)
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        """host:port of the proxy."""
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        """Listen on a free port of 127.0.0.1."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Reset what is open and stop listening."""
        self._server.close()
        self.reset()
        await self._server.wait_closed()

    def redirect(self, port: int) -> None:
        """Send new connections to another port of the same host."""
        self._target = (self._target[0], port)

    def mute(self) -> None:
        """Let bytes vanish in both directions."""
        self.up.is_mute = self.down.is_mute = True

    def heal(self) -> None:
        """Make both directions good again."""
        self.up.heal()
        self.down.heal()
        self.refuses = False

    def reset(self) -> None:
        """Reset every open connection (RST, not FIN)."""
        for writer in list(self._open):
            _reset(writer)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuses:
            return _reset(writer)
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            return _reset(writer)
        for end in (writer, back):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open |= {writer, back}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._carry(reader, back, self.up))
                tasks.create_task(self._carry(there, writer, self.down))
        finally:
            self._open -= {writer, back}
            for end in (writer, back):
                end.close()
        return None

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lane: Lane) -> None:
        chunks: deque[tuple[float, bytes]] = deque()
        changed = asyncio.Event()
        with suppress(OSError):
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._deliver(chunks, changed, writer, lane))
                with suppress(OSError):
                    while data := await reader.read(_CHUNK):
                        late = lane.latency and max(0.0, lane.latency + self._random.uniform(-lane.jitter, lane.jitter))
                        chunks.append((asyncio.get_running_loop().time() + late, data))
                        changed.set()
                        while len(chunks) > _AHEAD:
                            changed.clear()
                            await changed.wait()
                while chunks and not sending.done():
                    changed.clear()
                    await changed.wait()
                sending.cancel()
        writer.transport.abort()

    async def _deliver(
        self, chunks: deque[tuple[float, bytes]], changed: asyncio.Event, writer: asyncio.StreamWriter, lane: Lane
    ) -> None:
        try:
            await self._deliver_each(chunks, changed, writer, lane)
        finally:
            changed.set()

    async def _deliver_each(
        self, chunks: deque[tuple[float, bytes]], changed: asyncio.Event, writer: asyncio.StreamWriter, lane: Lane
    ) -> None:
        loop = asyncio.get_running_loop()
        carried = 0
        while not writer.is_closing():
            if not chunks:
                changed.clear()
                await changed.wait()
                continue
            due, data = chunks[0]
            await asyncio.sleep(max(0.0, due - loop.time()))
            if lane.bandwidth:
                data = data[: max(1, int(lane.bandwidth / _SLICES))]
                await asyncio.sleep(len(data) / lane.bandwidth)
            if rest := chunks[0][1][len(data) :]:
                chunks[0] = (due, rest)
            else:
                chunks.popleft()
            changed.set()
            if lane.is_mute:
                continue
            if lane.cut_after is not None and carried + len(data) > lane.cut_after:
                return self.reset()
            with suppress(OSError):
                writer.write(self._maybe_corrupt(data, lane))
                await writer.drain()
            carried += len(data)
            lane.carried += len(data)
        return None

    def _maybe_corrupt(self, data: bytes, lane: Lane) -> bytes:
        if not lane.corrupt or self._random.random() >= lane.corrupt:
            return data
        at = self._random.randrange(len(data))
        return data[:at] + bytes((data[at] ^ 0xFF,)) + data[at + 1 :]


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # it may be closed already
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
