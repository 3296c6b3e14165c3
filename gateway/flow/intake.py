"""Intake: the first half of delivery: log → filter, transforms → lanes.

Bounded: it reads on only while some lane has less than its next batch and
memory has room. So a slow sink is read for slowly, and nobody else notices.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING

from gateway.codec.frames import open_frame
from gateway.core import telemetry
from gateway.core.errors import Damaged, Diverged, Rejected, Trimmed
from gateway.core.records import Position
from gateway.flow.subscription import SKEW

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.core.clock import Clock
    from gateway.core.event import Event
    from gateway.core.frame import Frame
    from gateway.core.records import EventLog, Page, Stored
    from gateway.flow.bell import Bell
    from gateway.flow.burial import Burial
    from gateway.flow.lanes import Lanes
    from gateway.flow.lookout import Lookout
    from gateway.flow.parcel import Packer, Parcel
    from gateway.flow.progress import Progress
    from gateway.flow.subscription import Limits, Subscription, Wanted
    from gateway.flow.waiting import Waiting

log = logging.getLogger(__name__)


FEW = 16
"""Events of a frame whose places at the origin are looked up one by one."""

_index = itemgetter(0)


class Intake:
    """Reads for one subscription."""

    def __init__(
        self,
        subscription: Subscription,
        event_log: EventLog,
        *,
        progress: Progress,
        packer: Packer,
        lanes: Lanes,
        waiting: Waiting,
        burial: Burial,
        lookout: Lookout,
        saver: Bell,
        limits: Limits,
        clock: Clock,
        uptime: Callable[[], float],
    ) -> None:
        self.room = asyncio.Event()
        """Set by whoever made room: a lane that took, a save, a settled event."""
        self.at_most = limits.in_memory
        """Events that may be in memory, by the size of those read last."""
        self.is_blocked = False
        """Whether it stands because the waiting log is full."""
        self._subscription = subscription
        self._log = event_log
        self._progress = progress
        self._packer = packer
        self._lanes = lanes
        self._waiting = waiting
        self._burial = burial
        self._lookout = lookout
        self._saver = saver
        self._limits = limits
        self._clock = clock
        self._uptime = uptime
        self._filtered = telemetry.filtered_events.labels(subscription.name)
        self._after = Position(event_log.log_id, 0)
        """Where the next read goes on; while it waits with the others, `Lookout` moves it."""
        self._passed = 0
        """Events that were passed over and not counted yet."""

    async def run(self) -> None:
        """Read until cancelled.

        :raises Diverged: the log changed under a running delivery.
        """
        cursor = self._progress.cursor
        self._after = Position(self._log.log_id, cursor.position, cursor.hash)
        while True:
            await self._wanted()
            after = self._after
            try:
                page = await self._log.read(after=after, limit=self._limits.page)
            except Trimmed as gap:
                self._after = self._progress.skip(after.offset, gap.first - 1)
            except Diverged as problem:
                if self._progress.has_looked:
                    raise
                self._after = self._progress.start_over(problem)
            else:
                self._after = await self._take_in(page, after.offset)

    async def _wanted(self) -> None:
        """Wait while nothing new is for this subscription, if it may wait with the others.

        It may not before it has read by itself: that checks its cursor against the log.
        """
        await asyncio.sleep(0)  # neither this nor a read need wait, and then nobody else had a turn
        wanted = self._subscription.wanted
        if wanted is None or not self._progress.has_looked:
            return
        try:
            await self._lookout.wait(self._after.offset, partial(self._pass_over, wanted))
        finally:
            self.look()

    def _pass_over(self, wanted: Wanted, page: Page, end: Position) -> bool:
        """Go on behind a page if nothing on it is for this subscription; see `Lookout`."""
        after, passed = self._after.offset, 0
        for stored in page.frames:
            if stored.last <= after or not self._is_from_here(stored):
                continue
            try:
                if wanted(stored):
                    return False
            except Damaged:
                return False
            passed += stored.frame.count
        if end.offset > after:
            self._after = end
            self._passed += passed
        return True

    def look(self) -> None:
        """Have the cursor know what was passed over since it last looked."""
        if self._after.offset > self._progress.cursor.taken:
            self._progress.passed(self._after)
        if self._passed:
            self._filtered.inc(self._passed)
            self._passed = 0

    def _is_from_here(self, stored: Stored) -> bool:
        return stored.frame.header.origin.partition("/")[0] in self._subscription.regions

    async def _take_in(self, page: Page, after: int) -> Position:
        for stored in page.frames:
            await self._space()
            if self._is_from_here(stored):
                try:
                    self._open(stored, after)
                except Damaged as problem:
                    while not await self._burial.frame(stored, str(problem)):
                        await self._clock.sleep(self._subscription.retry.longest)
                    self._progress.leave_out(stored)
            else:
                self._progress.leave_out(stored)
            self._progress.looked(stored)
        for first, last in page.gaps:
            if last > after:
                self._progress.miss(max(first, after + 1), last)
        self._progress.cursor.look(page.upto)
        return page.end_of(self._log.log_id)

    async def _space(self) -> None:
        """Wait until more may be in memory."""
        while True:
            waiting = self._waiting
            held = self._lanes.queued + waiting.in_memory + waiting.unsaved
            if self._lanes.is_hungry and held < self.at_most and not self._block():
                return
            self.room.clear()
            if max(waiting.in_memory, waiting.unsaved) > self.at_most // 4:
                self._saver.ring()
            await self.room.wait()

    def _block(self) -> bool:
        full = self._waiting.is_full
        if full and not self.is_blocked:
            log.error("waiting log is full: nothing more is taken", extra={"subscription": self._subscription.name})
        self.is_blocked = full
        return full

    def _open(self, stored: Stored, after: int) -> None:
        """Queue what the events of a frame become.

        :raises Damaged: it cannot be opened; nothing was queued.
        """
        chosen = self._chosen(stored, after)
        if not chosen:
            return
        frame = stored.frame
        by_size = self._limits.in_memory_bytes * frame.count // frame.header.raw
        self.at_most = max(1, min(self._limits.in_memory, by_size))
        origin = frame.header.origin
        origins = frame.origin_offsets() if len(chosen) > FEW else None
        cursor, prepare, pack, left_out = self._progress.cursor, self._subscription.prepare, self._packer.pack, 0
        for index, event in chosen:
            offset = stored.first + index
            if offset <= cursor.restored and not cursor.wants(offset):
                continue
            origin_offset = frame.origin_offset_at(index) if origins is None else origins[index]
            try:
                made = prepare(event)
            except Rejected as problem:
                cursor.take(offset)
                self._doom(pack(event, offset, origin, origin_offset), str(problem))
                continue
            if not made:
                left_out += 1
                cursor.settle(offset)  # it may have been open before a restart
                continue
            cursor.take(offset, len(made))
            for each in made:
                self._queue(pack(each, offset, origin, origin_offset))
        self._filtered.inc(left_out)
        self._lanes.wake()

    def _chosen(self, stored: Stored, after: int) -> Sequence[tuple[int, Event]]:
        """The events of a frame that are wanted, from behind the offset `after` on; the others are settled."""
        wanted, frame, cursor = self._subscription.wanted, stored.frame, self._progress.cursor
        chosen = _everything(stored) if wanted is None else wanted(stored)
        start = max(0, after + 1 - stored.first)
        if first := max(start, self._too_old(frame)):
            chosen = chosen[bisect_left(chosen, first, key=_index) :]
        if filtered := frame.count - start - len(chosen):
            self._filtered.inc(filtered)
            if stored.first + start <= cursor.restored:  # some may have been open before a restart
                for index in set(range(start, frame.count)).difference(map(_index, chosen)):
                    cursor.settle(stored.first + index)
        return chosen

    def _queue(self, parcel: Parcel) -> None:
        """Give it to the lanes, or where it failed before a restart, to those who try again."""
        failing = self._progress.cursor.failing.get(parcel.offset)
        if failing is None:
            self._lanes.put(parcel)
        else:
            self._waiting.hold(self._packer.carry_on(parcel, failing, self._uptime()), 0.0)

    def _too_old(self, frame: Frame) -> int:
        """How many events at the front of a frame of another log were accepted before the subscription begins."""
        since, header = self._subscription.since, frame.header
        if since is None or header.origin == self._log.log_id or header.oldest >= since - SKEW:
            return 0
        return bisect_left(frame.accepted_times(), since - SKEW)

    def _doom(self, parcel: Parcel, reason: str) -> None:
        """Have it buried as it came in, not sent."""
        parcel.reason, parcel.doomed, parcel.is_raw = reason, True, True
        self._waiting.hold(parcel, 0.0)


def _everything(stored: Stored) -> list[tuple[int, Event]]:
    if stored.opened is None:
        stored.opened = open_frame(stored.frame)
    return list(enumerate(stored.opened))
