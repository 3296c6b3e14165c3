"""Logs of other regions: their frames, honest and forged, and what is said of them."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import msgspec
from google.protobuf.message import DecodeError, Message
from xxhash import xxh3_64_intdigest

from gateway.codec.frames import CHECKED_FROM, PREFIX, pack, seal
from gateway.core.event import Event
from gateway.core.frame import FORMAT

if TYPE_CHECKING:
    from gateway.core.frame import Frame, FrameHeader

M = TypeVar("M", bound=Message)
LOG = "us/n1@0011223344556677"
OTHER = "ap/n1@8899aabbccddeeff"
NOW = 1_800_000_000.0
HUGE = (1 << 64) - 1
BETWEEN = b"\x1e--\x1e"
"""Between messages in a text input: one byte alone is in frames too."""
LAST_WORDS = ("trimmed", "diverged", "closed")


def event(number: int, size: int = 1) -> Event:
    """An event of that number, with so much noise in it."""
    noise = random.Random(number).randbytes(size).hex()
    data = b'{"a":{"b":%d},"items":[{"a":"ab"}],"x":"%b"}' % (number % 3, noise.encode())
    return Event(f"e{number}", "/a", ("ab", "a", "b")[number % 3], data=data, extensions={"n": number})


@lru_cache(512)
def frame(first: int, count: int, origin: str = LOG, size: int = 1, space: str = "main") -> Frame:
    """Events numbered from `first`, at those offsets of that log."""
    events = [event(number, size) for number in range(first, first + count)]
    return seal(pack(space, events), origin=origin, first=first, accepted=NOW - 100 + min(first, 50))


def forged(honest: Frame, header: FrameHeader, blob: bytes | None = None) -> bytes:
    """The frame with another header, or content, and a checksum that fits."""
    head = msgspec.msgpack.encode(header)
    footer = honest.data[honest.footer_at :]
    rest = (honest.data[honest.blob_at : honest.footer_at] if blob is None else blob) + footer
    checked = PREFIX.pack(b"ISF", FORMAT, 0, len(head), len(footer), honest.count)[CHECKED_FROM:] + head + rest
    return PREFIX.pack(b"ISF", FORMAT, xxh3_64_intdigest(checked), 0, 0, 0)[:CHECKED_FROM] + checked


def parsed(data: bytes, kind: type[M]) -> M | None:
    """The message, or None where it is none."""
    try:
        return kind.FromString(data)
    except DecodeError:
        return None


def written(*messages: Message) -> bytes:
    """A text input of these messages: what a seed is."""
    return b"\x01" + BETWEEN.join(one.SerializeToString() for one in messages)
