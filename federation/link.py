"""Link: follows one origin log, and appends what it reads to ours, exactly once.

    receive ─ parse, check ─▶ pages ─▶ append (frames + position, one transaction) ─▶ acknowledge

The position `link/<origin log id>` is committed with the frames it covers and
compared inside that transaction, so nothing is appended twice whatever is
cancelled, killed or repeated. Pages that come in while one append runs go into
the next one together. A frame that fails a check ends the stream; nothing of
it is appended.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from federation import federation_pb2 as wire
from federation.peer import single
from gateway.codec.frames import MAX_FRAME, parse
from gateway.core import telemetry
from gateway.core.errors import Damaged, Diverged, Trimmed
from gateway.core.frame import FORMAT, HASH_SIZE, LATEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from federation.interest import Interest, Interests
    from federation.peer import Peer, RemoteRead
    from gateway.core.clock import Clock
    from gateway.core.frame import Batch, Frame
    from gateway.core.records import Row, Store

log = logging.getLogger(__name__)

WINDOW = 16 * 1024 * 1024
"""Bytes of frames that may be on the way here unacknowledged; also about what a link holds in memory."""
TOGETHER = 4 * 1024 * 1024
"""Bytes of frames that go into one append."""
LAZY = 1.0
"""Seconds between saves of a position that moved over nothing wanted."""
OVERLAP = 60.0
"""Seconds of events that are read again after a log diverged: the error we allow its clock."""
_SPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?").fullmatch


class Followed(msgspec.Struct, frozen=True, array_like=True):
    """A link's position. Order is the stored format."""

    offset: int
    """In the origin log: everything up to here is in ours, or was not wanted."""
    hash: bytes = b""
    accepted: float = 0.0
    """When the newest event up to there was accepted at the origin."""
    term: int = 0
    """The position counts only within the term it was written in."""
    interest: int = 0
    """Version of the interest that held at this position."""
    closed: bool = False
    """The log is gone: its node came back with a new one."""
    since: float | None = None
    """Set while the offset means nothing, because the log diverged: go on by time."""


class Appender(Protocol):
    """`append` of our log."""

    async def __call__(
        self,
        items: Sequence[Batch | Frame],
        *,
        positions: Mapping[str, tuple[bytes | None, bytes | None]] | None = ...,
        rows: Sequence[Row] = ...,
    ) -> int:
        """See `EventLog.append`."""
        ...


class _Received(NamedTuple):
    frames: list[Frame]
    size: int
    position: Followed


class Link:
    """One origin log, followed over whatever peer it is run with."""

    def __init__(
        self,
        log_id: str,
        *,
        append: Appender,
        store: Store,
        interests: Interests,
        clock: Clock,
        term: int = 0,
        window: int = WINDOW,
        from_beginning: bool = False,
    ) -> None:
        """`from_beginning`: without a position begin at the first record, whatever the interest says."""
        self.log_id = log_id
        self.region = log_id.partition("/")[0]
        self.name = f"link/{log_id}"
        self.holds: dict[int, int] = {}
        """Interest version → the offset after which it holds, as the origin said."""
        self.problem: str | None = None
        """Why the last stream ended; None while it is open."""
        self.events = self.bytes = 0
        """Appended since this object was made."""
        self.position: Followed | None = None
        """The last committed position; None before the first."""
        self._append, self._store, self._interests, self._clock = append, store, interests, clock
        self._term, self._window, self._from_beginning = term, window, from_beginning
        self._metrics = _Metrics(self.region)
        self._reset()

    def _reset(self) -> None:
        self._expected = self._store.position(self.name)
        self.position = None if self._expected is None else decode_position(self._expected)
        self._received: deque[_Received] = deque()
        self._held = 0
        self._looked = self.position or Followed(0)
        self._version = 0
        self._acknowledge: Followed | None = None
        self._saved_at = self._clock.monotonic()
        self._arrived, self._drained, self._to_tell = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def run(self, peer: Peer) -> None:
        """Follow over this peer until cancelled or something is wrong. Cancelling loses and repeats nothing.

        Returns when the position was changed because of a gap or a restored
        snapshot (reported), or nothing is wanted: run again.

        :raises Unavailable: the stream ended, or the local log is full.
        :raises Damaged: the peer sent what is not a frame of that log, or not in order.
        :raises Moved: somebody else follows the same log into ours; run again.
        """
        self._reset()
        interest = self._interests.of(self.region)
        if interest is None:
            return
        try:
            await self._follow(peer, interest)
        except ExceptionGroup as problems:
            problem = single(problems)
            self.problem = f"{type(problem).__name__}: {problem}"
            if isinstance(problem, Trimmed):
                await self._skip_to(problem.first)
            elif isinstance(problem, Diverged):
                await self._go_back(problem, peer)
            else:
                raise problem from None
        finally:
            self._metrics.up.set(0)
            self._metrics.lag.set(math.nan)  # nobody knows what the origin takes in meanwhile

    async def _follow(self, peer: Peer, interest: Interest) -> None:
        self._version = interest.version
        async with peer.read(self._start(peer, interest)) as stream, asyncio.TaskGroup() as tasks:
            self.problem = None
            self._metrics.up.set(1)
            tasks.create_task(self._receive(stream, peer), name=f"receive {self.log_id}")
            tasks.create_task(self._commit(), name=f"append {self.log_id}")
            tasks.create_task(self._tell(stream), name=f"tell {self.log_id}")
            tasks.create_task(self._watch_interest(), name=f"interest {self.log_id}")
            tasks.create_task(self._remind(), name=f"remind {self.log_id}")

    def _start(self, peer: Peer, interest: Interest) -> wire.Start:
        start = wire.Start(
            log_id=self.log_id,
            region=peer.region,
            node=peer.node,
            term=self._term,
            interest=wire.Interest(version=interest.version, expression=interest.expression),
            window=self._window,
            frame_format=FORMAT,
        )
        if self._is_placed:
            start.position.offset, start.position.hash = self._looked.offset, self._looked.hash
        elif self._looked.since is not None:
            start.since = self._looked.since
        elif interest.since is not None and not self._from_beginning:
            start.since = interest.since
        return start

    @property
    def _is_placed(self) -> bool:
        return self.position is not None and self.position.since is None

    async def _receive(self, stream: RemoteRead, peer: Peer) -> None:
        begun = False
        while True:
            try:
                message = await stream.next()
            except Trimmed as problem:
                await self._held_at_most(0)  # what came before the gap is not part of it
                if problem.first <= self._looked.offset + 1:
                    raise Damaged(
                        f"{self.log_id}: trimmed to {problem.first}, read up to {self._looked.offset}"
                    ) from None
                raise
            match message:
                case wire.Page() if begun:
                    self._take(message)
                    peer.ends[self.log_id] = message.end
                case wire.Begun() if not begun:
                    self._begin(message)
                    begun = True
                    at = self._looked.offset
                    self._metrics.lag.set(max(0, peer.ends.get(self.log_id, at) - at))
                case wire.InterestHolds():
                    self._hold(message)
                case _:
                    raise Damaged(f"{self.log_id}: {peer.address} sends pages and beginnings in the wrong order")
            await self._held_at_most(2 * self._window)  # if it ignores the window: let it wait in the kernel

    async def _held_at_most(self, size: int) -> None:
        while self._held > size:
            self._drained.clear()
            await self._drained.wait()

    def _begin(self, begun: wire.Begun) -> None:
        if not self._is_placed:
            self._looked = msgspec.structs.replace(self._looked, offset=begun.after, hash=b"", since=None)
            self._received.append(_Received([], 0, self._looked))
            self._arrived.set()
        elif begun.after != self._looked.offset:
            raise Damaged(f"{self.log_id}: begun after {begun.after} instead of {self._looked.offset}")

    def _take(self, page: wire.Page) -> None:
        try:
            _check_place(page)
            frames = [self._checked(data) for data in page.frames]
            _check_order(self._looked.offset, frames, page.upto.offset)
        except Damaged as problem:
            self._metrics.refused.inc()
            raise Damaged(f"{self.log_id}: refused what a peer sent: {problem}") from problem
        accepted = max(self._looked.accepted, page.accepted, *(frame.header.newest for frame in frames))
        self._looked = Followed(page.upto.offset, page.upto.hash, accepted, self._term, self._version)
        size = sum(len(frame.data) for frame in frames)
        if not frames and self._received:
            self._received[-1] = self._received[-1]._replace(position=self._looked)
        else:
            self._received.append(_Received(frames, size, self._looked))
        self._held += size
        self._metrics.bytes.inc(size)
        self._metrics.lag.set(max(0, page.end - page.upto.offset))
        for gap in page.gaps:
            self._report_gap("events of another region are damaged there and cannot be read", gap.first, gap.last)
        self._arrived.set()

    def _checked(self, data: bytes) -> Frame:
        if len(data) > MAX_FRAME:
            raise Damaged(f"a frame of {len(data)} bytes")
        frame = parse(data)
        if frame.header.origin != self.log_id:
            raise Damaged(f"a frame of {frame.header.origin!r}")
        if not _SPACE(frame.header.space):
            raise Damaged("the name of its space is not one")
        return frame

    def _hold(self, message: wire.InterestHolds) -> None:
        if not 0 < message.version <= self._version:
            raise Damaged(f"{self.log_id}: version {message.version} of an interest holds that was never told")
        self.holds[message.version] = message.after
        if message.uncompiled:
            log.warning(
                "the origin cannot compile our interest, it sends everything",
                extra={"log_id": self.log_id, "reason": message.uncompiled},
            )

    async def _commit(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._received and self._is_due:
                frames, size, position = self._gather()
                await self._save(frames, position)
                count = sum(frame.count for frame in frames)
                self._held -= size
                self.events, self.bytes = self.events + count, self.bytes + size
                self._metrics.events.inc(count)
                self._drained.set()
                self._acknowledge = position
                self._to_tell.set()

    @property
    def _is_due(self) -> bool:
        """False while nothing waits but a position, and the last save was a moment ago."""
        return bool(self._held) or not self._is_placed or self._clock.monotonic() - self._saved_at >= LAZY

    def _gather(self) -> _Received:
        """Everything that waits, up to what goes into one append."""
        frames, size, position = self._received.popleft()
        together = list(frames)
        while self._received and size + self._received[0].size <= TOGETHER:
            more = self._received.popleft()
            together += more.frames
            size += more.size
            position = more.position
        return _Received(together, size, position)

    async def _save(self, frames: Sequence[Frame], position: Followed) -> None:
        new = msgspec.msgpack.encode(position)
        moved = {self.name: (self._expected, new)}
        if frames:
            await self._append(frames, positions=moved)
        else:
            await self._store.write((), positions=moved)
        self._expected, self.position, self._saved_at = new, position, self._clock.monotonic()

    async def _remind(self) -> None:
        """Have a position saved that moved over nothing wanted."""
        while True:
            await self._clock.sleep(LAZY)
            if self._received:
                self._arrived.set()

    async def _tell(self, stream: RemoteRead) -> None:
        told = self._version
        while True:
            await self._to_tell.wait()
            self._to_tell.clear()
            if (durable := self._acknowledge) is not None:
                self._acknowledge = None
                place = wire.Place(offset=durable.offset, hash=durable.hash)
                await stream.tell(wire.FromReader(ack=wire.Ack(durable=place)))
            interest = self._interests.of(self.region)
            if interest is not None and interest.version != told:
                told = self._version = interest.version
                changed = wire.Interest(version=interest.version, expression=interest.expression)
                await stream.tell(wire.FromReader(interest=changed))

    async def _watch_interest(self) -> None:
        while True:
            await self._interests.changed()
            self._to_tell.set()

    async def _skip_to(self, first: int) -> None:
        """The origin trimmed what we had not read: say how much is gone, and go on behind the gap."""
        position = self.position or Followed(0)
        self._report_gap("events of another region were trimmed before they were read", position.offset + 1, first - 1)
        await self._save((), msgspec.structs.replace(position, offset=first - 1, hash=b""))

    def _report_gap(self, what: str, first: int, last: int) -> None:
        """Count and log; offsets of events that were not wanted are among them, so it is the most that was lost."""
        self._metrics.gap.inc(max(0, last + 1 - first))
        log.error(what, extra={"log_id": self.log_id, "first": first, "last": last})

    async def _go_back(self, problem: Diverged, peer: Peer) -> None:
        """The origin's log is a restored snapshot: read again by time.

        What it accepted before the snapshot and after it went on was either
        read by us (we were beyond the fork) or is newer than the restore. So
        everything accepted since our last event, and a minute before, is read
        again: nothing is lost unless its clock went back further, and what
        repeats are at most the events of that minute, with the same source and id.
        """
        position = self.position or Followed(0)
        log.error(
            "another region's log is not the one we followed: a restored snapshot? reading again by time",
            extra={"log_id": self.log_id, "peer": peer.address, "reason": str(problem), "offset": position.offset},
        )
        await self._save((), msgspec.structs.replace(position, since=max(0.0, position.accepted - OVERLAP)))


def _check_place(page: wire.Page) -> None:
    if len(page.upto.hash) not in (0, HASH_SIZE // 2) or not page.accepted <= LATEST:  # kept, and sent with each start
        raise Damaged(f"a place with a hash of {len(page.upto.hash)} bytes, accepted at {page.accepted}")


def _check_order(at: int, frames: Sequence[Frame], upto: int) -> None:
    for frame in frames:
        if frame.header.first <= at:
            raise Damaged(f"offset {frame.header.first} after {at}")
        at = frame.header.last
    if upto < at:
        raise Damaged(f"page up to {upto} with events up to {at}")


class _Metrics:
    """The metrics of one link, bound once."""

    def __init__(self, region: str) -> None:
        self.up = telemetry.link_up.labels(region)
        self.lag = telemetry.link_lag_events.labels(region)
        self.events = telemetry.link_events.labels(region)
        self.bytes = telemetry.link_bytes.labels(region)
        self.gap = telemetry.log_gap_events.labels(f"link/{region}")
        self.refused = telemetry.link_refused_frames.labels(region)


def decode_position(value: bytes) -> Followed:
    """The position in those bytes."""
    return msgspec.msgpack.decode(value, type=Followed)
