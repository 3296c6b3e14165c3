"""Raw HTTP over a socket: tests say the very bytes."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.api.address import parse_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True)
class Reply:
    """One answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document in the body."""
        assert self.headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = json.loads(self.body)
        assert document["status"] == self.status
        return document


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, *parts: bytes) -> None:
        """Send bytes."""
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    async def hear(self) -> Reply:
        """Read one answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        status = int(first.split(" ")[1])
        body = b"" if status == 100 else await self.reader.readexactly(int(headers["content-length"]))
        return Reply(status, headers, body)

    async def is_closed(self) -> bool:
        """Wait until the gateway has closed; True when it sent nothing more."""
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:
            return True


@asynccontextmanager
async def dial(address: str) -> AsyncIterator[Line]:
    """A connection to `host:port`."""
    reader, writer = await asyncio.open_connection(*parse_address(address))
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


def post(body: bytes = b"", *fields: str, path: str = "/events", length: int | None = None) -> bytes:
    """A POST with these header fields."""
    size = len(body) if length is None else length
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: gateway", f"Content-Length: {size}", *fields])
    return f"{head}\r\n\r\n".encode("utf-8", "surrogateescape") + body


def event(number: int | str = 1, body: bytes = b'{"n":1}', *fields: str, path: str = "/events") -> bytes:
    """A POST of a good event in binary mode."""
    return post(
        body,
        "ce-specversion: 1.0",
        f"ce-id: {number}",
        "ce-source: /shop",
        "ce-type: com.acme.order.placed",
        "Content-Type: application/json",
        *fields,
        path=path,
    )


async def ask(address: str, request: bytes) -> Reply:
    """One request on a connection of its own."""
    async with dial(address) as line:
        await line.say(request)
        return await line.hear()
