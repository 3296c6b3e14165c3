"""Loop 1: source and doors → log. Acknowledged after the append is durable, never before.

    door ──publish──┐
                    ├─▶ drop what came back, recent duplicates ─▶ log.append ─▶ return
    source ─accept──┘   (a source's refused events are buried; doors refused theirs)

A duplicate of an event whose commit is still under way waits for that commit,
after the others of its batch were appended, so that they keep their order.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gateway.codec.frames import batch_of, body_of, hash_of, pack
from gateway.codec.validate import validate_all
from gateway.core import telemetry
from gateway.core.errors import InvalidEvent, Moved, Rejected, TooLarge, Unavailable
from gateway.core.frame import HASH_SIZE, MAX_COUNT, MAX_RAW, Batch
from gateway.core.records import Position
from gateway.flow.duplicates import Arrivals, Window, split

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from prometheus_client import Counter

    from gateway.core.clock import Clock
    from gateway.core.event import Event
    from gateway.core.records import EventLog, Store

log = logging.getLogger(__name__)

ORIGIN = "isthorigin"
"""The one extension Isthmus adds: `<origin log id>:<origin offset>`, stamped by delivery."""
_REBUILD_PAGE = 4 * 1024 * 1024


class Bury(Protocol):
    """How a source's refused event becomes a dead letter."""

    def __call__(self, source_name: str, event: Event, reason: str, /) -> Awaitable[None]:
        """Return once the dead letter is durable."""
        ...


class _Commit:
    """An append under way: who is in it, and how it ended."""

    __slots__ = ("done", "who")

    def __init__(self, arrivals: Arrivals) -> None:
        self.who = frozenset(arrivals.who)
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class _Chosen(NamedTuple):
    """What is to be done with the events of one publish."""

    fresh: list[int] | None
    """Indexes of those to append; None: all."""
    arrivals: Arrivals
    """Those."""
    under_way: Sequence[tuple[_Commit, int]] = ()
    """Duplicates of events whose commit is not through yet."""


class Ingest:
    """The one way into a node's log: `publish` for doors, `door` for sources."""

    def __init__(
        self,
        event_log: EventLog,
        store: Store,
        *,
        bury: Bury,
        clock: Clock,
        limit: int,
        decide: Callable[[Batch], Batch] | None = None,
        lasting: float = 600.0,
        at_most: int = 1_000_000,
    ) -> None:
        """`limit` bounds one event in bytes; `lasting` seconds and `at_most` events bound the duplicate window.

        `decide` says, while the events are fresh in the cache, who here wants which, and whether to keep them.
        """
        self._log = event_log
        self.store = store
        self.bury = bury
        self.limit = limit
        self._clock = clock
        self._decide = decide
        self._lasting = lasting
        self._at_most = at_most
        self._region = event_log.log_id.partition("/")[0] + "/"
        self._windows: dict[str, Window] = {}
        self._under_way: set[_Commit] = set()
        self._accepted: dict[str, Counter] = {}

    async def rebuild(self) -> int:
        """Fill the duplicate windows from the end of the log; return how many events were remembered."""
        begin = self._clock.now() - self._lasting
        after = self._log.seek(begin)
        count = 0
        while after < self._log.end:
            page = await self._log.read(after=Position(self._log.log_id, after), limit=_REBUILD_PAGE)
            for stored in page.frames:
                header = stored.frame.header
                if header.origin == self._log.log_id:
                    age = max(0.0, self._clock.now() - header.newest)
                    self._window(header.space).add(split(stored.frame.hashes), self._clock.monotonic() - age)
                    count += stored.frame.count
            after = page.upto
        return count

    def _window(self, space: str) -> Window:
        window = self._windows.get(space)
        if window is None:
            window = self._windows[space] = Window(lasting=self._lasting, at_most=self._at_most)
        return window

    async def publish(
        self,
        principal: str,
        space: str,
        events: Sequence[Event],
        *,
        packed: bytes | None = None,
        via: str,
        positions: Mapping[str, tuple[bytes | None, bytes | None]] | None = None,
    ) -> None:
        """Return once every one of these validated events is durable, now or as a recent duplicate.

        `packed` is the msgpack array of exactly these events, where the door
        has it. `positions` move in the same transaction.

        :raises Unavailable: nothing new was acknowledged; try again.
        :raises Moved: a position was not as expected; nothing was appended.
        """
        del principal  # who may publish what comes with authentication
        hashes = b"".join(map(hash_of, events))
        chosen = self._choose(space, events, split(hashes), via)
        late = [(commit, events[index]) for commit, index in chosen.under_way]
        early = None if late else positions  # a position stands for durable events only
        if chosen.arrivals.who or early:
            batches = self._batches(space, events, chosen, packed)
            del events  # where nobody reads them their memory serves the next ones, while it is in the cache
            await self._append(space, batches, chosen.arrivals, early)
            self._accepted_via(via).inc(len(chosen.arrivals.who))
        for commit, event in late:
            if not await asyncio.shield(commit.done):  # the other one failed: now it is ours to append
                await self.publish("", space, [event], via=via)
        if late and positions:
            await self._log.append([], positions=positions)

    def _accepted_via(self, via: str) -> Counter:
        counter = self._accepted.get(via)
        if counter is None:
            counter = self._accepted[via] = telemetry.accepted_events.labels(via)
        return counter

    def _choose(self, space: str, events: Sequence[Event], arrivals: Arrivals, via: str) -> _Chosen:
        """Look at the window once, without an await, so that nobody else looks before we add to it."""
        who = arrivals.who
        window = self._window(space)
        window.expire(self._clock.monotonic())
        seen = window.look(who)
        back = [index for index, event in enumerate(events) if ORIGIN in event.extensions]
        if not back and seen.count(None) == len(who) == len(set(who)):
            return _Chosen(None, arrivals)
        returned = {index for index in back if self._came_back(events[index])}
        return self._sort_out(arrivals, seen, returned, via)

    def _sort_out(self, arrivals: Arrivals, known: list[int | None], returned: set[int], via: str) -> _Chosen:
        keep: list[int] = []
        mine: dict[int, int] = {}
        under_way: list[tuple[_Commit, int]] = []
        duplicates = conflicts = 0
        for index, (who, what, before) in enumerate(zip(arrivals.who, arrivals.what, known, strict=True)):
            if index in returned:
                continue
            seen = mine.get(who, before)
            if seen == what:
                duplicates += 1
                if who not in mine and (commit := self._commit_of(who)):
                    under_way.append((commit, index))
                continue
            conflicts += seen is not None
            mine[who] = what
            keep.append(index)
        telemetry.duplicate_events.labels(via).inc(duplicates)
        telemetry.conflicting_events.labels(via).inc(conflicts)
        telemetry.returned_events.labels(via).inc(len(returned))
        if len(keep) == len(arrivals.who):
            return _Chosen(None, arrivals, under_way)
        hashes = arrivals.hashes
        kept = b"".join([hashes[index * HASH_SIZE : (index + 1) * HASH_SIZE] for index in keep])
        return _Chosen(keep, split(kept), under_way)

    def _came_back(self, event: Event) -> bool:
        origin = event.extensions.get(ORIGIN)
        return isinstance(origin, str) and origin.startswith(self._region)

    def _commit_of(self, who: int) -> _Commit | None:
        for commit in self._under_way:
            if who in commit.who:
                return commit
        return None

    def _batches(self, space: str, events: Sequence[Event], chosen: _Chosen, packed: bytes | None) -> list[Batch]:
        if chosen.fresh is not None:
            events, packed = [events[index] for index in chosen.fresh], None
        hashes = chosen.arrivals.hashes
        if packed is not None and len(events) <= MAX_COUNT and len(packed) <= MAX_RAW:
            batches = [batch_of(space, events, body_of(packed, len(events)), hashes)]
        else:
            batches = pack(space, events, hashes)
        return batches if self._decide is None else list(map(self._decide, batches))

    async def _append(
        self,
        space: str,
        batches: list[Batch],
        arrivals: Arrivals,
        positions: Mapping[str, tuple[bytes | None, bytes | None]] | None,
    ) -> None:
        if not (self._at_most and self._lasting):
            await self._log.append(batches, positions=positions)
            return
        window = self._window(space)
        window.add(arrivals, self._clock.monotonic())
        commit = _Commit(arrivals)
        self._under_way.add(commit)
        durable = False
        try:
            await self._log.append(batches, positions=positions)
            durable = True
        finally:
            # Cancelled or failed: forget them, so that a repeat is appended (at least once).
            self._under_way.discard(commit)
            commit.done.set_result(durable)
            if not durable:
                window.remove(arrivals)

    def door(self, source: str, space: str) -> SourceDoor:
        """The door of the source of that name."""
        return SourceDoor(self, source, space)


class SourceDoor:
    """What one source hands its events to; see `gateway.core.contracts.Door`."""

    def __init__(self, ingest: Ingest, source: str, space: str) -> None:
        self._ingest = ingest
        self._source = source
        self._space = space
        self._name = f"source/{source}"

    def position(self) -> str | None:
        """The last `at` that became durable; None if there never was one."""
        stored = self._ingest.store.position(self._name)
        return None if stored is None else stored.decode()

    async def accept(self, events: Sequence[Event], *, at: str | None = None) -> None:
        """Return once every event is durable, or buried as a dead letter of this source."""
        good = await self._good(events)
        positions = None
        if at is not None:
            positions = {self._name: (self._ingest.store.position(self._name), at.encode())}
        try:
            await self._ingest.publish(
                f"source:{self._source}", self._space, good, via=self._source, positions=positions
            )
        except Moved as problem:
            if self.position() != at:  # else an append that was cancelled went through after all
                raise Unavailable(f"position of source {self._source} was moved by somebody else") from problem

    async def _good(self, events: Sequence[Event]) -> Sequence[Event]:
        try:
            validate_all(events, limit=self._ingest.limit)
        except (InvalidEvent, TooLarge):
            return [event for event in events if await self._is_good(event)]
        return events

    async def _is_good(self, event: Event) -> bool:
        try:
            validate_all((event,), limit=self._ingest.limit)
        except Rejected as problem:
            reason = problem.reason if isinstance(problem, InvalidEvent) else str(problem)
            await self._ingest.bury(self._source, event, reason)
            telemetry.refused_events.labels(self._source).inc()
            return False
        return True
