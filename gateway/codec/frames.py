"""Events ⇄ frames: pack, seal, parse, open, select.

    Event ─pack─▶ Batch ─seal─▶ Frame ─bytes─▶ disk, link ─parse─▶ Frame ─open─▶ Event

Events are packed once, compressed once, and shipped as they lie on disk.
"""

from __future__ import annotations

import struct
import sys
import threading
from array import array
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import zstandard
from xxhash import xxh3_64_digest, xxh3_64_intdigest

from gateway.core.errors import Damaged, InvalidEvent
from gateway.core.event import Event
from gateway.core.frame import FORMAT, HASH_SIZE, LATEST, MAX_COUNT, MAX_EVENT, MAX_RAW, Batch, Frame, FrameHeader, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAGIC = b"ISF"
PREFIX = struct.Struct("<3sBQIII")
CHECKED_FROM = 12
"""The checksum covers the bytes from here on."""
MAX_OPENED = MAX_EVENT + MAX_RAW + 64 * 1024
"""No frame opens to more bytes than this: the bound on what a hostile one can cost."""
MAX_FRAME = MAX_OPENED + 64 * 1024

NONE, ZSTD = 0, 1


class _Zstd(threading.local):
    """What each thread compresses and opens with: making one clears a megabyte, and none may be used by two threads."""

    def __init__(self) -> None:
        self._made: dict[int, zstandard.ZstdCompressor] = {}
        self.decompressor = zstandard.ZstdDecompressor()

    def compressor(self, level: int) -> zstandard.ZstdCompressor:
        found = self._made.get(level)
        if found is None:
            found = self._made[level] = zstandard.ZstdCompressor(level=level, write_checksum=False)
        return found


_zstd = _Zstd()
_known_seconds: dict[str, int] = {}
_REMEMBERED = 10_000
_encode = msgspec.msgpack.Encoder().encode
_events = msgspec.msgpack.Decoder(list[Event])
_raws = msgspec.msgpack.Decoder(list[msgspec.Raw])
_header = msgspec.msgpack.Decoder(FrameHeader)
_types = msgspec.msgpack.Decoder(list[str])


def hash_of(event: Event) -> bytes:
    """The 16 bytes by which an event is found and a repeat is known: who it is, then what it carries."""
    return xxh3_64_digest(f"{event.source}\0{event.id}".encode()) + xxh3_64_digest(event.data or b"")


def pack(space: str, events: Sequence[Event], hashes: bytes = b"") -> list[Batch]:
    """Pack validated events into batches within the bounds of a frame; `hashes` are theirs, if the caller has them."""
    parts = [_encode(event) for event in events]
    hashes = hashes or b"".join(map(hash_of, events))
    batches: list[Batch] = []
    start = size = 0
    for end, part in enumerate(parts):
        if end > start and (end - start == MAX_COUNT or size + len(part) > MAX_RAW):
            some = hashes[start * HASH_SIZE : end * HASH_SIZE]
            batches.append(batch_of(space, events[start:end], b"".join(parts[start:end]), some))
            start, size = end, 0
        size += len(part)
    if start < len(parts):
        some = hashes[start * HASH_SIZE :]
        batches.append(batch_of(space, events[start:], b"".join(parts[start:]), some))
    return batches


def batch_of(space: str, events: Sequence[Event], body: bytes | memoryview, hashes: bytes) -> Batch:
    """A batch of events whose packed body and hashes are there."""
    types, times = [event.type for event in events], [event.time for event in events]
    return Batch(space, types, times, body, hashes, list(events))


def encode_events(events: Sequence[Event]) -> bytes:
    """Events as one msgpack array: the packed form of the gRPC door."""
    return _encode(events)


def decode_events(packed: bytes) -> list[Event]:
    """The events of one msgpack array, unvalidated.

    :raises InvalidEvent: it is not an array of events.
    """
    try:
        return _events.decode(packed)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise InvalidEvent(f"not a packed array of events: {problem}") from problem


def body_of(packed: bytes, count: int) -> bytes | memoryview:
    """The body of a batch, from the packed array it came in; not copied where its header is the shortest."""
    header = _array_header(count)
    return memoryview(packed)[len(header) :] if packed.startswith(header) else _strip(packed)


def _strip(packed: bytes) -> bytes:
    return b"".join(_raws.decode(packed))


def _array_header(count: int) -> bytes:
    if count < 16:
        return bytes((0x90 | count,))
    if count < 0x10000:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class Content:
    """A frame but for its place in a log: all that takes time to make."""

    codec: int
    blob: bytes
    footer: bytes
    raw: int
    count: int


def compress(batches: Sequence[Batch], *, level: int = 1) -> Content:
    """The content of one frame of batches of one space that fit into one together."""
    return _compress(
        [batch.body for batch in batches],
        b"".join([batch.hashes for batch in batches]),
        [kind for batch in batches for kind in batch.types],
        _all_seconds([time for batch in batches for time in batch.times]),
        level,
    )


def seal(
    batches: Sequence[Batch], *, origin: str, first: int, accepted: float, content: Content | None = None
) -> Frame:
    """Make one frame of batches of one space that fit into one together; `content` is theirs, if it is there."""
    content = content or compress(batches)
    return _seal(content, batches[0].space, origin, (Run(first, content.count, accepted),))


def _compress(
    bodies: Iterable[bytes | memoryview | msgspec.Raw],
    hashes: bytes,
    types: Sequence[str],
    seconds: Sequence[int],
    level: int,
) -> Content:
    raw = b"".join((_array_header(len(types)), *bodies))
    packed = _zstd.compressor(level).compress(raw)
    codec, blob = (ZSTD, packed) if len(packed) < len(raw) else (NONE, raw)
    return Content(codec, blob, hashes + _index(types, seconds), len(raw), len(types))


def _seal(content: Content, space: str, origin: str, runs: tuple[Run, ...]) -> Frame:
    header = FrameHeader(codec=content.codec, key="", space=space, origin=origin, runs=runs, raw=content.raw)
    return _assemble(header, content.blob, content.footer, content.count)


def _assemble(header: FrameHeader, blob: bytes, footer: bytes, count: int) -> Frame:
    head = _encode(header)
    prefix = PREFIX.pack(MAGIC, FORMAT, 0, len(head), len(footer), count)
    checked = b"".join((prefix[CHECKED_FROM:], head, blob, footer))
    data = prefix[:4] + xxh3_64_intdigest(checked).to_bytes(8, "little") + checked
    blob_at = PREFIX.size + len(head)
    return Frame(data, header, count, blob_at, blob_at + len(blob))


def _index(types: Sequence[str], seconds: Sequence[int]) -> bytes:
    """Type codes, times and the table of types: the searchable part of a footer behind the hashes."""
    table: dict[str, int] = {}
    codes = array("H", [table.setdefault(kind, len(table)) for kind in types])
    times = array("I", seconds)
    if sys.byteorder == "big":
        codes.byteswap()
        times.byteswap()
    return codes.tobytes() + times.tobytes() + _encode(list(table))


def _all_seconds(texts: Sequence[str | None]) -> list[int]:
    """Whole seconds of each time; nearly all are in UTC, of a second that was seen before."""
    known = _known_seconds
    found = [0 if text is None else known.get(text[:19], -1) if text[-1:] == "Z" else -1 for text in texts]
    if -1 in found:
        if len(known) > _REMEMBERED:
            known.clear()
        for index, text in enumerate(texts):
            if found[index] < 0 and text is not None:
                found[index] = _seconds(text)
                if text[-1:] == "Z":
                    known[text[:19]] = found[index]
    return found


def _seconds(text: str) -> int:
    """Whole seconds since 1970 of an RFC 3339 text, 0 where it does not fit into 32 bits."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:  # a leap second, which RFC 3339 allows
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = int(moment.timestamp())
    return seconds if 0 <= seconds < 0x1_0000_0000 else 0


def parse(data: bytes) -> Frame:
    """Check a frame that came from disk or from a peer, without opening it.

    :raises Damaged: not a frame, of a newer format, or its sizes, counts or checksum are wrong.
    """
    if len(data) < PREFIX.size:
        raise Damaged(f"a frame of {len(data)} bytes, shorter than its prefix")
    magic, version, checksum, head_size, footer_size, count = PREFIX.unpack_from(data)
    if magic != MAGIC:
        raise Damaged("not a frame: it does not begin with ISF")
    if version != FORMAT:
        raise Damaged(f"frame format {version}, this build reads {FORMAT}")
    if xxh3_64_intdigest(memoryview(data)[CHECKED_FROM:]) != checksum:
        raise Damaged("frame checksum is wrong")
    blob_at = PREFIX.size + head_size
    footer_at = len(data) - footer_size
    if not PREFIX.size < blob_at <= footer_at <= len(data):
        raise Damaged("frame sizes do not add up")
    try:
        header = _header.decode(memoryview(data)[PREFIX.size : blob_at])
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise Damaged(f"frame header: {problem}") from problem
    frame = Frame(data, header, count, blob_at, footer_at)
    _check(frame, footer_size)
    return frame


def _check(frame: Frame, footer_size: int) -> None:
    """What the header says must fit together, and bound what opening may cost."""
    header, count = frame.header, frame.count
    if not 0 < count <= MAX_COUNT or count != sum(run.count for run in header.runs):
        raise Damaged(f"frame count {count} does not match its runs")
    if not _ascending(header.runs):
        raise Damaged("frame offsets or times do not ascend")
    if not 0 < header.raw <= MAX_OPENED:
        raise Damaged(f"frame opens to {header.raw} bytes, allowed are {MAX_OPENED}")
    if footer_size < count * (HASH_SIZE + 6) + 1:
        raise Damaged("frame footer is shorter than its events")


def _ascending(runs: Sequence[Run]) -> bool:
    offset, accepted = 0, 0.0
    for run in runs:
        if run.first <= offset or run.count < 1 or not accepted <= run.accepted <= LATEST:  # NaN is not either
            return False
        offset, accepted = run.first + run.count - 1, run.accepted
    return True


def open_frame(frame: Frame) -> list[Event]:
    """Decompress and decode the events of a frame.

    :raises Damaged: it cannot be opened: unknown codec, a key we do not have, or content that does not fit.
    """
    try:
        events = _events.decode(_raw(frame))
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise Damaged(f"frame content: {problem}") from problem
    if len(events) != frame.count:
        raise Damaged(f"frame of {frame.count} events holds {len(events)}")
    return events


def _raw(frame: Frame) -> bytes:
    if frame.header.key:
        raise Damaged(f"frame is encrypted with key {frame.header.key!r}, which is not here")
    blob = memoryview(frame.data)[frame.blob_at : frame.footer_at]
    if frame.header.codec == NONE:
        return bytes(blob)
    if frame.header.codec != ZSTD:
        raise Damaged(f"frame codec {frame.header.codec} is unknown")
    try:
        inside = zstandard.frame_content_size(blob)
        if inside != frame.header.raw:
            raise Damaged(f"frame says it opens to {frame.header.raw} bytes, its blob to {inside}")
        return _zstd.decompressor.decompress(blob, max_output_size=frame.header.raw)
    except zstandard.ZstdError as problem:
        raise Damaged(f"frame content: {problem}") from problem


def select(frame: Frame, keep: Sequence[int], *, level: int = 1) -> Frame:
    """A new frame of the events at the ascending indexes `keep` (at least one); offsets and times stay theirs."""
    if len(keep) == frame.count:
        return frame
    raws = _raws.decode(_raw(frame))
    offsets, accepted = frame.origin_offsets(), frame.accepted_times()
    types, seconds = types_of(frame), _seconds_of(frame)
    content = _compress(
        [raws[index] for index in keep],
        b"".join([frame.hash_at(index) for index in keep]),
        [types[index] for index in keep],
        [seconds[index] for index in keep],
        level,
    )
    runs = _runs([(offsets[index], accepted[index]) for index in keep])
    return _seal(content, frame.header.space, frame.header.origin, runs)


def merge(frames: Sequence[Frame], *, level: int = 1) -> Frame:
    """One frame of consecutive small ones of one origin log and one space, ascending, within the bounds of a frame."""
    if len(frames) == 1:
        return frames[0]
    content = _compress(
        [_raw(frame)[len(_array_header(frame.count)) :] for frame in frames],
        b"".join([frame.hashes for frame in frames]),
        [kind for frame in frames for kind in types_of(frame)],
        [second for frame in frames for second in _seconds_of(frame)],
        level,
    )
    runs = _joined([run for frame in frames for run in frame.header.runs])
    return _seal(content, frames[0].header.space, frames[0].header.origin, runs)


def _runs(places: Iterable[tuple[int, float]]) -> tuple[Run, ...]:
    return _joined([Run(offset, 1, accepted) for offset, accepted in places])


def _joined(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The same runs, neighbours of one moment made one."""
    joined = [runs[0]]
    for run in runs[1:]:
        last = joined[-1]
        if run.first == last.first + last.count and run.accepted == last.accepted:
            joined[-1] = Run(last.first, last.count + run.count, last.accepted)
        else:
            joined.append(run)
    return tuple(joined)


def types_of(frame: Frame) -> list[str]:
    """The `type` of each event, from the footer."""
    at = frame.footer_at + frame.count * HASH_SIZE
    codes = array("H", frame.data[at : at + 2 * frame.count])
    if sys.byteorder == "big":
        codes.byteswap()
    table = _types.decode(memoryview(frame.data)[at + 6 * frame.count :])
    return [table[code] for code in codes]


def _seconds_of(frame: Frame) -> array[int]:
    """The `time` of each event in whole seconds, from the footer."""
    at = frame.footer_at + frame.count * (HASH_SIZE + 2)
    times = array("I", frame.data[at : at + 4 * frame.count])
    if sys.byteorder == "big":
        times.byteswap()
    return times
