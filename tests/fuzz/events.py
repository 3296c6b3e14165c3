"""Events and JSON, made of choices: few names and values, so that filters and events meet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gateway.codec.json import decode
from gateway.core.errors import InvalidEvent
from gateway.core.event import Binary, Event, Timestamp, Uri, UriReference
from gateway.rules.lens import ABSENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.event import ExtensionValue
    from tests.fuzz.source import Source

NAMES = ("a", "b", "c", "x", "total", "items", "a.b", "", "é", "$or", "0", "data", "__class__")
"""Of members of the data."""
ATTRIBUTES = ("type", "source", "subject", "id", "time", "datacontenttype", "dataschema", "ext", "n", "flag")
STRINGS = (
    "a",
    "ab",
    "abc",
    "b",
    "",
    "true",
    "1",
    "10.0.0.1",
    "2026-01-31T12:00:00Z",
    "é",
    "É",
    "\U0001f600",
    "*",
    "a'b\"c\\",
    "{a}",
    "\ud800",
    "ß",
    "\x00",
)
NUMBERS = (0, 1, 2, -1, 1.5, 0.1, -0.0, 2**31, -(2**31), 2**53 + 1, 2**63, 10**30, 1e-320, 1e308, 3.0)
TYPES = (
    "application/json",
    None,
    "text/plain",
    "application/x+json",
    "application/octet-stream",
    "text/plain; charset=utf-16",
)
MAX_DEPTH = 6
"""Objects and arrays inside each other, unless a rare choice makes it deep."""
DEEP = (40, 100, 1_100, 30_000)
LONG = (300, 3_000, 20_000)
"""How often something is repeated, where a rare choice makes it long."""
MAX_DATA = 1 << 20
"""Bytes of the data of an event, as much as a node takes unless it is told otherwise."""


def value(source: Source, depth: int = MAX_DEPTH, *, names: Sequence[str] = NAMES) -> object:
    """Any JSON value; few are as large as data may be."""
    kind = source.below(12) if depth > 0 else source.below(6)
    if kind >= 9:
        return {source.pick(names): value(source, depth - 1, names=names) for _ in range(source.below(4))}
    if kind >= 6:
        return [value(source, depth - 1, names=names) for _ in range(source.below(4))]
    return scalar(source)


def scalar(source: Source) -> object:
    """A JSON value that is no object and no array."""
    match source.below(8):
        case 0 | 1 | 2:
            return source.pick(STRINGS)
        case 3 | 4:
            return source.pick(NUMBERS)
        case 5:
            return source.pick((True, False, None))
        case 6:
            return source.text()
        case _:
            return source.below(65_536) - 100


def well_formed(source: Source) -> bytes:
    """JSON as any writer makes it: what a pattern sees of it is the same however it is parsed."""
    return json.dumps(_without_surrogates(value(source)), ensure_ascii=source.rarely(2)).encode()


def _without_surrogates(content: object) -> object:
    if isinstance(content, str):
        return content.encode("utf-8", "replace").decode()
    if isinstance(content, list):
        return [_without_surrogates(item) for item in content]
    if isinstance(content, dict):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in content.items()}
    return content


def json_text(source: Source) -> bytes:
    """JSON, or nearly: with members twice, numbers beyond all bounds, bytes that are not UTF-8, and deep."""
    return b"".join(_pieces(source, MAX_DEPTH))


def _pieces(source: Source, depth: int) -> list[bytes]:
    kind = source.below(16) if depth > 0 else source.below(8)
    if kind >= 12:
        pieces = [b"{"]
        for index in range(source.below(5)):
            name = json.dumps(source.pick(NAMES)).encode()
            pieces += [b"," if index else b"", name, b":", *_pieces(source, depth - 1)]
        return [*pieces, b"}"]
    if kind >= 8:
        pieces = [b"["]
        for index in range(source.below(4)):
            pieces += [b"," if index else b"", *_pieces(source, depth - 1)]
        return [*pieces, b"]"]
    if kind == 7:
        return [_odd(source)]
    return [json.dumps(scalar(source), ensure_ascii=source.rarely(2)).encode("utf-8", "surrogatepass")]


def _odd(source: Source) -> bytes:
    odd: tuple[bytes, ...] = (
        b"1e400", b"-1e999", b"1E+2", b"0.1000000000000000055511151231257827", b"9" * 401, b"9" * 5000, b"-0",
        b"-0.0", b"NaN", b"Infinity", b"01", b"1.", b'"\xff"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"',
        b'"\\q"', b" \t\r\n1 ", b"1e-400", b"\xef\xbb\xbf1", b"", b"tru", b'"a', b"1" + b"0" * 308,
        b"18446744073709551616", b'"\x01"', b"1e99999999999999999999",
    )  # fmt: skip
    if source.rarely(8):
        deep, (opening, closing) = source.pick(DEEP), source.pick(((b"[", b"]"), (b'{"a":', b"}")))
        return opening * deep + b"1" + closing * deep
    if source.rarely(8):
        return b"[" + b",".join([source.pick(odd[:4]) or b"1"] * source.pick(LONG)) + b"]"
    return source.pick(odd)


def event(source: Source, data: bytes | None = None, *, typed: bool = False) -> Event:
    """A valid event; with its data if that is given (and, `typed`, JSON by its type)."""
    if data is None and not source.rarely(8):
        data = well_formed(source) if source.rarely(2) else json_text(source)
    return Event(
        id=source.pick(("1", "2", "a", "é")),
        source=source.pick(("/a", "/a/b", "https://a.example/b?c=d#e", "urn:x:1")),
        type=source.pick(("a", "ab", "com.acme.order.created", "b", "é")),
        subject=source.pick((None, "a", "ab", "1", "true", "10.0.0.1")),
        time=source.pick((None, "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456789+05:30", "1990-12-31T23:59:60Z")),
        datacontenttype="application/json" if typed else source.pick(TYPES),
        dataschema=source.pick((None, "https://a.example/s#/v1")),
        data=None if data is None else data[:MAX_DATA],
        extensions={source.pick(("ext", "n", "flag", "x", "y1")): extension(source) for _ in range(source.below(4))},
    )


def extension(source: Source) -> ExtensionValue:
    """A value of an extension, of any type."""
    values: tuple[ExtensionValue, ...] = (
        "a", 1, True, "true", "1", False, 0, -5, 2**31 - 1, "", "ab", Binary(b"Ma"), Uri("https://a.example/%20"),
        UriReference(""), UriReference("/a"), Timestamp("2026-01-31T12:00:00Z"), "é", " ", "10.0.0.1",
    )  # fmt: skip
    return source.pick(values)


def written_event(text: bytes, otherwise: Event) -> Event:
    """The event that a text is in the JSON format; if it is none, one that has the text for its data."""
    try:
        return decode(text)
    except InvalidEvent:
        return otherwise.but(data=text)


def at(value: object, path: tuple[str, ...]) -> object:
    """What stands at a path, in each element of an array on the way, or the first thing that has no members."""
    for depth, name in enumerate(path):
        if isinstance(value, list):
            return [inner if isinstance(inner, list) else at(inner, path[depth:]) for inner in value]
        if not isinstance(value, dict):
            return value
        value = value.get(name, ABSENT)
    return value
