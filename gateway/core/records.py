"""Record, Stored, Page, Position; LogReader, EventLog and Store: what a log is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.core.event import Event
    from gateway.core.frame import Batch, Decided, Frame


class Position(NamedTuple):
    """A place in one log: just after the record at `offset`."""

    log: str
    """Log id, `region/node@epoch`."""
    offset: int
    """0 is before the first record; offsets begin at 1."""
    hash: bytes = b""
    """First 8 bytes of the footer hash of the record there; empty: not checked."""


class Record(NamedTuple):
    """One event and where it stands."""

    offset: int
    """In the log it was read from."""
    origin: str
    origin_offset: int
    accepted: float
    event: Event


@dataclass(slots=True)
class Stored:
    """A frame as it lies in one log: local offsets `first` … `last`."""

    first: int
    frame: Frame
    opened: list[Event] | None = field(default=None, repr=False)
    """The events, once somebody opened the frame; shared by all readers, never mutate."""
    is_shared: bool = False
    """Whether several readers are given this very object."""
    decided: Decided | None = field(default=None, repr=False)
    """Who wants which of its events, once somebody asked for all. Shared like `opened`."""

    @property
    def last(self) -> int:
        """Local offset of the last event."""
        return self.first + self.frame.count - 1


@dataclass(frozen=True, slots=True)
class Page:
    """What a read returned: frames in offset order, and how far was looked."""

    frames: tuple[Stored, ...]
    """The first may begin before the offset asked for: the reader skips what it has."""
    upto: int
    """Everything up to this offset was looked at; the next read goes on after it."""
    gaps: tuple[tuple[int, int], ...] = ()
    """Offsets up to `upto` that are damaged and set aside (first, last): the reader loses these events."""

    def end_of(self, log: str) -> Position:
        """Where the next read of that log, from which this is, goes on."""
        newest = self.frames[-1] if self.frames else None
        if newest is None or newest.last != self.upto:
            return Position(log, self.upto)
        return Position(log, self.upto, newest.frame.hash_at(newest.frame.count - 1)[:8])


class Row(NamedTuple):
    """A small durable row beside the log; value None deletes it."""

    table: str
    key: bytes
    """1 to 400 bytes; rows are read back in key order."""
    value: bytes | None


class LogReader(Protocol):
    """A log as its readers see it, here or in another region."""

    @property
    def log_id(self) -> str:
        """`region/node@epoch`; the epoch is made with the data directory."""
        ...

    async def read(self, *, after: Position, limit: int) -> Page:
        """Return frames after that position, at least one and about `limit` bytes; wait while there is none.

        Cancelling leaves nothing behind.

        :raises Trimmed: the position is older than the log keeps.
        :raises Diverged: the record there has another hash, or the position is beyond the end, or of another log.
        """
        ...


class EventLog(LogReader, Protocol):
    """A region's durable log."""

    async def append(
        self,
        items: Sequence[Batch | Frame],
        *,
        positions: Mapping[str, tuple[bytes | None, bytes | None]] | None = ...,
        rows: Sequence[Row] = ...,
    ) -> int:
        """Append batches (this log is their origin) and frames (of other logs); return the last offset.

        All or none, durable on return, one transaction with `positions`
        (name → expected, new; None: absent) and `rows`. Cancelled: it is
        either wholly in the log or not at all, and a repeat with the same
        `positions` raises Moved if it is.

        :raises Moved: a position was not as expected; nothing was written.
        :raises LogFull: at `at_most` with `full: refuse`, or the disk is full.
        """
        ...

    @property
    def end(self) -> int:
        """Offset of the last record; 0 while empty."""
        ...

    @property
    def first(self) -> int:
        """Offset of the first record kept; end + 1 while empty."""
        ...

    def seek(self, accepted: float) -> int:
        """The offset to read after in order to see everything accepted at that time or later."""
        ...


class Store(Protocol):
    """Positions and small rows, in the same files and transactions as the log."""

    async def write(
        self,
        rows: Sequence[Row],
        *,
        positions: Mapping[str, tuple[bytes | None, bytes | None]] | None = ...,
    ) -> None:
        """Write all or none, durable on return; uses the reserve, so it works while the log is full.

        :raises Moved: a position was not as expected; nothing was written.
        """
        ...

    def position(self, name: str) -> bytes | None:
        """The committed position of that name."""
        ...

    def positions(self, prefix: str = "") -> dict[str, bytes]:
        """All committed positions whose name begins so."""
        ...

    def rows(self, table: str, *, after: bytes = b"", limit: int = 1000) -> list[tuple[bytes, bytes]]:
        """Up to `limit` committed rows of a table with keys greater than `after`, in key order."""
        ...
