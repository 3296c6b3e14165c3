"""Waiting: the events of stuck keys, retried apart from the lanes; first in memory, then in the waiting log.

    lane ──hold──▶ key's queue in memory ──after 60 s──▶ rows of the table `waiting`
                         │                                   │ (written with the cursor)
                         └────── front of each key, when due ┴──▶ sink

A key that is here keeps all its later events here, until its queue is empty:
that is how its order is kept. An event without a key is a queue of its own.
Of what is in the log only places are in memory; a body is loaded to be sent.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from gateway.core.cursor import Failing
from gateway.core.event import Event  # noqa: TC001  msgspec reads the annotations
from gateway.core.records import Row
from gateway.flow.bell import Bell
from gateway.flow.parcel import Parcel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from gateway.core.clock import Clock
    from gateway.core.records import Store
    from gateway.flow.parcel import Packer
    from gateway.flow.subscription import Limits

VERSION = 1
PAGE = 1000
TABLE = "waiting"
AGAIN = "again"
"""Dead letters to send again; a running delivery moves them to its waiting log. Key: subscription NUL dead letter's."""


class Kept(msgspec.Struct, array_like=True, frozen=True):
    """A row of the waiting log. The order of the fields is the format."""

    version: int
    key: str | None
    event: Event
    origin: str
    origin_offset: int
    replay: int
    attempts: int = 0
    failed_for: float = 0.0
    first_at: float = 0.0
    reason: str = ""
    doomed: bool = False
    not_before: float = 0.0
    """Wall clock before which it is not to be sent."""
    is_raw: bool = False
    """As in Parcel."""


class Place(msgspec.Struct, gc=False):
    """Where an event lies in the waiting log."""

    sequence: int
    size: int
    at: float
    """The destination's uptime when its `failed_for` was written."""
    failed_at: float = 0.0
    """As in Parcel."""


class Held(msgspec.Struct, eq=False):
    """One stuck key: what waits, oldest first, and what is being sent just now."""

    key: str | None
    queue: deque[Parcel | Place]
    sending: tuple[Parcel, ...] = ()
    in_log: bool = False
    moves: bool = False
    """Whether its last attempt arrived."""


encode_kept = msgspec.msgpack.Encoder().encode
decode_kept = msgspec.msgpack.Decoder(Kept).decode


def prefix_of(subscription: str) -> bytes:
    """How the keys of its rows begin."""
    return subscription.encode() + b"\0"


class Waiting:
    """The stuck keys of one subscription."""

    def __init__(
        self,
        subscription: str,
        *,
        store: Store,
        packer: Packer,
        clock: Clock,
        limits: Limits,
        settle: Callable[[int], None],
        uptime: Callable[[], float],
    ) -> None:
        self.in_memory = 0
        """Events held with their bodies."""
        self.in_log = 0
        """Events in the waiting log."""
        self.bytes = 0
        self.is_refused = False
        """Whether the store has no room for more rows."""
        self._prefix = prefix_of(subscription)
        self._store = store
        self._packer = packer
        self._clock = clock
        self._limits = limits
        self._settle = settle
        self._uptime = uptime
        self._pending: dict[tuple[str, bytes], bytes | None] = {}
        self._saving: dict[tuple[str, bytes], bytes | None] = {}
        self._keys: dict[str, Held] = {}
        self._fresh: dict[Held, None] = {}
        self._due: list[tuple[float, int, Held]] = []
        self._count = itertools.count()
        self._next = 1
        self._bell = Bell(clock)

    async def load(self) -> None:
        """Read the places of what waited before a restart, and what is to be sent again."""
        for number, (key, value) in enumerate(_stored(self._store, TABLE, self._prefix)):
            sequence = int.from_bytes(key[-8:], "big")
            self._next = sequence + 1
            self._index(sequence, value)
            if number % PAGE == 0:
                await asyncio.sleep(0)
        self.adopt()

    def adopt(self) -> None:
        """Move what is to be sent again into the waiting log."""
        for key, value in _stored(self._store, AGAIN, self._prefix):
            row = (AGAIN, key)
            if row in self._pending or row in self._saving:
                continue
            self._pending[row] = None
            self._pending[TABLE, self._row(self._next)] = value
            self._index(self._next, value)
            self._next += 1

    def _index(self, sequence: int, value: bytes) -> None:
        kept = decode_kept(value)
        place = Place(sequence, len(value), self._uptime())
        self.in_log += 1
        self.bytes += place.size
        held = None if kept.key is None else self._keys.get(kept.key)
        if held is None:
            held = self._new(kept.key)
            held.in_log = True
            self._schedule(held, max(0.0, kept.not_before - self._clock.now()))
        held.queue.append(place)

    def _new(self, key: str | None) -> Held:
        held = Held(key, deque())
        if key is not None:
            self._keys[key] = held
        return held

    @property
    def is_full(self) -> bool:
        """Whether the waiting log is at its limit, or the store has no room for it."""
        return self.is_refused or self.in_log >= self._limits.waiting_events or self.bytes >= self._limits.waiting_bytes

    @property
    def events(self) -> int:
        """Events here, in memory and in the log."""
        return self.in_memory + self.in_log

    @property
    def is_empty(self) -> bool:
        """Whether no key is stuck."""
        return not self.in_memory and not self.in_log

    def hold(self, parcel: Parcel, pause: float) -> None:
        """Take over an event that failed; its first repeat is due after `pause` seconds."""
        if not self.divert(parcel):
            held = self._new(parcel.key)
            held.queue.append(parcel)
            self.in_memory += 1
            self._fresh[held] = None
            self._schedule(held, pause)

    def divert(self, parcel: Parcel) -> bool:
        """Take an event if its key is stuck."""
        held = None if parcel.key is None else self._keys.get(parcel.key)
        if held is None:
            return False
        if held.in_log:
            held.queue.append(self._into_log(parcel))
        else:
            held.queue.append(parcel)
            self.in_memory += 1
        return True

    def _schedule(self, held: Held, pause: float) -> None:
        heapq.heappush(self._due, (self._clock.monotonic() + pause, next(self._count), held))
        self._bell.ring()

    def wake(self) -> None:
        """Make every key due now."""
        now = self._clock.monotonic()
        self._due = [(min(at, now), count, held) for at, count, held in self._due]
        heapq.heapify(self._due)
        self._bell.ring()

    async def due(self) -> Held:
        """Wait until a key is due; it is the caller's until `put_back`."""
        while True:
            now = self._clock.monotonic()
            if self._due and self._due[0][0] <= now:
                return heapq.heappop(self._due)[2]
            await self._bell.wait(self._due[0][0] - now if self._due else None)

    def front(self, held: Held, limit: int) -> list[Parcel]:
        """Take the first events of a key that is the caller's."""
        taken: list[Parcel] = []
        for _ in range(min(limit, len(held.queue))):
            entry = held.queue.popleft()
            taken.append(self._load(entry) if isinstance(entry, Place) else entry)
        held.sending = tuple(taken)
        return taken

    def put_back(self, held: Held, left: Collection[Parcel], pause: float) -> bool:
        """End what `front` began: `left` stays in front; whether the key is still stuck, and due after `pause`."""
        for parcel in reversed(held.sending):
            if parcel in left:
                held.queue.appendleft(self._keep(parcel) if parcel.sequence else parcel)
            elif parcel.sequence:
                self._pending[TABLE, self._row(parcel.sequence)] = None
                self.in_log -= 1
                self.bytes -= parcel.size
            else:
                self.in_memory -= 1
        held.sending = ()
        if held.queue:
            self._schedule(held, pause)
            return True
        self._fresh.pop(held, None)
        if held.key is not None:
            del self._keys[held.key]
        return False

    def move(self, newest: int, at_most: int) -> None:
        """Move into the waiting log what is stuck for too long, too far behind, or more than may be in memory."""
        uptime = self._uptime()
        for held in list(self._fresh):
            if self.is_full:
                return
            first = held.sending[0] if held.sending else held.queue[0]
            if isinstance(first, Place) or (
                self.in_memory > at_most
                or first.failing_for(uptime) >= self._limits.open_for
                or first.offset < newest - self._limits.open_behind
            ):
                self._move(held)

    def _move(self, held: Held) -> None:
        del self._fresh[held]
        held.in_log = True
        for parcel in held.sending:
            self._into_log(parcel)
        self.in_memory -= len(held.sending) + len(held.queue)
        held.queue = deque([self._into_log(entry) for entry in held.queue if isinstance(entry, Parcel)])

    def _into_log(self, parcel: Parcel) -> Place:
        parcel.sequence = self._next
        self._next += 1
        self.in_log += 1
        self._settle(parcel.offset)
        return self._keep(parcel)

    def _keep(self, parcel: Parcel) -> Place:
        uptime = self._uptime()
        kept = Kept(
            VERSION,
            parcel.key,
            parcel.event,
            parcel.origin,
            parcel.origin_offset,
            parcel.replay,
            parcel.attempts,
            parcel.failing_for(uptime),
            parcel.first_at,
            parcel.reason,
            parcel.doomed,
            is_raw=parcel.is_raw,
        )
        value = encode_kept(kept)
        self._pending[TABLE, self._row(parcel.sequence)] = value
        self.bytes += len(value) - parcel.size
        parcel.size = len(value)
        return Place(parcel.sequence, parcel.size, uptime, parcel.failed_at)

    def _load(self, place: Place) -> Parcel:
        row = self._row(place.sequence)
        value = self._pending.get((TABLE, row)) or self._saving.get((TABLE, row))
        if value is None:
            ((_, value),) = self._store.rows(TABLE, after=self._row(place.sequence - 1), limit=1)
        kept = decode_kept(value)
        place_of = (kept.origin, kept.origin_offset, kept.replay)
        if kept.is_raw and not kept.doomed:
            parcel = self._packer.prepare(kept.event, *place_of)
        else:
            parcel = self._packer.repack(kept.event, kept.key, *place_of)
            parcel.reason, parcel.doomed, parcel.is_raw = kept.reason, kept.doomed, kept.is_raw
        parcel.sequence, parcel.size = place.sequence, place.size
        parcel.attempts, parcel.failed_for = kept.attempts, kept.failed_for
        parcel.failing_since = place.at if kept.attempts else None
        parcel.failed_at = place.failed_at
        parcel.first_at = kept.first_at
        return parcel

    def _row(self, sequence: int) -> bytes:
        return self._prefix + sequence.to_bytes(8, "big")

    def failing(self) -> list[Failing]:
        """What the cursor has to remember of events that failed and are still its own."""
        uptime = self._uptime()
        return [
            Failing(parcel.offset, parcel.attempts, parcel.failing_for(uptime), parcel.first_at)
            for held in self._fresh
            for parcel in (*held.sending, *held.queue)
            if isinstance(parcel, Parcel) and parcel.attempts
        ]

    @property
    def unsaved(self) -> int:
        """Rows that the next save of the cursor has to write."""
        return len(self._pending)

    def begin_save(self) -> list[Row]:
        """The rows to write with the cursor; end with `end_save`."""
        self._saving, self._pending = self._pending, {}
        return [Row(table, key, value) for (table, key), value in self._saving.items()]

    def end_save(self, *, written: bool) -> None:
        """Forget the rows, or keep them for the next save."""
        if not written:
            self._pending = {**self._saving, **self._pending}
        self._saving = {}


def _stored(store: Store, table: str, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    after = prefix
    while rows := store.rows(table, after=after, limit=PAGE):
        for key, value in rows:
            if not key.startswith(prefix):
                return
            yield key, value
        after = rows[-1][0]


async def take_over(store: Store, was: str, name: str) -> None:
    """Give the waiting events of a renamed subscription their new name. Cancelled or killed, a repeat goes on."""
    old, new = prefix_of(was), prefix_of(name)
    for table in (TABLE, AGAIN):
        moved = [(key, value) for key, value in _stored(store, table, old)]
        for at in range(0, len(moved), 500):
            rows: list[Row] = []
            for key, value in moved[at : at + 500]:
                rows += (Row(table, key, None), Row(table, new + key[len(old) :], value))
            await store.write(rows)
