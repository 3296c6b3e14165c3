"""What lies in the data file: keys and values, kept for ever.

    frames     u64 first local offset (big-endian)  →  head │ Frame.data
    positions  name                                 →  the writer's own bytes
    rows       table NUL key                        →  the writer's own bytes
    meta       format region node epoch tail        →  see below

    head:  u8 format · 3 zero bytes · u32 count · u64 first offset of the frame before
           · u64 link of the frame before · f64 stored · f64 high          (little-endian)

The *link* of a frame is XXH3-64 of its head and of the frame's own prefix,
which holds the checksum of all the rest: a chain of links covers every byte,
and a frame that is missing or exchanged shows at the next one. `stored` is when
it was appended here; `high` is the newest `accepted` of this and all earlier
frames, so that it can be searched by halving although links bring old events.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from xxhash import xxh3_64_intdigest

from gateway.codec.frames import PREFIX
from gateway.core.errors import Damaged

if TYPE_CHECKING:
    from gateway.core.frame import Frame

FORMAT: Final = 1
"""Of the data file. A newer one is refused, an older one stays readable."""

FRAMES: Final = b"frames"
POSITIONS: Final = b"positions"
ROWS: Final = b"rows"
META: Final = b"meta"
DATABASES: Final = (FRAMES, POSITIONS, ROWS, META)

DAMAGED: Final = "log.damaged"
"""The table of frames set aside: key of the frame → u64 last offset, then the reason."""

MAX_NAME: Final = 500
MAX_TABLE: Final = 100
MAX_KEY: Final = 400

_HEAD = struct.Struct("<B3xIQQdd")
_TAIL = struct.Struct("<QQQdd")
HEAD_SIZE: Final = _HEAD.size
LINKED_SIZE: Final = HEAD_SIZE + PREFIX.size


class Head(NamedTuple):
    """What stands before every stored frame."""

    events: int
    previous: int
    """First offset of the frame before; 0: there was none."""
    link: int
    """Link of the frame before; 0: there was none."""
    stored: float
    high: float

    def pack(self) -> bytes:
        """The bytes on disk."""
        return _HEAD.pack(FORMAT, *self)


class Tail(NamedTuple):
    """Where the log ends; written with every commit, so that it outlives the frames."""

    end: int = 0
    last: int = 0
    """First offset of the last frame; 0: no frame is left."""
    link: int = 0
    """Link of the last frame; 0: no frame is left."""
    accepted: float = 0.0
    """The last stamp given; stamps never go back."""
    high: float = 0.0

    def pack(self) -> bytes:
        """The bytes on disk."""
        return _TAIL.pack(*self)

    def followed_by(self, frame: Frame, *, stored: float) -> tuple[bytes, bytes, Tail]:
        """Key and value of the next frame, and the tail after it."""
        first = self.end + 1
        high = max(self.high, frame.header.newest)
        value = Head(frame.count, self.last, self.link, stored, high).pack() + frame.data
        return key_of(first), value, Tail(self.end + frame.count, first, link_of(value), self.accepted, high)


def read_tail(value: bytes | memoryview | None) -> Tail:
    """The tail as stored; None: a new log's."""
    return Tail() if value is None else Tail(*_TAIL.unpack(value))


def read_head(value: bytes | memoryview) -> Head:
    """The head of a stored frame.

    :raises Damaged: too short, or of another format.
    """
    if len(value) < LINKED_SIZE:
        raise Damaged(f"a stored frame of {len(value)} bytes, shorter than its head")
    version, *fields = _HEAD.unpack_from(value)
    if version != FORMAT:
        raise Damaged(f"stored frame of format {version}, this build reads {FORMAT}")
    return Head(*fields)


def link_of(value: bytes | memoryview) -> int:
    """The link of a stored frame: what the next one must name."""
    return xxh3_64_intdigest(value[:LINKED_SIZE])


def key_of(offset: int) -> bytes:
    """The key of the frame that begins at that offset."""
    return offset.to_bytes(8, "big")


def offset_of(key: bytes | memoryview) -> int:
    """The first offset of the frame under that key."""
    return int.from_bytes(key, "big")


def row_key(table: str, key: bytes) -> bytes:
    """Where a row lies."""
    return table.encode() + b"\0" + key
