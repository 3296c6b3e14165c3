"""Comparing strings as patterns do: without regard to case, by wildcards, and as IP addresses.

All of it in linear time: nothing is tried twice. Case is folded character by
character, as AWS's engine does: each stands for its lower and its upper form,
so `ß` is also `SS` but not `ss`. Addresses may be written in any way that
means the same; an IPv6 address that stands for an IPv4 one is that one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from gateway.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_ADDRESS = 64
"""Characters of a string that may still be an IP address."""
_V4_LENGTH = 15
_V4_PARTS = 4
_V6_PARTS = 8
_MAPPED = 0xFFFF << 32


class Folding:
    """A text, whatever the case of its characters."""

    __slots__ = ("_forms",)

    def __init__(self, text: str) -> None:
        # no form of a character begins or ends with another of it, so the first that fits is the only one
        self._forms = [tuple({char, char.lower(), char.upper()}) for char in text]

    def equals(self, value: str) -> bool:
        """Whether the value is the text."""
        return self._end(value) == len(value)

    def starts(self, value: str) -> bool:
        """Whether the value begins with the text."""
        return self._end(value) >= 0

    def ends(self, value: str) -> bool:
        """Whether the value ends with the text."""
        end = len(value)
        for forms in reversed(self._forms):
            for form in forms:
                if value.endswith(form, 0, end):
                    end -= len(form)
                    break
            else:
                return False
        return True

    def _end(self, value: str) -> int:
        """Where the text ends that the value begins with, or -1."""
        at = 0
        for forms in self._forms:
            for form in forms:
                if value.startswith(form, at):
                    at += len(form)
                    break
            else:
                return -1
        return at


@lru_cache(1024)
def pieces_of(wildcard: str) -> tuple[str, ...]:
    r"""The literal texts between the wildcards: "a*b" is ("a", "b"), "*" ("", ""), "\*" ("*",).

    :raises ConfigError: two wildcards side by side, or a backslash before anything but `*` and a backslash.
    """
    if "\\" not in wildcard:
        if "**" in wildcard:
            raise ConfigError(f"consecutive wildcard characters at position {wildcard.index('**')}")
        return tuple(wildcard.split("*"))
    pieces, piece, at, after = [], "", 0, False
    while at < len(wildcard):
        char = wildcard[at]
        if char == "*":
            if after:
                raise ConfigError(f"consecutive wildcard characters at position {at - 1}")
            pieces.append(piece)
            piece = ""
        elif char == "\\":
            at += 1
            if wildcard[at : at + 1] not in ("*", "\\"):
                raise ConfigError(rf"invalid escape at position {at - 1}, expected \* or \\")
            piece += wildcard[at]
        else:
            piece += char
        after = char == "*"
        at += 1
    return (*pieces, piece)


def wildcard(pieces: Sequence[str]) -> Callable[[str], bool]:
    """Whether a string is the pieces, in this order, with anything between them."""
    if len(pieces) == 1:
        return pieces[0].__eq__
    first, *between, last = pieces
    shortest = sum(map(len, pieces))

    def matches(value: str) -> bool:
        if len(value) < shortest or not value.startswith(first) or not value.endswith(last):
            return False
        at, end = len(first), len(value) - len(last)
        for piece in between:
            at = value.find(piece, at, end)
            if at < 0:
                return False
            at += len(piece)
        return True

    return matches


class Address(NamedTuple):
    """An IP address: its version, 4 or 6, and its bits."""

    version: int
    bits: int


def address_of(text: str) -> Address | None:
    """The address that the text is, or None."""
    if len(text) > MAX_ADDRESS or not text.isascii():
        return None
    if ":" in text:
        return _v6(text)
    parts = text.split(".")
    if len(text) > _V4_LENGTH or len(parts) != _V4_PARTS:
        return None
    bits = 0
    for part in parts:
        if not part.isdigit() or (number := int(part)) > 0xFF:  # noqa: PLR2004  # eight bits
            return None
        bits = bits << 8 | number
    return Address(4, bits)


def _v6(text: str) -> Address | None:
    head, gap, tail = text.partition("::")
    before, after = _groups(head), _groups(tail)
    if before is None or after is None:
        return None
    missing = _V6_PARTS - len(before) - len(after)
    if missing < 0 or (missing > 0) != bool(gap):
        return None
    bits = 0
    for group in (*before, *[0] * missing, *after):
        bits = bits << 16 | group
    if bits >> 32 == _MAPPED >> 32:
        return Address(4, bits & 0xFFFFFFFF)
    return Address(6, bits)


def _groups(text: str) -> list[int] | None:
    """The numbers between colons, or None if one is no group of an address."""
    if not text:
        return []
    groups = []
    for group in text.split(":"):
        if not group.isalnum():
            return None
        try:
            number = int(group, 16)
        except ValueError:
            return None
        if number > 0xFFFF:  # noqa: PLR2004  # sixteen bits
            return None
        groups.append(number)
    return groups


def network_of(cidr: str) -> tuple[int, int, int]:
    """Version, first and last address of a CIDR range.

    :raises ConfigError: it is none, or the whole address is fixed.
    """
    host, slash, mask = cidr.partition("/")
    if not slash or "/" in mask:
        raise ConfigError("malformed CIDR, one '/' required")
    if not (mask.isascii() and mask.isdigit()) or len(mask) > 4:  # noqa: PLR2004  # far above 128
        raise ConfigError("malformed CIDR, mask bits must be an integer")
    address = address_of(host)
    if address is None:
        raise ConfigError(f"nonstandard IP address {host!a:.60}")
    width = 32 if address.version == 4 else 128  # noqa: PLR2004  # IP version 4
    if int(mask) >= width:
        raise ConfigError(f"IPv{address.version} mask bits must be less than {width}; for one address write it alone")
    free = (1 << width - int(mask)) - 1
    return address.version, address.bits & ~free, address.bits | free
