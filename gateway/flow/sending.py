"""Sending: one attempt at a sink, and what its outcome means for each event.

Arrived events are settled, Rejected ones buried and settled, the others are
given back to be tried again. Nothing here decides when.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeAlias

from gateway.core import telemetry
from gateway.core.errors import Gone, PartialFailure, Rejected, Unauthorized, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from gateway.core.clock import Clock
    from gateway.core.contracts import Sink
    from gateway.flow.destination import Destination
    from gateway.flow.parcel import Parcel

log = logging.getLogger(__name__)

Failures: TypeAlias = "Mapping[int, Unavailable | Rejected]"


class Slot:
    """One sender: what it is doing, so that a send beyond its deadline can be cut."""

    def __init__(self) -> None:
        self.since: float | None = None
        """Monotonic time at which its send began; None: it is not sending."""
        self.cut = False
        self._task: asyncio.Task[object] | None = None

    def begin(self, now: float) -> None:
        """A send begins in this task."""
        self.since, self.cut, self._task = now, False, asyncio.current_task()

    def end(self) -> bool:
        """The send ended; whether the task may go on, because nobody but `cut_after` cancelled it."""
        self.since = None
        if self._task is None:
            return True
        return (self._task.uncancel() if self.cut else self._task.cancelling()) == 0

    def cut_after(self, deadline: float, now: float) -> None:
        """Cut the send if it takes longer than that. It is inside `Sink.send` then: nothing else is interrupted."""
        if self.since is not None and not self.cut and now - self.since >= deadline and self._task is not None:
            self.cut = True
            self._task.cancel()


class Sending:
    """The attempts of one subscription."""

    def __init__(
        self,
        subscription: str,
        sink: Sink,
        destination: Destination,
        clock: Clock,
        *,
        arrived: Callable[[Sequence[Parcel]], None],
        rejected: Callable[[Sequence[tuple[Parcel, Rejected]]], Awaitable[list[Parcel]]],
        gone: Callable[[Gone], Awaitable[None]],
    ) -> None:
        self.last_error: str | None = None
        """What the last failure said; None after a success."""
        self._name = subscription
        self._sink = sink
        self._destination = destination
        self._clock = clock
        self._arrived = arrived
        self._rejected = rejected
        self._gone = gone
        self._buggy = False
        self._seconds = telemetry.send_seconds.labels(destination.name)
        self._retried = telemetry.retried_events.labels(subscription)

    async def attempt(self, slot: Slot, parcels: Sequence[Parcel], *, probe: bool) -> list[Parcel]:
        """Send once, with a permit; return those to be tried again, in order.

        A batch that is rejected as a whole is split until the bad event is found.
        """
        repeated = parcels[0].attempts > 0
        if repeated:
            self._retried.inc(len(parcels))
        try:
            failures = await self.try_once(slot, parcels)
        except BaseException:
            if probe:
                self._destination.abandon()
            raise
        if not failures:
            self._destination.arrived(len(parcels), repeated=repeated)
            self.last_error = None
            self._arrived(parcels)
            return []
        again = self._judge(parcels, failures, repeated=repeated)
        if len(parcels) > 1 and not again and len(failures) == len(parcels) and _all_one(failures):
            return await self._split(slot, parcels)
        self._arrived([parcel for index, parcel in enumerate(parcels) if index not in failures])
        rejected = [(parcels[i], problem) for i, problem in failures.items() if isinstance(problem, Rejected)]
        for problem in failures.values():
            if isinstance(problem, Gone):
                await self._gone(problem)
                break
        if rejected:
            kept = set(await self._rejected(rejected)) | set(again)
            return [parcel for parcel in parcels if parcel in kept]
        return again

    def _judge(self, parcels: Sequence[Parcel], failures: Failures, *, repeated: bool) -> list[Parcel]:
        """Tell the destination and the events themselves; return those that may work later."""
        again = [(parcels[i], why) for i, why in sorted(failures.items()) if isinstance(why, Unavailable)]
        last = failures[max(failures)]
        self.last_error = str(last)
        if len(again) < len(parcels):
            self._destination.arrived(len(parcels) - len(again), repeated=repeated)
        longest = max((why for _, why in again), key=_weight, default=None)
        if longest is not None and len(again) == len(parcels):
            if isinstance(longest, Gone):
                self._destination.abandon()
            else:
                self._destination.failed([parcel.event.key for parcel in self.evidence(parcels)], longest)
        elif longest is not None and longest.after is not None:
            self._destination.pause(longest.after, longest)
        uptime, now, monotonic = self._destination.uptime(), self._clock.now(), self._clock.monotonic()
        for parcel, why in again:
            parcel.attempts += 1
            parcel.reason = str(why)
            parcel.failed_at = monotonic
            if parcel.failing_since is None:
                parcel.failing_since = uptime
                parcel.first_at = parcel.first_at or now
        return [parcel for parcel, _ in again]

    def evidence(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Those whose failure says something about the destination.

        The others failed before something else arrived: they are at fault
        themselves, and only they are ever given up.
        """
        arrival = self._destination.last_arrival
        return [parcel for parcel in parcels if not parcel.failed_at or parcel.failed_at >= arrival]

    async def _split(self, slot: Slot, parcels: Sequence[Parcel]) -> list[Parcel]:
        middle = len(parcels) // 2
        first, second = parcels[:middle], parcels[middle:]
        again = await self.attempt(slot, first, probe=False)
        stuck = {parcel.key for parcel in again if parcel.key is not None}
        free = [parcel for parcel in second if parcel.key not in stuck]
        again += await self.attempt(slot, free, probe=False) if free else []
        kept = {*again, *(parcel for parcel in second if parcel.key in stuck)}
        return [parcel for parcel in parcels if parcel in kept]

    async def try_once(self, slot: Slot, parcels: Sequence[Parcel]) -> Failures:
        """Call the sink; return what failed: index → why."""
        events = [parcel.outgoing for parcel in parcels]
        began = self._clock.monotonic()
        slot.begin(began)
        problem: Unavailable | Rejected
        try:
            await self._sink.send(events)
        except asyncio.CancelledError:
            if not slot.cut:
                raise
            problem = Unavailable(f"no answer within {self._clock.monotonic() - began:.0f} s")
            problem.__cause__ = TimeoutError()
        except PartialFailure as partial:
            if all(0 <= index < len(events) for index in partial.failures):
                return partial.failures
            problem = Unavailable(f"the sink names events that it was not given: {partial}")
        except (Unavailable, Rejected) as failure:
            problem = failure
        except Exception as bug:  # our bug must not bury somebody's event
            problem = Unavailable(f"{type(bug).__name__}: {bug}")
            if not self._buggy:
                self._buggy = True
                log.exception("sink failed in a way it should not", extra={"subscription": self._name})
        else:
            return {}
        finally:
            self._seconds.observe(self._clock.monotonic() - began)
            if not slot.end():
                raise asyncio.CancelledError
        return dict.fromkeys(range(len(events)), problem)


def _weight(problem: Unavailable) -> tuple[bool, float]:
    return isinstance(problem, Gone | Unauthorized), problem.after or 0.0


def _all_one(failures: Failures) -> bool:
    problems = iter(failures.values())
    first = next(problems)
    return all(problem is first for problem in problems)
