"""Readers: one row per reading region, kept in the store of the log that is read.

    {term, node, handed out, durable, seen}

The row is written ahead: before a record leaves, `handed out` is durable at or
beyond it, in coarse steps so that pages cost no commit. `durable` is what the
reader acknowledged; it is what trimming respects, and is saved lazily, because
one that is too old only keeps records longer. Only the highest term is served.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

import msgspec

from gateway.core.errors import IsthmusError
from gateway.core.records import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.clock import Clock
    from gateway.core.records import Store

log = logging.getLogger(__name__)

TABLE = "readers"
STEP = 50_000
"""Offsets that `handed out` is written ahead of what was sent."""


class Refused(IsthmusError):
    """This reader is not served: another one is the owner."""


class ReaderRow(msgspec.Struct, array_like=True):
    """What the log knows about one reading region. Order is the stored format."""

    term: int = 0
    node: str = ""
    handed_out: int = 0
    """No record beyond this offset has left for that region."""
    durable: int = 0
    """Everything up to here is durable there."""
    seen: float = 0.0
    """Seconds since 1970; when it was last heard of."""


class Occupant(Protocol):
    """An open read that can be told to end."""

    def close(self, reason: str) -> None:
        """End, saying why."""
        ...


class Slot:
    """The place of one reading region at one log, while a stream of it is open."""

    def __init__(self, row: ReaderRow, occupant: Occupant) -> None:
        self.row = row
        self.occupant = occupant
        self.sent = row.durable
        """What really left, for a clean end; `row.handed_out` may be ahead of it."""


class Readers:
    """The rows of one log."""

    def __init__(self, log_id: str, store: Store, clock: Clock) -> None:
        self._log_id = log_id
        self._store = store
        self._clock = clock
        self._rows: dict[str, ReaderRow] = {}
        self._slots: dict[str, Slot] = {}
        self._unsaved: set[str] = set()

    def load(self) -> None:
        """Read the rows that are stored."""
        prefix = f"{self._log_id}\0".encode()
        after = prefix
        while found := self._store.rows(TABLE, after=after, limit=1000):
            for key, value in found:
                if not key.startswith(prefix):
                    return
                self._rows[key[len(prefix) :].decode()] = msgspec.msgpack.decode(value, type=ReaderRow)
            after = found[-1][0]

    def claim(self, region: str, node: str, term: int, occupant: Occupant) -> tuple[Slot, ReaderRow]:
        """Take the place of a region; return it and the row as the one before left it.

        A stream of the same node that is still open is told to end: it is
        what a broken connection left behind.

        :raises Refused: a higher term reads, or another node in the same term.
        """
        row = self._rows.get(region, ReaderRow())
        held = self._slots.get(region)
        if term < row.term:
            raise Refused(f"term {term} of {region} ended, {row.node} reads in term {row.term}")
        if held is not None and term == row.term and node != row.node:
            raise Refused(f"{row.node} reads for {region} in term {term}")
        if held is not None:
            held.occupant.close(f"{node} reads for {region} in term {term} on another stream")
        before = msgspec.structs.replace(row, handed_out=held.sent if held else row.handed_out)
        taken = msgspec.structs.replace(row, term=term, node=node, seen=self._clock.now())
        self._rows[region] = taken
        slot = self._slots[region] = Slot(taken, occupant)
        self._unsaved.add(region)
        return slot, before

    async def hand_out(self, region: str, slot: Slot, upto: int) -> None:
        """Return once `handed out` is durable at or beyond that offset; then it may be sent."""
        if upto > slot.row.handed_out:
            slot.row.handed_out = upto + STEP
            await self._save([region])
        slot.sent = max(slot.sent, upto)

    def settle(self, region: str, slot: Slot, durable: int) -> None:
        """Note what the reader made durable."""
        slot.row.seen = self._clock.now()
        slot.row.durable = max(slot.row.durable, durable)
        self._unsaved.add(region)

    def begin(self, region: str, slot: Slot, after: int) -> None:
        """Note where the read begins: nothing before it is needed any more, everything after it is."""
        slot.row.durable = after
        slot.sent = max(slot.sent, after) if slot.sent > after else after
        self._unsaved.add(region)

    def leave(self, region: str, slot: Slot) -> None:
        """Give the place back; the exact end is saved with the next `save`."""
        slot.row.handed_out = slot.sent
        self._unsaved.add(region)
        if self._slots.get(region) is slot:
            del self._slots[region]

    def touch(self) -> None:
        """Note that the regions with an open stream are here."""
        for region, slot in self._slots.items():
            slot.row.seen = self._clock.now()
            self._unsaved.add(region)

    async def save(self) -> None:
        """Write the rows that changed, durable on return."""
        if self._unsaved:
            await self._save(sorted(self._unsaved))

    async def _save(self, regions: Sequence[str]) -> None:
        self._unsaved.difference_update(regions)
        rows = [Row(TABLE, self._key(region), msgspec.msgpack.encode(self._rows[region])) for region in regions]
        try:
            await self._store.write(rows)
        except BaseException:
            self._unsaved.update(regions)
            raise

    def _key(self, region: str) -> bytes:
        return f"{self._log_id}\0{region}".encode()

    def rows(self) -> dict[str, ReaderRow]:
        """Region → row, as it is now."""
        return dict(self._rows)

    def holds(self, forget: float) -> dict[str, int]:
        """`link to <region>` → the first offset it needs. A region not seen for `forget` seconds holds nothing."""
        now = self._clock.now()
        return {f"link to {region}": row.durable + 1 for region, row in self._rows.items() if now - row.seen <= forget}

    def lowest_needed(self, forget: float) -> int | None:
        """The lowest of the holds; None: no region is waiting for anything."""
        return min(self.holds(forget).values(), default=None)
