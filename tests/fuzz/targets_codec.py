"""Targets: the formats in which events come and go, and what else a peer can send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xxhash import xxh3_64_intdigest

from gateway.api.http1 import BadRequest, Requests
from gateway.api.limits import Limits
from gateway.codec import frames, http, json, protobuf
from gateway.codec.plain import is_plain
from gateway.codec.validate import MAX_ATTRIBUTE, RESERVED, _check, validate
from gateway.core.errors import Damaged, InvalidEvent
from gateway.core.event import Binary, Event, Timestamp, Uri, UriReference, canonical
from gateway.core.quantities import duration_text, seconds, size, size_text
from tests.fuzz import events, seeds
from tests.fuzz.source import SEPARATOR, Source, text_of, written
from tests.fuzz.target import Target, demand

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITS = Limits(request=2048, event=2048)
_HEAD = b"POST /events HTTP/1.1\r\nHost: a\r\n"


def check_json(data: bytes) -> bool:
    """An event, or a batch, in the JSON format."""
    source = Source(data)
    if source.is_text:
        body = source.rest()
        try:
            batch = json.decode_batch(body)
        except InvalidEvent:
            batch = []
        for event in batch:
            validate(event)
        try:
            event = json.decode(body)
        except InvalidEvent:
            return bool(batch)
        validate(event)
    else:
        event = _json_typed(events.event(source))
    demand(json.decode(json.encode(event)) == event, "written and read, an event is the same", event)
    demand(json.decode_batch(json.encode_batch([event, event])) == [event, event], "in a batch too", event)
    return True


def _json_typed(event: Event) -> Event:
    kept = {name: found if isinstance(found, int) else canonical(found) for name, found in event.extensions.items()}
    return event.but(extensions=kept)


def check_http(data: bytes) -> bool:
    """A message of the HTTP binding."""
    source = Source(data)
    if source.is_text:
        head, body = source.parts(2)
        lines = [text_of(line).partition(":") for line in head.split(b"\n")]
        try:
            found = http.decode([(name, value.strip()) for name, _, value in lines], body)
        except InvalidEvent:
            return False
        event = found[0] if found else seeds_event()
    else:
        event = events.event(source)
    untyped = event.but(
        data=event.data or None, extensions={name: canonical(value) for name, value in event.extensions.items()}
    )
    if not event.datacontenttype or not event.datacontenttype.lower().startswith("application/cloudevents"):
        headers, body = http.encode_binary(event)
        demand(http.decode(headers.items(), body) == [untyped], "in headers, an event is the same", event, headers)
    headers, body = http.encode_structured(event)
    demand(http.decode(headers.items(), body) == [_json_typed(event)], "structured, an event is the same", event)
    return True


def seeds_event() -> Event:
    """An event, where a batch has none."""
    return Event("1", "/a", "a")


def check_protobuf(data: bytes) -> bool:
    """An event, or a batch, in the protobuf format."""
    source = Source(data)
    if source.is_text:
        message = source.rest()
        try:
            protobuf.decode_batch(message)
        except InvalidEvent as problem:
            str(problem).encode()
        try:
            event = protobuf.decode(message)
        except InvalidEvent:
            return False
    else:
        event = protobuf.decode(protobuf.encode(events.event(source)))
    validate(event)
    demand(protobuf.decode(protobuf.encode(event)) == event, "written and read, an event is the same", event)
    demand(protobuf.decode_batch(protobuf.encode_batch([event])) == [event], "in a batch too", event)
    return True


def check_frames(data: bytes) -> bool:
    """A frame from a peer, also with a checksum that is right; and events packed by a client."""
    source = Source(data)
    if source.is_text:
        return _hostile_frame(source.rest())
    made = [events.event(source) for _ in range(1 + source.below(4))]
    batches = frames.pack("", made)
    frame = frames.parse(frames.seal(batches, origin="a/b@c", first=1 + source.byte(), accepted=1.0).data)
    demand(frames.open_frame(frame) == made, "sealed and opened, events are the same", made)
    demand(frames.types_of(frame) == [event.type for event in made], "a frame knows its types", made)
    one = frames.select(frame, [len(made) - 1])
    demand(frames.open_frame(frames.parse(one.data)) == made[-1:], "one is taken out of a frame", made)
    damaged = bytearray(frame.data)
    for _ in range(1 + source.below(3)):
        damaged[source.below(len(damaged))] ^= 1 + source.below(255)
    _hostile_frame(bytes(damaged))
    return True


def _hostile_frame(data: bytes) -> bool:
    opened = False
    checked = frames.CHECKED_FROM
    mended = data[:4] + xxh3_64_intdigest(data[checked:]).to_bytes(8, "little") + data[checked:]
    for one in (data, mended):
        try:
            frame = frames.parse(one)
            frames.open_frame(frame)
        except Damaged:
            continue
        opened = True
    try:
        found = frames.decode_events(data)
    except InvalidEvent:
        return opened
    for event in found:
        try:
            validate(event)
        except InvalidEvent:
            continue
        demand(frames.decode_events(frames.encode_events([event])) == [event], "packed, an event is the same", event)
    return True


def check_validate(data: bytes) -> bool:
    """Any event that a program can build."""
    source = Source(data)
    event = Event(
        _odd(source), _odd(source, 3), _odd(source), _odd(source) if source.rarely(3) else None,
        source.pick((None, "2026-01-31T12:00:00Z", _odd(source, 1))), source.pick((None, "a/b", _odd(source, 2))),
        source.pick((None, "a:b", _odd(source, 3))), source.pick((None, b"", b"a")), _extensions(source),
    )  # fmt: skip
    plain = is_plain(event)
    try:
        _check(event)
    except InvalidEvent as problem:
        demand(not plain, "what is plain is valid", problem, event)
        str(problem).encode()
        return False
    validate(event)
    demand(json.decode(json.encode(_json_typed(event))) == _json_typed(event), "what is valid can be written", event)
    headers, body = http.encode_binary(event)
    if not (event.datacontenttype or "").lower().startswith("application/cloudevents"):
        http.decode(headers.items(), body)
    demand(protobuf.decode(protobuf.encode(event)).id == event.id, "in protobuf too", event)
    return True


_ODD: tuple[tuple[str, ...], ...] = (
    ("1", "a b", "é", "\x00", "\ud800", "\ufdd0", "\U0001ffff", "", "a\x7f", "a\x85", "x" * (MAX_ATTRIBUTE + 1)),
    ("2026-02-29T00:00:00Z", "0000-02-29T00:00:00Z", "2026-01-31t12:00:00.1z", "2026-01-31T12:00:60+23:59",
     "2026-01-31 12:00:00Z", "9999-12-31T23:59:59-01:00"),
    ("text/plain; charset=utf-16", 'a/b;c="d"', "a",
     "application/cloudevents+json", "a/b ;", "a/b;;", 'a/b\t; x="\\""'),
    ("/a", "urn:x", "http://[::1]:80/a?b#c", "//a@b", "%", "%41", "a b", "1:2", ":", "?", "#", "a:" + "b" * 70_000,
     "http://[", "é"),
)  # fmt: skip


def _odd(source: Source, kind: int = 0) -> str:
    return source.text(12) if source.rarely(4) else source.pick(_ODD[kind])


def _extensions(source: Source) -> dict[str, object]:
    kinds = (
        Binary(b"\x00"),
        Uri(_odd(source, 3)),
        UriReference(_odd(source, 3)),
        Timestamp(_odd(source, 1)),
        _odd(source),
        1,
        True,
        2**31,
        1.5,
        None,
    )
    names = ("a", "a1", "A", "", "data", "é", "x" * 100, source.text(4), *sorted(RESERVED)[:2])
    return {source.pick(names): source.pick(kinds) for _ in range(source.below(3))}


def check_http1(data: bytes) -> bool:
    """Bytes of a connection: whole, and in pieces."""
    source = Source(data)
    cut = 1 + source.byte()
    stream = source.rest() if source.is_text else _HEAD + source.rest().replace(b"\x00", b"\r\n")
    whole, pieces = _requests([stream]), _requests([stream[at : at + cut] for at in range(0, len(stream), cut)])
    demand(whole == pieces, "in pieces, the same requests", whole, pieces)
    return any(isinstance(one, tuple) for one in whole)


def _requests(pieces: list[bytes]) -> list[object]:
    found: list[object] = []
    requests = Requests(LIMITS)
    try:
        for piece in pieces:
            requests.feed(piece)
            while (request := requests.next()) is not None:
                found.append((request.method, request.path, request.query, request.headers, request.keep, request.body))
            demand(
                requests.held <= LIMITS.request + LIMITS.head + len(piece) + 8, "what is held is bounded", requests.held
            )
    except BadRequest as problem:
        found.append(problem.status // 100)
    return found


def check_quantities(data: bytes) -> bool:
    """Durations and sizes."""
    source = Source(data)
    units = ("1.5h", "10s", "200ms", "3d", " ", "1GiB", "512B", "1 MB", ".", "999999999999TiB", "0.000000001s", "1h30m")
    text = text_of(source.rest()) if source.is_text else "".join(source.pick(units) for _ in range(source.below(4)))
    passed = False
    try:
        duration = seconds(text)
        demand(
            abs(seconds(duration_text(duration)) - duration) <= 0.0005 + duration * 1e-12, "written and read", duration
        )
        passed = True
    except ValueError as problem:
        demand(str(problem).startswith("not a duration"), "a refusal says what is expected", text)
    try:
        count = size(text)
        demand(size(size_text(count)) == count, "written and read", count)
        passed = True
    except ValueError as problem:
        demand(str(problem).startswith("not a size"), "a refusal says what is expected", text)
    return passed


def _http_seeds() -> Iterator[bytes]:
    head = "ce-id: 1\nce-source: /a\nce-type: a\nce-specversion: 1.0\nce-ext: a%20b\ncontent-type: application/json"
    yield written(head, '{"a": 1}')
    yield written("content-type: application/cloudevents+json; charset=utf-8", seeds.EVENT)
    yield written("content-type: application/cloudevents-batch+json", f"[{seeds.EVENT}]")


def _protobuf_seeds() -> Iterator[bytes]:
    event = json.decode(seeds.EVENT.encode())
    yield b"\x01" + protobuf.encode(event)
    yield b"\x01" + protobuf.encode_batch([event, event.but(data=b"\xff", time="2026-01-31T12:00:00Z")])


def _frame_seeds() -> Iterator[bytes]:
    event = json.decode(seeds.EVENT.encode())
    yield b"\x01" + frames.seal(frames.pack("", [event, event]), origin="a/b@c", first=7, accepted=1.0).data
    yield b"\x01" + frames.seal(frames.pack("", [event] * 50), origin="a/b@c", first=7, accepted=1.0).data
    yield b"\x01" + frames.encode_events([event, event])


def _http1_seeds() -> Iterator[bytes]:
    yield b"\x01\x07" + _HEAD + b"Content-Length: 3\r\n\r\nabcGET /b?c HTTP/1.1\r\nhost: b\r\nConnection: close\r\n\r\n"
    yield (
        b"\x01\x01"
        + _HEAD
        + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: a\r\n\r\n"
    )


_HTTP_WORDS = (
    "ce-id:",
    "ce-source:",
    "ce-type:",
    "ce-specversion: 1.0",
    "content-type: application/cloudevents+json",
    "%C3%A9",
    '"',
)
_HTTP1_WORDS = (
    "\r\n",
    "Content-Length: 5",
    "Transfer-Encoding: chunked",
    "HTTP/1.1",
    "HTTP/1.0",
    "Host: a",
    "0\r\n\r\n",
    "Expect: 100-continue",
    "GET ",
)
_JSON_WORDS = (
    "specversion",
    "1.0",
    "data_base64",
    "datacontenttype",
    "application/json",
    "null",
    "1e400",
    "\\ud800",
    "dataschema",
)
TARGETS = (
    Target(
        "json",
        "an event that is read is valid, and the same when written and read again",
        check_json,
        _JSON_WORDS,
        seeds.json_events,
    ),
    Target("http", "the same in headers and structured", check_http, _HTTP_WORDS, _http_seeds),
    Target("protobuf", "the same in protobuf", check_protobuf, ("1.0", SEPARATOR.decode()), _protobuf_seeds),
    Target("frames", "a frame opens to what was sealed, or is Damaged", check_frames, ("ISF",), _frame_seeds),
    Target(
        "validate", "the cheap signs pass nothing that the rules refuse; what is valid can be written", check_validate
    ),
    Target("http1", "requests are the same however the bytes come", check_http1, _HTTP1_WORDS, _http1_seeds),
    Target("quantities", "durations and sizes are read as they are written", check_quantities, ("GiB", "ms", "h")),
)
