"""Cheap signs that events are good: sufficient, never necessary.

What these functions pass, the rules in `gateway/codec/validate.py` pass as
well; what they do not pass may still be good. They know sources, types, names
and seconds that passed the rules before, and look at the rest in bulk.
"""

from __future__ import annotations

from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gateway.core.event import Event

MAX_TEXT = 2048
"""Characters of id, subject and extensions together up to which an event may be plain."""
SHORT = 256
"""Characters up to which a value is remembered."""
FEW = 16
"""Extensions up to which an event may be plain."""
MAX_SIZE = 4 * (MAX_TEXT + (5 + FEW) * SHORT)
"""No plain event has more bytes of attributes than this."""
TOGETHER = 100
"""Events that are looked at in one go."""
REMEMBERED = 4096

_FIRST, _LAST = 0x20, 0x7E
_PRINTABLE = bytes(code if _FIRST <= code <= _LAST else ord("?") for code in range(256))
"""Leaves printable ASCII as it is and changes everything else."""
_columns = attrgetter("id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data", "extensions")
_DIGITS = bytes(ord("0") if chr(code).isdigit() and code <= _LAST else code for code in range(256))
"""Makes every digit a 0, so that a time becomes its shape."""
_SHAPES = {b"0000-00-00T00:00:00" + tail for tail in (b"Z", *(b"." + b"0" * digits + b"Z" for digits in range(1, 10)))}
_DATA = {bytes, type(None)}

# bounded, so that a hostile sender costs time and no memory
_sources: set[str | None] = set()
_types: set[str | None] = set()
_content_types: set[str | None] = {None}
_schemas: set[str | None] = {None}
_names: set[str | None] = set()
_seconds: set[str | None] = set()


def remember(event: Event) -> None:
    """Note what an event that passed the rules is made of."""
    _note(_sources, event.source)
    _note(_types, event.type)
    _note(_content_types, event.datacontenttype)
    _note(_schemas, event.dataschema)
    if event.time is not None and event.time[19] in ".Z":
        _note(_seconds, event.time[:20])  # with its "." or "Z"
    for name in event.extensions:
        _note(_names, name)


def _note(known: set[str | None], value: str | None) -> None:
    if value is not None and len(value) <= SHORT:
        if len(known) >= REMEMBERED:
            known.clear()
            if known is _content_types or known is _schemas:
                known.add(None)
        known.add(value)


def is_plain(event: Event) -> bool:
    """Whether every attribute is of a kind that needs no closer look."""
    try:
        if (
            event.source not in _sources
            or event.type not in _types
            or event.datacontenttype not in _content_types
            or event.dataschema not in _schemas
            or ((data := event.data) is not None and data.__class__ is not bytes)
            or not event.id
        ):
            return False
        texts = [event.id]
        if (subject := event.subject) is not None:
            if not subject:
                return False
            texts.append(subject)
        if (extensions := event.extensions) and (len(extensions) > FEW or not _names.issuperset(extensions)):
            return False
        if event.time is not None and not _is_plain_time(event.time):
            return False
        return 0 < _plain_length(texts, extensions.values()) <= MAX_TEXT
    except (AttributeError, TypeError, UnicodeEncodeError):  # an attribute of a wrong type
        return False


def are_plain(events: Sequence[Event], *, limit: int) -> bool:
    """Whether all of at most `TOGETHER` events are plain, and of at most `limit` bytes each."""
    try:
        ids, sources, types, subjects, times, content_types, schemas, datas, extensions = zip(
            *map(_columns, events), strict=True
        )
        if not (
            _sources.issuperset(sources)
            and _types.issuperset(types)
            and _content_types.issuperset(content_types)
            and _schemas.issuperset(schemas)
            and _names.issuperset(chain.from_iterable(extensions))
            and all(ids)
            and "" not in subjects
            and max(map(len, extensions)) <= FEW
            and _DATA.issuperset(map(type, datas))
        ):
            return False
        texts = [*ids, *[subject for subject in subjects if subject is not None]]
        length = _plain_length(texts, [*chain.from_iterable(map(dict.values, extensions))])
        return (
            0 < length <= MAX_TEXT * TOGETHER // 4
            and max(map(len, filter(None, datas)), default=0) + 4 * length + MAX_SIZE <= limit
            and (not (there := [time for time in times if time is not None]) or _are_plain_times(there))
        )
    except (AttributeError, TypeError, UnicodeEncodeError):
        return False


def _plain_length(texts: Sequence[str], values: Collection[object]) -> int:
    """How many characters they are together, if all are printable; else 0.

    :raises TypeError: a text is no str, or a value neither a str nor a bool nor an int of 32 bits.
    """
    try:
        text = "".join([*texts, *values])  # type: ignore[list-item] # the TypeError is caught
    except TypeError:
        text = "".join([*texts, *[value for value in values if not _is_small(value)]])  # type: ignore[list-item] # not here
    raw = text.encode()
    # translate is several times as fast as isprintable and gives the same object when nothing changes
    return len(text) if raw.translate(_PRINTABLE) is raw or text.isprintable() else 0


def _is_small(value: object) -> bool:
    return value.__class__ is bool or (isinstance(value, int) and -(2**31) <= value < 2**31)


def _is_plain_time(time: str) -> bool:
    return time in _seconds or (
        time[:20] in _seconds and time[-1] == "Z" and time[20:-1].isdigit() and time.isascii() and len(time) <= SHORT
    )


def _are_plain_times(times: Sequence[str]) -> bool:
    """Whether all are of a known second and of the common shapes."""
    shapes = "\n".join(times).encode().translate(_DIGITS).split(b"\n")
    return (
        len(shapes) == len(times) and _SHAPES.issuperset(shapes) and _seconds.issuperset([time[:20] for time in times])
    )
