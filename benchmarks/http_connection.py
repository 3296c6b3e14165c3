"""One keep-alive HTTP connection that posts, as lean as a client can be: the door is measured, not the client."""

from __future__ import annotations

import asyncio
import re
from typing import Self

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class HttpConnection(asyncio.Protocol):
    """Posts one request after the other."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[None] | None = None
        self._received = b""

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect to a loopback port."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's is a Transport in all but its class

    async def post(self, kind: bytes, body: bytes) -> None:
        """Post and wait for 202."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(
            b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (kind, len(body), body)
        )
        await self._answer

    def data_received(self, data: bytes) -> None:
        """Wait for a whole answer."""
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = _LENGTH.search(head)
        if len(rest) < int(length[1] if length else 0):
            return
        self._received = b""
        if self._answer is not None and not self._answer.done():
            if head.startswith(b"HTTP/1.1 202"):
                self._answer.set_result(None)
            else:
                self._answer.set_exception(RuntimeError((head + rest).decode()))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whoever waits."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed"))

    def close(self) -> None:
        """Close."""
        self._transport.close()
