"""Destination: the health of one sink, shared by all subscriptions that send to it.

    up ──5 failures in a row, over 3 events or without a connection; or 20──▶ down
     ▲                                                                         │ one probe at a time,
     └───────────────────────── any send that arrives ────────────────────────┘ at jittered pauses

While it is down, or asked for a pause, nobody sends and its uptime stands
still: the clock by which events are given up. So nothing is buried for the
destination's sake. An event that fails while others arrive is at fault itself,
and may be given up. One that fails while nothing else is sent tells nothing: it
waits, 20 failures open the breaker (`sink_up` 0, the alert), and it is given up
only after others arrived and it failed again.
"""

from __future__ import annotations

import logging
from collections import deque
from random import Random
from typing import TYPE_CHECKING

from gateway.core import telemetry
from gateway.core.errors import Unauthorized, Unavailable
from gateway.core.retry import Retry
from gateway.flow.bell import Bell

if TYPE_CHECKING:
    from collections.abc import Collection

    from gateway.core.clock import Clock

log = logging.getLogger(__name__)

STRIKES = 5
"""So many failed sends in a row open the breaker, …"""
EVENTS = 3
"""… if they were of so many different events, or without an answer at all; …"""
ANYWAY = 4 * STRIKES
"""… and so many open it whatever they were: too few events are under way to tell."""
UNAUTHORIZED_PAUSE = 60.0
"""Seconds between two tries with credentials that were refused."""
FREE_RETRIES = 5.0
"""Failed retries a second that are always allowed, …"""
RETRY_SHARE = 0.05
"""… and so many more for each first attempt; those that arrive cost nothing. Load on a sink that fails half of its
requests stays under 1.1 times what it is without retries."""
RETRY_BURST = 50.0


class Destination:
    """Who may send when; told how each send ended."""

    def __init__(self, name: str, clock: Clock, *, retry: Retry | None = None, random: Random | None = None) -> None:
        self.name = name
        self.reason = ""
        """Why it is down or paused; empty while it is up."""
        self.last_arrival = -1.0
        """Monotonic time at which it last took (or rejected) something; -1 never."""
        self._clock = clock
        self._retry = retry or Retry()
        self._random = random or Random()  # noqa: S311 - jitter
        self._bell = Bell(clock)
        self._fresh: deque[object] = deque()
        self._again: deque[object] = deque()
        self._down = False
        self._refused = False
        self._probing = False
        self._probe_at = 0.0
        self._probes = 0
        self._until = 0.0
        self._strikes = 0
        self._mute = False
        self._events: set[object] = set()
        self._uptime = 0.0
        self._up_since = clock.monotonic()
        self._tokens = RETRY_BURST
        self._tokens_at = clock.monotonic()
        self._metric = telemetry.sink_up.labels(name)
        self._metric.set(1)

    @property
    def is_down(self) -> bool:
        """Whether the breaker is open."""
        return self._down

    @property
    def state(self) -> str:
        """`up`, `down`, `unauthorized` or `pausing` (it asked for a pause)."""
        if self._down:
            return "unauthorized" if self._refused else "down"
        return "pausing" if self._until > self._clock.monotonic() else "up"

    def uptime(self) -> float:
        """Seconds it was up so far."""
        return self._uptime if self._down else self._uptime + max(0.0, self._clock.monotonic() - self._up_since)

    async def permit(self, *, again: bool = False) -> bool:
        """Wait until one may send; True: as the probe of a destination that is down.

        Whoever got True must end with `arrived`, `failed` or `abandon`. Those
        who wait are the probe by turns, so that one bad event cannot keep it
        down; with `again`, an event that failed before, only when nobody else waits.
        """
        if not self._down and self._until <= self._clock.monotonic():
            return False
        ticket = object()
        queue = self._again if again else self._fresh
        queue.append(ticket)
        try:
            while True:
                now = self._clock.monotonic()
                at = self._until if not self._down else max(self._until, self._probe_at)
                if not self._down and at <= now:
                    return False
                if self._down and not self._probing and (self._fresh or self._again)[0] is ticket:
                    if at <= now:
                        self._probing = True
                        return True
                    await self._bell.wait(at - now)
                else:
                    await self._bell.wait(None if self._down else at - now)
        finally:
            queue.remove(ticket)
            self._bell.ring()

    def arrived(self, events: int, *, repeated: bool) -> None:
        """It took so many events, or answered that it never will."""
        self.last_arrival = self._clock.monotonic()
        self._strikes = 0
        self._mute = False
        if self._events:
            self._events.clear()
        if repeated:
            self._tokens = min(RETRY_BURST, self._tokens + 1.0)
        elif self._tokens < RETRY_BURST:
            self._tokens += RETRY_SHARE * events
        if self._down:
            self._recover()
        elif self.reason and self._until <= self.last_arrival:
            self.reason = ""

    def failed(self, events: Collection[object], problem: Unavailable) -> None:
        """A send failed as a whole; `events` is something that tells those apart that are not known to be bad."""
        if problem.after is not None:
            self.pause(problem.after, problem)
        if not events and not self._down and not isinstance(problem, Unauthorized):
            return
        self._strikes += 1
        self._mute = self._mute or isinstance(problem.__cause__, OSError | TimeoutError)
        for event in events:
            if len(self._events) >= EVENTS:
                break
            self._events.add(event)
        if self._down:
            self.reason = str(problem)
            self._probes += 1
            self._wait_for_probe(problem)
        elif isinstance(problem, Unauthorized):
            self._refused = True
            self._fall(problem)
            log.error("sink refuses our credentials", extra={"sink": self.name, "reason": self.reason})
        elif self._strikes >= (STRIKES if self._mute or len(self._events) >= EVENTS else ANYWAY):
            self._fall(problem)
            log.warning("sink unavailable", extra={"sink": self.name, "reason": self.reason})

    def abandon(self) -> None:
        """A probe ended without an answer: it was cancelled."""
        self._probing = False
        self._bell.ring()

    def retry_in(self) -> float:
        """Seconds until a repeat may be sent; 0: now, and it is paid for."""
        now = self._clock.monotonic()
        self._tokens = min(RETRY_BURST, self._tokens + FREE_RETRIES * (now - self._tokens_at))
        self._tokens_at = now
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / FREE_RETRIES
        self._tokens -= 1.0
        return 0.0

    def pause(self, after: float, problem: Unavailable) -> None:
        """It asks for so many seconds without any send."""
        now = self._clock.monotonic()
        if now + after <= self._until:
            return
        if not self._down:
            self._uptime = self.uptime()
            self._up_since = now + after
        self._until = now + after
        self.reason = str(problem)
        log.info("sink asks for a pause", extra={"sink": self.name, "seconds": after, "reason": self.reason})

    def _fall(self, problem: Unavailable) -> None:
        self._uptime = self.uptime()
        self._down = True
        self.reason = str(problem)
        self._probes = 1
        self._wait_for_probe(problem)
        self._metric.set(0)

    def _wait_for_probe(self, problem: Unavailable) -> None:
        self._probing = False
        pause = self._retry.pause(self._probes + 1, self._random)
        if isinstance(problem, Unauthorized):
            pause = UNAUTHORIZED_PAUSE * self._random.uniform(0.5, 1.0)
        self._probe_at = self._clock.monotonic() + pause
        self._bell.ring()

    def _recover(self) -> None:
        self._down = self._refused = self._probing = False
        self._up_since = max(self._clock.monotonic(), self._until)
        self.reason = ""
        self._metric.set(1)
        log.info("sink recovered", extra={"sink": self.name})
        self._bell.ring()
