"""What asynchronous parsers are fuzzed with: one event loop a process, a clock of turns, and both ends of a stream.

Only what belongs to gRPC and to the operating system is stood in for; every part of ours is the real one.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
from functools import cache
from typing import TYPE_CHECKING, NoReturn, TypeVar

import grpc

from tests.fuzz.logs import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

T = TypeVar("T")
TURNS = 12
"""Turns of the loop after which everything that could go on has gone on."""


@cache
def _loop() -> asyncio.AbstractEventLoop:
    for name in ("federation", "gateway", "aiohttp"):  # what they log of each input would fill the disk
        logging.getLogger(name).addHandler(logging.NullHandler())
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def run(what: Coroutine[object, object, T]) -> T:
    """Run it to its end, in the one loop of this process."""
    return _loop().run_until_complete(what)


async def turns(count: int = TURNS) -> None:
    """Let others go on."""
    for _ in range(count):
        await asyncio.sleep(0)


class Clock:
    """A clock on which a sleep takes one turn of the loop."""

    def __init__(self) -> None:
        self._passed = 0.0

    def now(self) -> float:
        """The wall clock."""
        return NOW + self._passed

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return 1000.0 + self._passed

    async def sleep(self, seconds: float) -> None:
        """Wait a turn."""
        await asyncio.sleep(0)
        self._passed += seconds


class Aborted(Exception):
    """The server ended a call with a status."""


class Stream:
    """A stream of gRPC: for a server the context of a call, for a reader the call and its channel."""

    def __init__(self, messages: Sequence[bytes], *, pause: int = TURNS, takes: int = 1 << 30) -> None:
        """`pause`: turns before each message; `takes`: messages after which the other side is gone."""
        self.sent: list[bytes] = []
        """What was written to the stream."""
        self.takes = takes
        self._messages = list(messages)
        self._pause = pause

    async def read(self) -> object:
        """The next message, or the end."""
        await turns(self._pause)
        if self._messages:
            return self._messages.pop(0)
        await turns()
        return grpc.aio.EOF

    async def write(self, data: bytes) -> None:
        """Take a message."""
        if len(self.sent) >= self.takes:
            raise grpc.aio.UsageError("the stream is gone")
        self.sent.append(data)

    async def abort(self, code: grpc.StatusCode, reason: str) -> NoReturn:
        """End the call with a status."""
        raise Aborted(code, reason)

    def cancel(self) -> None:
        """Hang up."""

    def stream_stream(self, _: str) -> Callable[[], Stream]:
        """Open the stream, whatever its name."""
        return lambda: self


class Transport(asyncio.Transport):
    """A connection that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self._is_closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.written += data

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._is_closing

    def close(self) -> None:
        """Note that nothing more comes."""
        self._is_closing = True

    abort = close
