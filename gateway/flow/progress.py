"""Progress: what one subscription keeps in the store, and how it gets there.

positions   cursor/NAME     position, hash and open runs; compared and set
disabled/NAME   since when and why; absent: not disabled
rows        waiting, again  see waiting.py; written with the cursor, all or none
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from gateway.core import telemetry
from gateway.core.cursor import Cursor
from gateway.core.errors import LogFull, Moved
from gateway.core.frame import HASH_SIZE
from gateway.core.records import Position
from gateway.flow.waiting import TABLE as WAITING
from gateway.flow.waiting import take_over

if TYPE_CHECKING:
    from gateway.core.errors import Diverged
    from gateway.core.records import EventLog, Store, Stored
    from gateway.flow.subscription import Subscription
    from gateway.flow.waiting import Waiting

log = logging.getLogger(__name__)


class Progress:
    """The cursor of one subscription, in memory and in the store."""

    def __init__(self, subscription: Subscription, log: EventLog, store: Store) -> None:
        self.cursor = Cursor()
        self._subscription = subscription
        self._log = log
        self._store = store
        self._name = f"cursor/{subscription.name}"
        self._disabled = f"disabled/{subscription.name}"
        self._saved: bytes | None = None
        self._attempted: bytes | None = None
        self._held_from: int | None = None
        self._loaded_at: int | None = None
        """The position that the cursor's own hash is of."""
        self._hashes: deque[tuple[int, int, bytes]] = deque()

    @property
    def position(self) -> int:
        """Everything up to here is settled; what is saved may be older."""
        return self.saved_position() if self._saved is None else self.cursor.position

    def saved_position(self) -> int:
        """The position from which a restart would go on."""
        if self._held_from is None:
            was = self._subscription.was
            saved = self._store.position(self._name)
            if saved is None and was is not None:
                saved = self._store.position(f"cursor/{was}")
            if saved is None:
                return self._beginning()
            self._held_from = Cursor.load(saved).position
        return self._held_from

    def _beginning(self) -> int:
        match self._subscription.start:
            case "latest":
                return self._log.end
            case "earliest":
                return self._log.first - 1
            case moment:
                return self._log.seek(moment)

    @property
    def inherits(self) -> str | None:
        """The former name, when its cursor is still to be taken over."""
        was = self._subscription.was
        if was is None or self._store.position(self._name) is not None:
            return None
        return None if self._store.position(f"cursor/{was}") is None else was

    async def open(self) -> None:
        """Load the cursor, or make it where the subscription begins; take over that of its former name."""
        self._hashes.clear()
        self._attempted = None
        self._saved = self._store.position(self._name)
        was = self._subscription.was
        if self._saved is None and was is not None:
            before = self._store.position(f"cursor/{was}")
            if before is not None:
                await take_over(self._store, was, self._subscription.name)
                moved = {f"cursor/{was}": (before, None), self._name: (None, before)}
                await self._store.write([], positions=moved)
                self._saved = before
        if self._saved is None:
            new = Cursor(self._beginning(), log=self._log.log_id).dump()
            await self._store.write([], positions={self._name: (None, new)})
            self._saved = new
        self.cursor = Cursor.load(self._saved)
        self._held_from = self._loaded_at = self.cursor.position
        if self.cursor.log != self._log.log_id:
            self.start_over(f"its cursor is of log {self.cursor.log}")

    def start_over(self, why: str | Diverged) -> Position:
        """The log is not the one this cursor was made with: what was delivered is unknown, so go on with all it has."""
        log.error(
            "cursor does not fit the log: everything in the log is delivered again",
            extra={"subscription": self._subscription.name, "position": self.cursor.position, "reason": str(why)},
        )
        self.cursor = Cursor(self._log.first - 1, log=self._log.log_id)
        self._hashes.clear()
        return Position(self._log.log_id, self.cursor.position)

    def skip(self, after: int, upto: int) -> Position:
        """The log was trimmed up to `upto` before this subscription had it: say so, and go on there."""
        lost = self.cursor.lose(after, upto)
        telemetry.log_gap_events.labels(self._subscription.name).inc(lost)
        log.error(
            "records were trimmed before they were delivered",
            extra={"subscription": self._subscription.name, "lost": lost, "first_kept": upto + 1},
        )
        return Position(self._log.log_id, upto)

    def miss(self, first: int, last: int) -> None:
        """These records cannot be read any more, their frames are damaged: say so, and go on behind them."""
        telemetry.log_gap_events.labels(self._subscription.name).inc(last - first + 1)
        log.error(
            "records are damaged and cannot be delivered",
            extra={"subscription": self._subscription.name, "first": first, "last": last},
        )
        for offset in range(first, min(last, self.cursor.restored) + 1):
            self.cursor.settle(offset)

    @property
    def has_looked(self) -> bool:
        """Whether anything was taken in since `open`."""
        return bool(self._hashes)

    def looked(self, stored: Stored) -> None:
        """This frame is taken in: remember its hashes until the position is beyond it."""
        self.cursor.look(stored.last)
        self._hashes.append((stored.first, stored.last, stored.frame.hashes))

    def passed(self, position: Position) -> None:
        """Everything up to here was looked at, and nothing of it is to be delivered."""
        self.cursor.look(position.offset)
        self._hashes.append((position.offset, position.offset, position.hash))

    def leave_out(self, stored: Stored) -> None:
        """Nothing of this frame is to be delivered, whatever was open of it before a restart."""
        if stored.first <= self.cursor.restored:
            for offset in range(stored.first, stored.last + 1):
                self.cursor.settle(offset)

    def _hash_at(self, position: int) -> bytes:
        while self._hashes and self._hashes[0][1] < position:
            self._hashes.popleft()
        if self._hashes and self._hashes[0][0] <= position:
            first, _, hashes = self._hashes[0]
            at = (position - first) * HASH_SIZE
            return hashes[at : at + 8]
        return self.cursor.hash if position == self._loaded_at else b""

    async def save(self, waiting: Waiting) -> None:
        """Write the cursor and the rows of the waiting log, when something changed.

        :raises Moved: somebody else delivers this subscription.
        """
        rows = waiting.begin_save()
        written = False
        try:
            position = self.cursor.position
            value = self.cursor.dump(hash=self._hash_at(position), failing=waiting.failing())
            if rows or value != self._saved:
                try:
                    self._attempted, before = value, self._attempted
                    await self._store.write(rows, positions={self._name: (self._saved, value)})
                except Moved:
                    # A save that was cancelled while it was being committed: it was ours.
                    if before is None or self._store.position(self._name) != before:
                        raise
                    await self._store.write(rows, positions={self._name: (before, value)})
                self._saved, self._held_from = value, position
            written = True
            waiting.is_refused = False
        except LogFull:
            waiting.is_refused = bool(rows)
            # What arrived may leave before its cursor is saved, and has to: others wait for its room.
            await self._store.write([row for row in rows if row.table == WAITING and row.value is None])
            raise
        finally:
            waiting.end_save(written=written)

    def disabled(self) -> bytes | None:
        """Since when and why it is disabled; None: it is not."""
        return self._store.position(self._disabled)

    async def disable(self, reason: str) -> None:
        """Have it stay disabled over restarts."""
        await self._store.write([], positions={self._disabled: (self.disabled(), reason.encode())})

    async def enable(self) -> None:
        """The opposite."""
        await self._store.write([], positions={self._disabled: (self.disabled(), None)})
