"""Whether an Event is a CloudEvent 1.0: the one check, at the doors.

The rules are here, with the words for what breaks them. Before them stand the
cheap signs of `gateway/codec/plain.py`, which pass nothing that the rules refuse.
"""

from __future__ import annotations

import re
import sys
from datetime import date
from typing import TYPE_CHECKING

from gateway.codec.plain import MAX_SIZE, TOGETHER, are_plain, is_plain, remember
from gateway.core.errors import InvalidEvent, TooLarge
from gateway.core.event import Binary, Timestamp, Uri, UriReference, canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.event import Event

MAX_ATTRIBUTE = 64 * 1024
"""Bytes of one attribute's canonical string in UTF-8."""
MAX_EXTENSIONS = 256
CORE = frozenset(("id", "source", "specversion", "type", "subject", "time", "datacontenttype", "dataschema"))
RESERVED = CORE | {"data", "data_base64"}
"""Names no extension may have."""

_PCHAR = r"[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2}"
_AUTHORITY = (
    r"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=:]|%[0-9A-Fa-f]{2})*+@)?"
    r"(?:\[[0-9A-Fa-fv:.A-Za-z\-_~!$&'()*+,;=]++\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+)(?::[0-9]*+)?"
)
_SEGMENT_WITHOUT_COLON = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=@]|%[0-9A-Fa-f]{2})++"
_TAIL = rf"(?:\?(?:{_PCHAR}|[/?])*+)?"
_FRAGMENT = rf"(?:\#(?:{_PCHAR}|[/?])*+)?"
_HIER = rf"(?://{_AUTHORITY}(?:/(?:{_PCHAR})*+)*+|/?(?:(?:{_PCHAR})++(?:/(?:{_PCHAR})*+)*+)?)"
_RELATIVE = rf"(?://{_AUTHORITY}(?:/(?:{_PCHAR})*+)*+|/(?:(?:{_PCHAR})++(?:/(?:{_PCHAR})*+)*+)?|(?:{_SEGMENT_WITHOUT_COLON}(?:/(?:{_PCHAR})*+)*+)?)"
_URI = rf"[A-Za-z][A-Za-z0-9+\-.]*+:{_HIER}{_TAIL}{_FRAGMENT}"

is_uri = re.compile(_URI).fullmatch
"""RFC 3986, section 3: with a scheme. A fragment is allowed, since schemas are named by it."""
is_uri_reference = re.compile(rf"{_URI}|{_RELATIVE}{_TAIL}{_FRAGMENT}").fullmatch
"""RFC 3986, section 4.1."""

_WORD = r"[A-Za-z0-9!#$%&'*+\-.^_`|~]++"
is_media_type = re.compile(
    rf'{_WORD}/{_WORD}(?:[ \t]*+;[ \t]*+(?:{_WORD}=(?:{_WORD}|"(?:[ !#-\[\]-~\t]|\\[ -~\t])*+"))?)*+[ \t]*+', re.ASCII
).fullmatch
"""type/subtype and parameters (RFC 2045, section 5.1; RFC 9110, section 8.3)."""
is_extension_name = re.compile(r"[a-z0-9]+", re.ASCII).fullmatch

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
).fullmatch
_DISALLOWED = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17))
    + "]"
).search


def validate(event: Event) -> None:
    """Pass if the event is a CloudEvent 1.0 within our bounds.

    :raises InvalidEvent: it is not; the message names the attribute and what was expected.
    """
    if not is_plain(event):
        _check(event)


def validate_all(events: Sequence[Event], *, limit: int) -> None:
    """Pass if every event is a CloudEvent 1.0 and its data and attributes together are at most `limit` bytes.

    :raises InvalidEvent: the first that is not one, with its index.
    :raises TooLarge: the first that is larger; the message has its index.
    """
    for start in range(0, len(events), TOGETHER):
        some = events[start : start + TOGETHER]
        if not are_plain(some, limit=limit):
            for index, event in enumerate(some, start):
                _validate_one(event, index, limit)


def validate_each(events: Sequence[Event]) -> None:
    """Pass if every event is a CloudEvent 1.0; sizes are not looked at.

    :raises InvalidEvent: the first that is not one, with its index.
    """
    for start in range(0, len(events), TOGETHER):
        some = events[start : start + TOGETHER]
        if not are_plain(some, limit=sys.maxsize):
            for index, event in enumerate(some, start):
                _validate_one(event, index, sys.maxsize)


def _validate_one(event: Event, index: int, limit: int) -> None:
    if is_plain(event):
        if len(event.data or b"") + MAX_SIZE <= limit:
            return
    else:
        try:
            _check(event)
        except InvalidEvent as problem:
            raise InvalidEvent(problem.reason, index=index) from None
    if (size := size_of(event)) > limit:
        raise TooLarge(f"event {index}: {size} bytes of data and attributes; the limit is {limit}")


def size_of(event: Event) -> int:
    """Bytes of the data and of all attributes, names of extensions included, in UTF-8."""
    size = len(event.data or b"")
    for text in (event.id, event.source, event.type):
        size += len(text.encode())
    for optional in (event.subject, event.time, event.datacontenttype, event.dataschema):
        size += len(optional.encode()) if optional else 0
    for name, value in event.extensions.items():
        size += len(name) + (len(value.value) if isinstance(value, Binary) else len(canonical(value).encode()))
    return size


def is_timestamp(text: object) -> bool:
    """Whether it is a string in RFC 3339 with a real day; a leap second passes."""
    parts = _RFC3339(text) if isinstance(text, str) and len(text) <= MAX_ATTRIBUTE else None
    if parts is None:
        return False
    year, month, day = (int(part) for part in parts.groups())
    try:
        date(year or 4, month, day)  # the year 0000 is in RFC 3339, not in Python, and leaps as 4 does
    except ValueError:
        return False
    return True


def disallowed(text: str) -> str | None:
    """The first character that no CloudEvents String may have, as U+XXXX; None if there is none."""
    found = _DISALLOWED(text)
    return f"U+{ord(found.group()):04X}" if found else None


def _check(event: Event) -> None:
    """Hold the event against the rules, and remember what was good."""
    _text("id", event.id)
    _text("source", event.source)
    if not is_uri_reference(event.source):
        raise InvalidEvent(f"source: {_shown(event.source)} is not a URI-reference (RFC 3986)")
    _text("type", event.type)
    if event.subject is not None:
        _text("subject", event.subject)
    if event.time is not None and not is_timestamp(event.time):
        raise InvalidEvent(f"time: {_shown(event.time)} is not an RFC 3339 timestamp like 2026-01-31T12:00:00Z")
    if event.datacontenttype is not None:
        _text("datacontenttype", event.datacontenttype)
        if not is_media_type(event.datacontenttype):
            raise InvalidEvent(f"datacontenttype: {_shown(event.datacontenttype)} is not a media type (RFC 2046)")
    if event.dataschema is not None:
        _text("dataschema", event.dataschema)
        if not is_uri(event.dataschema):
            raise InvalidEvent(f"dataschema: {_shown(event.dataschema)} is not an absolute URI (RFC 3986)")
    if event.data is not None and not isinstance(event.data, bytes):
        raise InvalidEvent(f"data: expected bytes, got {type(event.data).__name__}")
    _check_extensions(event)
    remember(event)


def _check_extensions(event: Event) -> None:
    if not isinstance(event.extensions, dict):
        raise InvalidEvent(f"extensions: expected a dict, got {type(event.extensions).__name__}")
    if len(event.extensions) > MAX_EXTENSIONS:
        raise InvalidEvent(f"extensions: {len(event.extensions)}; at most {MAX_EXTENSIONS} are taken")
    for name, value in event.extensions.items():
        if not isinstance(name, str) or not is_extension_name(name) or len(name) > MAX_ATTRIBUTE:
            raise InvalidEvent(f"{_shown(name)}: an extension's name must be lower-case letters and digits (a-z, 0-9)")
        if name in RESERVED:
            raise InvalidEvent(f"{name}: not a name for an extension")
        _check_extension(name, value)


def _check_extension(name: str, value: object) -> None:
    match value:
        case str():
            _text(name, value, empty=True)
        case bool():
            pass
        case int():
            if not -(2**31) <= value < 2**31:
                raise InvalidEvent(f"{name}: an Integer must be within 32 bits, from -2147483648 to 2147483647")
        case Binary() | Uri() | UriReference() | Timestamp():
            _check_typed(name, value)
        case _:
            raise InvalidEvent(f"{name}: expected a string, an integer or a boolean, got {type(value).__name__}")


def _check_typed(name: str, value: Binary | Uri | UriReference | Timestamp) -> None:
    if isinstance(value, Binary):
        if not isinstance(value.value, bytes):
            raise InvalidEvent(f"{name}: expected bytes, got {type(value.value).__name__}")
        if len(value.value) > MAX_ATTRIBUTE // 4 * 3:
            raise InvalidEvent(f"{name}: longer than {MAX_ATTRIBUTE} bytes as base64")
        return
    if isinstance(value, Timestamp):
        if not is_timestamp(value.value):
            raise InvalidEvent(f"{name}: {_shown(value.value)} is not an RFC 3339 timestamp")
        return
    _text(name, value.value, empty=isinstance(value, UriReference))
    if not (is_uri if isinstance(value, Uri) else is_uri_reference)(value.value):
        kind = "an absolute URI" if isinstance(value, Uri) else "a URI-reference"
        raise InvalidEvent(f"{name}: {_shown(value.value)} is not {kind} (RFC 3986)")


def _text(name: str, value: object, *, empty: bool = False) -> None:
    """Hold one attribute against the type String."""
    if not isinstance(value, str):
        raise InvalidEvent(f"{name}: expected a string, got {type(value).__name__}")
    if not value and not empty:
        raise InvalidEvent(f"{name}: must not be empty")
    if wrong := disallowed(value):
        raise InvalidEvent(f"{name}: has a character that CloudEvents does not allow ({wrong})")
    if len(value) > MAX_ATTRIBUTE // 4 and len(value.encode()) > MAX_ATTRIBUTE:
        raise InvalidEvent(f"{name}: longer than {MAX_ATTRIBUTE} bytes")


def _shown(value: object) -> str:
    """A value in a message: quoted, printable, short."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 # a line of a message
