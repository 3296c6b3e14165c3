"""What the tests of the log arrange with: events, logs, a clock, conditions."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Protocol

from gateway.codec.frames import open_frame, pack, seal
from gateway.core.event import Event
from gateway.core.records import EventLog, Page, Position, Store
from gateway.log.lmdb import LmdbLog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.core.frame import Batch, Frame

ORIGIN = "us-east/n1@0123456789abcdef"


class LogAndStore(EventLog, Store, Protocol):
    """A log with its store."""

    async def trim(self, before: int) -> None: ...


class StillClock:
    """A wall clock that stands where the test puts it; durations are real."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def event(number: int, *, size: int = 0) -> Event:
    return Event(f"id-{number}", "https://shop.example/eu", "order.created", data=noise(number, size) if size else None)


def noise(seed: int, size: int) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def batch(*numbers: int, size: int = 0, space: str = "main") -> Batch:
    (only,) = pack(space, [event(number, size=size) for number in numbers])
    return only


def link_frame(first: int, *numbers: int, accepted: float = 1.0) -> Frame:
    """A frame as it comes from another region."""
    return seal([batch(*numbers)], origin=ORIGIN, first=first, accepted=accepted)


def numbers_of(page: Page) -> list[int]:
    return [
        int(one.id.removeprefix("id-"))
        for stored in page.frames
        for one in (stored.opened if stored.opened is not None else open_frame(stored.frame))
    ]


async def everything(log: EventLog, *, limit: int = 1 << 20) -> list[int]:
    """The numbers of all events that the log keeps, read from its first offset to its end."""
    numbers: list[int] = []
    after = log.first - 1
    while after < log.end:
        page = await log.read(after=Position(log.log_id, after), limit=limit)
        numbers += numbers_of(page)
        after = page.upto
    return numbers


def lmdb_log(path: Path, **settings: object) -> LmdbLog:
    defaults: dict[str, object] = {"region": "eu", "node": "n1", "at_most": 64 * 1024 * 1024, "keep": None}
    return LmdbLog(path, **{**defaults, **settings})  # type: ignore[arg-type]  # settings are the test's


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds; the test's time-out is the limit."""
    while not condition():
        await asyncio.sleep(0.001)
