"""Loop 2: log → filter, transforms → sink; then a cursor moves.

    log ─read─▶ prepare ─▶ lanes ─▶ sink ──arrived──▶ settle ─┐
                             │ failed                         ├─▶ cursor, saved once a second
                             └─▶ waiting ─retry─▶ sink ───────┤
                                    └─ Rejected, give_up ─▶ bury ─▶ settle

At least once: an event is settled after the sink returned, or after its dead
letter is durable. Killed at any moment, what repeats is what was being sent
and what was settled since the last save.

Order rule: the events of one `order_by` value are given to the sink in the
order of the log, never two batches of one value at a time. A batch may hold
several; where a sink reports that one of them failed and a later one arrived
(PartialFailure), the later one is settled and the failed one is repeated.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict, dataclass
from random import Random
from typing import TYPE_CHECKING

from gateway.core import telemetry
from gateway.core.errors import Gone, IsthmusError, Moved, Rejected
from gateway.flow.bell import Bell
from gateway.flow.burial import Burial
from gateway.flow.intake import Intake
from gateway.flow.lanes import Lanes
from gateway.flow.parcel import Packer
from gateway.flow.progress import Progress
from gateway.flow.sending import Sending, Slot
from gateway.flow.subscription import Limits, Subscription
from gateway.flow.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.clock import Clock
    from gateway.core.contracts import Sink
    from gateway.core.records import EventLog, Store
    from gateway.flow.dead_letters import DeadLetters
    from gateway.flow.destination import Destination
    from gateway.flow.lookout import Lookout
    from gateway.flow.parcel import Parcel

log = logging.getLogger(__name__)

WHOLE = 3
"""So often a batch is repeated as a whole before its events are tried one by one."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a subscription is doing."""

    name: str
    state: str
    """`running`, `paused` (by configuration), `disabled` (its destination is gone), `blocked` (the waiting log is
    full) or `stopped`."""
    position: int
    lag: int
    """Offsets between the end of the log and the position."""
    open: int
    """Events read and not settled."""
    waiting: int
    """Events of stuck keys."""
    destination: str
    """`up`, `down`, `unauthorized` or `pausing`."""
    last_error: str | None


class Delivery:
    """Delivers one subscription's events to its sink."""

    def __init__(
        self,
        subscription: Subscription,
        log: EventLog,
        store: Store,
        sink: Sink,
        destination: Destination,
        dead_letters: DeadLetters,
        lookout: Lookout,
        clock: Clock,
        *,
        limits: Limits | None = None,
        random: Random | None = None,
    ) -> None:
        self.subscription = subscription
        self._log = log
        self._store = store
        self._sink = sink
        self._destination = destination
        self._dead_letters = dead_letters
        self._lookout = lookout
        self._clock = clock
        self._limits = limits or Limits()
        self._random = random or Random()  # noqa: S311 - jitter
        self._packer = Packer(subscription)
        self._progress = Progress(subscription, log, store)
        self._running = False
        self._enabled = asyncio.Event()
        self._saver = Bell(clock)
        self._quiet = Bell(clock)
        self._burial = Burial(subscription.name, dead_letters, self._progress, clock)
        self._begin()
        name = subscription.name
        self._delivered = telemetry.delivered_events.labels(name)
        self._lag = telemetry.lag_events.labels(name)
        self._waits = telemetry.waiting_events.labels(name)
        dead_letters.on_resend(name, self._take_resent)

    def _begin(self) -> None:
        """Forget everything that is not durable."""
        subscription = self.subscription
        limit = min(self._sink.max_batch, subscription.batch or self._sink.max_batch)
        self._lanes = Lanes(subscription.lanes, limit, ordered=subscription.order_by is not None)
        self._waiting = Waiting(
            subscription.name,
            store=self._store,
            packer=self._packer,
            clock=self._clock,
            limits=self._limits,
            settle=lambda offset: self._progress.cursor.settle(offset),  # noqa: PLW0108  `open` makes a new cursor
            uptime=self._destination.uptime,
        )
        self._sending = Sending(
            subscription.name,
            self._sink,
            self._destination,
            self._clock,
            arrived=self._arrived,
            rejected=self._refused,
            gone=self._disable,
        )
        self._slots: list[Slot] = []
        self._resent = False
        self._intake = Intake(
            subscription,
            self._log,
            progress=self._progress,
            packer=self._packer,
            lanes=self._lanes,
            waiting=self._waiting,
            burial=self._burial,
            lookout=self._lookout,
            saver=self._saver,
            limits=self._limits,
            clock=self._clock,
            uptime=self._destination.uptime,
        )

    @property
    def lag(self) -> int:
        """Offsets between the end of the log and the position."""
        self._intake.look()
        return max(0, self._log.end - self._progress.position)

    @property
    def status(self) -> Status:
        """How it is doing now."""
        self._intake.look()
        return Status(
            self.subscription.name,
            self._state(),
            self._progress.position,
            self.lag,
            self._progress.cursor.open,
            self._waiting.events,
            self._destination.state,
            self._sending.last_error,
        )

    def _state(self) -> str:
        if self.subscription.paused:
            return "paused"
        if self._progress.disabled() is not None:
            return "disabled"
        if not self._running:
            return "stopped"
        return "blocked" if self._intake.is_blocked else "running"

    def describe(self) -> dict[str, object]:
        """The status as plain values."""
        return asdict(self.status)

    def lowest_needed(self) -> int:
        """The lowest offset that a restart would read: trimming must not pass it."""
        return self._progress.saved_position() + 1

    async def resume(self) -> None:
        """Deliver again after the destination was gone, and try held keys now; an operator says so."""
        await self._progress.enable()
        self._enabled.set()
        self._waiting.wake()
        log.info("subscription resumed", extra={"subscription": self.subscription.name})

    async def drain(self, seconds: float) -> None:
        """Begin no new send, and wait at most so long for those under way; then cancel `run`."""
        self._enabled.clear()
        until = self._clock.monotonic() + seconds
        while any(slot.since is not None for slot in self._slots) and self._clock.monotonic() < until:
            await self._quiet.wait(until - self._clock.monotonic())

    async def run(self) -> None:
        """Deliver until cancelled; then save the cursor once more.

        Cancelled at any await, nothing is lost: what was not settled is read
        again by the next run.

        :raises Moved: another process delivers this subscription too.
        """
        self._begin()
        if (was := self._progress.inherits) is not None:
            await self._dead_letters.take_over(was, self.subscription.name)
        await self._progress.open()
        await self._waiting.load()
        if self._progress.disabled() is None:
            self._enabled.set()
        else:
            self._enabled.clear()
        self._running = True
        try:
            async with asyncio.TaskGroup() as tasks:
                self._start(tasks)
        finally:
            self._running = False
            await self._save(failed=False)

    def _start(self, tasks: asyncio.TaskGroup) -> None:
        name = self.subscription.name
        tasks.create_task(self._keep(), name=f"keep {name}")
        if self.subscription.paused:
            return
        tasks.create_task(self._intake.run(), name=f"read {name}")
        for lane in range(self.subscription.lanes):
            tasks.create_task(self._serve(lane, self._slot()), name=f"lane {lane} of {name}")
        for retry in range(max(1, self.subscription.lanes // 2)):
            tasks.create_task(self._repeat(self._slot()), name=f"retry {retry} of {name}")

    def _slot(self) -> Slot:
        self._slots.append(Slot())
        return self._slots[-1]

    async def _permit(self, *, again: bool = False) -> bool:
        while True:
            await self._enabled.wait()
            probe = await self._destination.permit(again=again)
            if self._enabled.is_set():
                return probe
            if probe:
                self._destination.abandon()

    async def _serve(self, lane: int, slot: Slot) -> None:
        while True:
            batch = await self._lanes.take(lane)
            self._intake.room.set()
            await self._deliver(slot, batch)

    async def _deliver(self, slot: Slot, batch: list[Parcel]) -> None:
        """Send a batch until each of its events is settled, or held apart from this lane."""
        began, tries = self._clock.monotonic(), 0
        while True:
            if not self._waiting.is_empty:
                batch = [parcel for parcel in batch if not self._waiting.divert(parcel)]
            if not batch:
                return
            probe = await self._permit()
            part = batch[:1] if probe else batch
            left = await self._sending.attempt(slot, part, probe=probe)
            self._quiet.ring()
            if not left and part is batch:
                return
            tries += 1
            stuck = self._stuck(part, left, tries, began, probe=probe)
            for parcel in left if stuck else ():
                self._waiting.hold(parcel, self._pause(parcel))
            gone = set(part) if stuck else set(part).difference(left)
            batch = [parcel for parcel in batch if parcel not in gone]
            if left and not stuck and not self._is_closed and self._destination.state == "up":
                await self._clock.sleep(self.subscription.retry.pause(tries + 1, self._random))

    def _stuck(self, part: Sequence[Parcel], left: Sequence[Parcel], tries: int, began: float, *, probe: bool) -> bool:
        """Whether these events go apart: it is their fault, or another one is to be the next probe."""
        if not left:
            return False
        if probe:
            return self._enabled.is_set() and self._destination.state != "unauthorized"
        if len(left) < len(part) or any(parcel.doomed for parcel in left):
            return True
        if self._is_closed:
            return False
        return len(part) == 1 or (tries >= WHOLE and self._destination.last_arrival >= began)

    @property
    def _is_closed(self) -> bool:
        """Whether nothing may be sent just now but a probe."""
        return self._destination.is_down or not self._enabled.is_set()

    def _pause(self, parcel: Parcel) -> float:
        return self.subscription.retry.pause(parcel.attempts + 1, self._random)

    async def _repeat(self, slot: Slot) -> None:
        """Try the first event of one stuck key after the other; once one arrived, more of that key at a time."""
        while True:
            held = await self._waiting.due()
            parcels = self._waiting.front(held, self._lanes.limit if held.moves else 1)
            left = await self._again(slot, parcels)
            held.moves = not left
            self._waiting.put_back(held, set(left), self._pause(left[0]) if left else 0.0)
            self._intake.room.set()

    async def _again(self, slot: Slot, parcels: list[Parcel]) -> list[Parcel]:
        if any(parcel.doomed for parcel in parcels):
            kept = set(await self._burial.parcels([parcel for parcel in parcels if parcel.doomed]))
            return [parcel for parcel in parcels if parcel in kept or not parcel.doomed]
        while parcels[0].attempts and (seconds := self._destination.retry_in()):
            await self._clock.sleep(seconds)
        probe = await self._permit(again=parcels[0].attempts > 0)
        alone = set(parcels).difference(self._sending.evidence(parcels))
        left = await self._sending.attempt(slot, parcels, probe=probe)
        self._quiet.ring()
        if self.subscription.poison == "block":
            return left
        uptime, limit = self._destination.uptime(), self.subscription.retry.give_up
        over = [parcel for parcel in left if parcel in alone and parcel.failing_for(uptime) >= limit]
        if over:
            for parcel in over:
                parcel.reason = f"gave up after {parcel.attempts} attempts: {parcel.reason}"
            kept = set(await self._burial.parcels(over))
            left = [parcel for parcel in left if parcel in kept or parcel not in over]
        return left

    async def _refused(self, rejected: Sequence[tuple[Parcel, Rejected]]) -> list[Parcel]:
        """What becomes of rejected events; return those that are not settled."""
        for parcel, problem in rejected:
            parcel.attempts += 1
            parcel.first_at = parcel.first_at or self._clock.now()
            parcel.reason = str(problem)
        parcels = [parcel for parcel, _ in rejected]
        return parcels if self.subscription.poison == "block" else await self._burial.parcels(parcels)

    def _arrived(self, parcels: Sequence[Parcel]) -> None:
        self._delivered.inc(len(parcels))
        self._progress.cursor.settle_all([parcel.offset for parcel in parcels if not parcel.sequence])

    async def _disable(self, problem: Gone) -> None:
        if self._enabled.is_set():
            self._enabled.clear()
            log.error(
                "destination is gone: subscription disabled until resumed",
                extra={"subscription": self.subscription.name, "reason": str(problem)},
            )
            await self._progress.disable(str(problem))

    def _take_resent(self) -> None:
        self._resent = True
        self._saver.ring()

    async def _keep(self) -> None:
        """Once a second: cut sends that hang, move what is stuck into the waiting log, save."""
        failed = False
        while True:
            if failed:
                await self._clock.sleep(self._limits.save_every)
            else:
                await self._saver.wait(self._limits.save_every)
            now = self._clock.monotonic()
            for slot in self._slots:
                slot.cut_after(self._limits.deadline, now)
            if self._resent:
                self._resent = False
                self._waiting.adopt()
            self._intake.look()
            self._waiting.move(self._progress.cursor.taken, self._intake.at_most // 4)
            failed = not await self._save(failed=failed)
            self._lag.set(self.lag)
            self._waits.set(self._waiting.events)
            self._intake.room.set()

    async def _save(self, *, failed: bool) -> bool:
        try:
            await self._progress.save(self._waiting)
        except Moved:
            raise
        except IsthmusError as problem:
            if not failed:
                log.error(  # noqa: TRY400 - the trace says nothing
                    "cursor cannot be saved: a restart would repeat more",
                    extra={"subscription": self.subscription.name, "reason": str(problem)},
                )
            return False
        return True
