"""Frame: what is stored and shipped. Batch: events on their way into one.

    prefix 24 B │ header (msgpack) │ blob (compressed events) │ footer

    prefix:  3s magic "ISF" · u8 format · u64 checksum · u32 header size
             · u32 footer size · u32 count          (little-endian)
    footer:  count × 16 B id and content hash · count × u16 type code
             · count × u32 time · msgpack list of the types

The checksum (XXH3-64) covers every byte after itself. Sealing and opening are
in `gateway/codec/frames.py`; here is only what a frame is. The format is kept
for ever: a new one gets a new number and the old one stays readable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.core.event import Event

FORMAT = 1
MAX_COUNT = 500
"""Events in a frame."""
MAX_RAW = 512 * 1024
"""Bytes of events in a frame before compression; a single larger event gets a frame of its own."""
MAX_EVENT = 3 * 1024 * 1024
"""The largest `limits: {event: ...}` that may be configured."""
LATEST = 253_402_300_799.0
"""No event was accepted after the year 9999: a time beyond it cannot be shown, and is no clock's."""
HASH_SIZE = 16
"""Bytes of one footer hash: 8 of XXH3-64(source NUL id), then 8 of XXH3-64(data)."""


Decided: TypeAlias = "Mapping[str, Sequence[tuple[int, Event]]]"
"""Who wants which of some events: name → those events with their indexes, ascending; whoever gets none is not in it."""


class Run(msgspec.Struct, frozen=True, array_like=True):
    """A run of consecutive offsets of the origin log that were accepted at one moment."""

    first: int
    count: int
    accepted: float
    """Seconds since 1970 by the origin's clock; never goes back within its log."""


class FrameHeader(msgspec.Struct, frozen=True, array_like=True):
    """What can be known of a frame without opening it. Order is the wire format."""

    codec: int
    """0: as is; 1: zstd."""
    key: str
    """Id of the key the blob is encrypted with; empty: not encrypted."""
    space: str
    origin: str
    """Log id `region/node@epoch` of the log that first accepted these events."""
    runs: tuple[Run, ...]
    """Offsets in the origin log, ascending; their counts add up to the frame's."""
    raw: int
    """Bytes of the blob once decompressed."""

    @property
    def first(self) -> int:
        """Offset of the first event in the origin log."""
        return self.runs[0].first

    @property
    def last(self) -> int:
        """Offset of the last event in the origin log."""
        run = self.runs[-1]
        return run.first + run.count - 1

    @property
    def oldest(self) -> float:
        """The smallest `accepted` in the frame."""
        return self.runs[0].accepted

    @property
    def newest(self) -> float:
        """The largest `accepted` in the frame."""
        return self.runs[-1].accepted


@dataclass(frozen=True, slots=True)
class Frame:
    """Up to 500 events of one origin log and one space, sealed."""

    data: bytes
    """The whole frame, prefix to footer: what is stored and shipped."""
    header: FrameHeader
    count: int
    blob_at: int
    footer_at: int

    def hash_at(self, index: int) -> bytes:
        """The 16-byte hash of event `index`, from the footer."""
        at = self.footer_at + index * HASH_SIZE
        return self.data[at : at + HASH_SIZE]

    @property
    def hashes(self) -> bytes:
        """All hashes, 16 bytes an event."""
        return self.data[self.footer_at : self.footer_at + self.count * HASH_SIZE]

    def origin_offsets(self) -> list[int]:
        """The origin offset of each event, in order."""
        return [run.first + step for run in self.header.runs for step in range(run.count)]

    def origin_offset_at(self, index: int) -> int:
        """The origin offset of event `index`."""
        for run in self.header.runs:
            if index < run.count:
                return run.first + index
            index -= run.count
        raise IndexError(index)

    def accepted_times(self) -> list[float]:
        """The `accepted` of each event, in order."""
        return [run.accepted for run in self.header.runs for _ in range(run.count)]


@dataclass(frozen=True, slots=True)
class Batch:
    """Validated events of one space, packed, not yet in any log.

    At most MAX_COUNT events and, unless it is a single event, MAX_RAW bytes.
    """

    space: str
    types: list[str]
    """The `type` of each event …"""
    times: list[str | None]
    """… and its `time`: a footer is made of these and the hashes."""
    body: bytes | memoryview
    """The events as msgpack arrays, one after the other, without an outer header."""
    hashes: bytes
    """16 bytes an event, in order."""
    events: list[Event] | None = None
    """The events, where somebody here is going to read them; None: their bytes are enough."""
    decided: Decided | None = None
    """Who here wants which of them; None: nobody was asked yet."""

    @property
    def count(self) -> int:
        """How many events."""
        return len(self.types)

    def known(self, events: list[Event] | None, decided: Decided | None) -> Batch:
        """The same batch with this known of it."""
        return Batch(self.space, self.types, self.times, self.body, self.hashes, events, decided)
