"""Place: where something stands in an event, as users write it.

subject  partitionkey                   an attribute or an extension
data                                    all of the data
data.order.id  data["odd.name"]         a member of an object in the data
data.items[0]  data.items[*].card       an element of an array, or each of them
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from gateway.codec.validate import CORE, RESERVED, disallowed, is_extension_name

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PLACE = 1024
"""Characters of one place."""
MAX_DEPTH = 32
"""Names and indexes in one path into the data."""
MAX_INDEX = 9_999_999
"""More elements than any event can have."""

_ROOTS = (*sorted(CORE), "data")
_HEAD = re.compile(r"""[^\s.\[\]{}|"'*\\]++""").match
_PART = re.compile(
    r"""\.([^\s.\[\]{}|"'*\\]++)|\[(?:([0-9]++)|(\*)|("(?:[^"\\]|\\.)*+")|'([^']*+)')\]""",
).match
_EXPECTED = """expected an attribute, an extension, data, or a path like data.order.id, data.items[0], \
data.items[*].card, data["odd.name"]"""


class Unreadable(Exception):
    """What a user wrote is not what it should be; the message is the problem, without its path."""


class Every(Enum):
    """Each element of an array."""

    ELEMENT = "*"


Part: TypeAlias = str | int | Every
"""A member's name, an element's index, or each element."""


@dataclass(frozen=True, slots=True)
class Place:
    """An attribute (no parts), or a path into the data."""

    root: str
    """The name of an attribute or extension, or `data`."""
    parts: tuple[Part, ...] = ()

    def __str__(self) -> str:
        return self.root + "".join(map(_written, self.parts))

    @property
    def is_data(self) -> bool:
        """Whether it is the data or stands in it."""
        return self.root == "data"

    def upto(self, depth: int) -> Place:
        """The place with so many of its parts."""
        return Place(self.root, self.parts[:depth])


def read_place(text: object) -> Place:
    """Read a place.

    :raises Unreadable: it is none.
    """
    if not isinstance(text, str):
        raise Unreadable(f"{text!a:.40} is not a place, {_EXPECTED}")
    place, end = scan_place(text, 0)
    if end < len(text):
        raise Unreadable(_stopped(text, end))
    return place


def scan_place(text: str, start: int) -> tuple[Place, int]:
    """Read the place that begins there, as far as it goes; also where it ends.

    :raises Unreadable: there is none.
    """
    head = _HEAD(text, start)
    if head is None:
        raise Unreadable(f"{text[start : start + 60]!a} is not a place, {_EXPECTED}")
    end, parts = head.end(), []
    while found := _PART(text, end):
        parts.append(_part(*found.groups()))
        end = found.end()
        if len(parts) > MAX_DEPTH:
            raise Unreadable(f"a path of more than {MAX_DEPTH} names, expected fewer")
    if end - start > MAX_PLACE:
        raise Unreadable(f"a place of {end - start} characters, expected at most {MAX_PLACE}")
    _check_root(head[0], text[start:end], is_path=bool(parts))
    return Place(head[0], tuple(parts)), end


def overlapping(places: Iterable[Place]) -> tuple[Place, Place] | None:
    """Two of the places of which one is the other or stands in it; None if there are none."""
    seen: list[Place] = []
    for place in places:
        for other in seen:
            if place.root == other.root and all(map(_meet, place.parts, other.parts)):
                return other, place
        seen.append(place)
    return None


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """Say that there is no such name, which there are, and which one was perhaps meant."""
    names = list(known)
    near = difflib.get_close_matches(str(name)[:64], names, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return f"{name!a:.40} is not {what}, expected one of {', '.join(names)}{meant}"


def is_unicode(text: str) -> bool:
    """Whether it can be written in UTF-8, which half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _meet(one: Part, other: Part) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return one == other or one is Every.ELEMENT or other is Every.ELEMENT


def _part(name: str | None, index: str | None, every: str | None, quoted: str | None, plain: str | None) -> Part:
    if name is not None:
        return name
    if every is not None:
        return Every.ELEMENT
    if index is not None:
        if len(index) > len(str(MAX_INDEX)) or str(int(index)) != index:
            raise Unreadable(f"[{index[:20]}] is not an index, expected a number from 0 to {MAX_INDEX}")
        return int(index)
    try:
        text = json.loads(quoted) if quoted is not None else plain
        str(text).encode()
    except ValueError:
        raise Unreadable(f"[{quoted!s:.40}] is not a name, expected a JSON string in the brackets") from None
    return str(text)


def _check_root(root: str, text: str, *, is_path: bool) -> None:
    """Refuse what begins no place."""
    if root == "data" or (not is_path and (root in CORE or (is_extension_name(root) and root not in RESERVED))):
        return
    if root in CORE:
        raise Unreadable(f"{text!a:.60} is not a place: {root} is a string and has no members, {_EXPECTED}")
    rest = text[len(root) :]
    near = difflib.get_close_matches(root.lower(), _ROOTS if not is_path else ("data",), n=1)
    meant = f"{near[0]}{rest}" if near else f"data.{text}"
    raise Unreadable(f"{text!a:.60} is not a place, {_EXPECTED}; did you mean {meant:.60}?")


def _stopped(text: str, end: int) -> str:
    rest = text[end:]
    if rest.startswith(".*"):
        hint = """each element of an array is [*], a member called * is ["*"]"""
    elif rest.startswith("[-"):
        hint = "elements are counted from the beginning, from 0 on"
    else:
        hint = """expected .name, [0], [*] or ["odd name"] there"""
    return f"{text!a:.60} is not a place from {rest!a:.20} on: {hint}"


def _written(part: Part) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    if isinstance(part, Every):
        return "[*]"
    is_plain = (found := _HEAD(part)) is not None and found.end() == len(part) and disallowed(part) is None
    return f".{part}" if is_plain else f"[{json.dumps(part, ensure_ascii=disallowed(part) is not None)}]"
