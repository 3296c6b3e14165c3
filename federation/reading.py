"""Reading: one open Read, at the log that is read.

    listen ── acknowledgements, interest ──▶ state
    feed   ── log.read ─▶ choose ─▶ outbox ──▶ send

Only frames that began in this log are sent: what other regions gave to it they
give to everyone themselves, so no event ever travels in a circle.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from google.protobuf.message import DecodeError

from federation import federation_pb2 as wire
from federation.interest import EVERYTHING, compile_interest, compile_interest_aside
from federation.readers import Refused
from federation.window import SMALLEST_PAGE, Window
from gateway.codec.frames import merge, open_frame, select
from gateway.core import telemetry
from gateway.core.errors import Damaged, Diverged, Trimmed, Unavailable
from gateway.core.frame import FORMAT, MAX_COUNT, MAX_RAW
from gateway.core.records import EventLog, Page, Position, Store, Stored

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from federation.readers import Readers, Slot
    from gateway.core.clock import Clock
    from gateway.core.event import Event
    from gateway.core.frame import Frame

log = logging.getLogger(__name__)

SMALL = 2 * 1024
"""Frames below this are merged while the reader is behind: 6 µs an event (20 where each is alone) buy up to 60 % fewer
bytes. From ten events a frame on it would buy 14 %."""
MANY = 32
"""Frames in one page that show that the reader is behind."""
LINGER = 0.005
"""Seconds a small page waits for company, while pages follow each other faster than that."""
FEW = 64 * 1024
"""Bytes of a page that count as small while the reader has not acknowledged the one before: it is busy anyway."""
LOOKED = 1.0
"""Seconds between pages that carry nothing but how far was looked."""

UNREAD = 1000
"""Messages that wait to be sent while the reader goes on changing its interest; then it is told to go."""


class ServedLog(EventLog, Store, Protocol):
    """A log with its store, as a node has it."""


class Reading:
    """Serves one log to one reading region until either side ends it."""

    def __init__(self, served: ServedLog, readers: Readers, start: wire.Start, clock: Clock) -> None:
        self._log = served
        self._readers = readers
        self._start = start
        self._clock = clock
        self._window = Window(start.window, clock)
        self._interest = compile_interest(EVERYTHING)
        self._outbox: asyncio.Queue[wire.FromLog] = asyncio.Queue()  # bounded by the window, and by UNREAD
        self._at = 0
        self._hash = b""
        self._told = 0
        self._accepted = 0.0
        self._sent_at = 0.0
        self._served = telemetry.served_events.labels(start.region)

    @property
    def looks_inside(self) -> bool:
        """Whether frames are opened to choose what the reader gets."""
        return self._interest.choose is not None

    def close(self, reason: str) -> None:
        """Say why, and end once that is said."""
        self._outbox.put_nowait(wire.FromLog(closed=wire.Closed(reason=reason)))

    async def run(
        self, receive: Callable[[], Awaitable[bytes | None]], send: Callable[[bytes], Awaitable[bool]]
    ) -> None:
        """Serve until the reader hangs up (`receive` gives None, `send` False), or it was told why it ends."""
        region = self._start.region
        if self._start.frame_format < FORMAT:
            self.close(f"frames here have format {FORMAT}, the reader opens {self._start.frame_format}")
            return await self._send(send)
        self._interest = await compile_interest_aside(self._start.interest.expression)
        try:
            slot, before = self._readers.claim(region, self._start.node, self._start.term, self)
        except Refused as problem:
            self.close(str(problem))
            return await self._send(send)
        log.info("reader connected", extra={"log_id": self._log.log_id, "region": region, "node": self._start.node})
        try:
            self._place()
            if self._at <= self._log.end:  # else the log is a restored snapshot: what its reader needs shows later
                self._readers.begin(region, slot, self._at)
            begun = wire.Begun(after=self._at, term=before.term, handed_out=before.handed_out, durable=before.durable)
            self._outbox.put_nowait(wire.FromLog(begun=begun))
            self._tell_holds(self._start.interest.version)
            async with asyncio.TaskGroup() as tasks:
                parts = [
                    tasks.create_task(self._feed(slot), name=f"feed {region}"),
                    tasks.create_task(self._listen(slot, receive), name=f"listen {region}"),
                    tasks.create_task(self._keep_telling(), name=f"tell {region}"),
                ]
                await self._send(send)
                for part in parts:
                    part.cancel()
        finally:
            self._readers.leave(region, slot)
            log.info("reader left", extra={"log_id": self._log.log_id, "region": region})

    def _place(self) -> None:
        if self._start.HasField("position"):
            self._at, self._hash = self._start.position.offset, self._start.position.hash
        elif self._start.HasField("since"):
            self._at = max(self._log.seek(self._start.since), self._log.first - 1)
        else:
            self._at = self._log.first - 1
        self._told = self._at

    async def _send(self, send: Callable[[bytes], Awaitable[bool]]) -> None:
        while True:
            message = await self._outbox.get()
            is_last = message.WhichOneof("what") in {"trimmed", "diverged", "closed"}
            if not await send(message.SerializeToString()) or is_last:
                return

    async def _feed(self, slot: Slot) -> None:
        try:
            while True:
                await self._window.room()
                page = await self._next()
                await self._readers.hand_out(self._start.region, slot, page.upto)
                frames = self._choose(page)
                if frames or page.gaps:
                    self._put(frames, page.gaps)
                await asyncio.sleep(0)  # acknowledgements and interest have their turn, however far behind we are
        except Trimmed as problem:
            self._outbox.put_nowait(wire.FromLog(trimmed=wire.Trimmed(first=problem.first)))
        except Diverged as problem:
            self._outbox.put_nowait(wire.FromLog(diverged=wire.Diverged(reason=str(problem))))
        except (Damaged, Unavailable) as problem:
            self.close(f"the log cannot be read now: {problem}")

    async def _next(self) -> Page:
        """The next page; a small one that comes right after another waits for company."""
        after = Position(self._log.log_id, self._at, self._hash)
        page = await self._log.read(after=after, limit=self._window.page)
        waited = self._clock.monotonic() - self._sent_at
        enough = FEW if self._window.in_flight else SMALLEST_PAGE
        if waited < LINGER and sum(len(stored.frame.data) for stored in page.frames) < enough:
            await self._clock.sleep(LINGER - waited)
            page = await self._log.read(after=after, limit=self._window.page)
        return page

    def _choose(self, page: Page) -> list[Frame]:
        """What the reader gets of a page; from here on the page counts as looked at."""
        chosen = [frame for stored in page.frames if (frame := self._wanted(stored)) is not None]
        self._at, self._hash = page.upto, _hash_at(page)
        is_behind = page.upto < self._log.end or len(chosen) >= MANY
        return _merged(chosen) if is_behind else chosen

    def _wanted(self, stored: Stored) -> Frame | None:
        frame = stored.frame
        if frame.header.origin != self._log.log_id:
            return None
        self._accepted = max(self._accepted, frame.header.newest)
        choose = self._interest.choose
        if choose is None and stored.first > self._at:
            return frame
        try:
            events = _opened(stored)
        except Damaged:  # what cannot be looked into counts as wanted: the reader buries it, with its offsets
            return frame if stored.first > self._at else None
        skip = max(0, self._at + 1 - stored.first)
        wanted = range(frame.count) if choose is None else choose(events)
        keep = [index for index in wanted if index >= skip]
        return select(frame, keep) if keep else None

    def _put(self, frames: Sequence[Frame], gaps: Sequence[tuple[int, int]]) -> None:
        self._outbox.put_nowait(self._page([frame.data for frame in frames], gaps))
        self._window.sent(self._at, sum(len(frame.data) for frame in frames))
        self._served.inc(sum(frame.count for frame in frames))
        self._sent_at = self._clock.monotonic()

    def _page(self, frames: Sequence[bytes] = (), gaps: Sequence[tuple[int, int]] = ()) -> wire.FromLog:
        self._told = self._at
        page = wire.Page(
            frames=frames,
            upto=wire.Place(offset=self._at, hash=self._hash),
            accepted=self._accepted,
            end=self._log.end,
            gaps=[wire.Gap(first=first, last=last) for first, last in gaps],
        )
        return wire.FromLog(page=page)

    async def _keep_telling(self) -> None:
        """Say how far was looked, also where nothing of it was wanted."""
        while True:
            await self._clock.sleep(LOOKED)
            if self._told < self._at:
                self._outbox.put_nowait(self._page())

    async def _listen(self, slot: Slot, receive: Callable[[], Awaitable[bytes | None]]) -> None:
        while (data := await receive()) is not None:
            try:
                message = wire.FromReader.FromString(data)
            except DecodeError:
                return self.close("not a message of this protocol")
            match message.WhichOneof("what"):
                case "ack":
                    durable = min(message.ack.durable.offset, self._told)
                    self._window.acknowledge(durable)
                    if durable <= self._log.end:
                        self._readers.settle(self._start.region, slot, durable)
                case "interest":
                    if self._outbox.qsize() > UNREAD:
                        return self.close("too many interests")
                    self._interest = await compile_interest_aside(message.interest.expression)
                    self._tell_holds(message.interest.version)
                case "window":
                    self._window.resize(message.window.bytes)
                case _:
                    return self.close("unexpected message")
        return self.close("the reader hung up")

    def _tell_holds(self, version: int) -> None:
        if self._interest.problem:
            log.warning(
                "interest of a peer does not compile, everything is sent",
                extra={"region": self._start.region, "reason": self._interest.problem},
            )
        holds = wire.InterestHolds(version=version, after=self._at, uncompiled=self._interest.problem)
        self._outbox.put_nowait(wire.FromLog(holds=holds))


def _hash_at(page: Page) -> bytes:
    """The hash of the record at the end of the page; empty where that is not readable."""
    last = page.frames[-1] if page.frames else None
    return last.frame.hash_at(page.upto - last.first)[:8] if last and page.upto <= last.last else b""


def _opened(stored: Stored) -> list[Event]:
    if stored.opened is None:
        stored.opened = open_frame(stored.frame)
    return stored.opened


def _merged(frames: Sequence[Frame]) -> list[Frame]:
    """The same events; runs of small frames of one space became one frame each."""
    merged: list[Frame] = []
    run: list[Frame] = []
    count = raw = 0
    for frame in frames:
        small = len(frame.data) < SMALL and not frame.header.key
        fits = run and frame.header.space == run[0].header.space
        if run and not (small and fits and count + frame.count <= MAX_COUNT and raw + frame.header.raw <= MAX_RAW):
            merged += _one_of(run)
            run, count, raw = [], 0, 0
        if small:
            run.append(frame)
            count, raw = count + frame.count, raw + frame.header.raw
        else:
            merged.append(frame)
    if run:
        merged += _one_of(run)
    return merged


def _one_of(run: Sequence[Frame]) -> Sequence[Frame]:
    try:
        return [merge(run)]
    except Damaged:  # one cannot be opened: the reader buries that one, and the others go on
        return run
