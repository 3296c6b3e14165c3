"""The data of an event as a tree that is opened level by level.

What no step looks into stays the bytes it came as, so numbers keep their text
and strings their escapes. A level that is looked into becomes a dict or a list
of such bytes, and is written without whitespace between its members. A name
that stands twice in such a level refuses the event: which of the two a
receiver would read, nobody knows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import Raw

from gateway.codec.payload import MALFORMED, why
from gateway.core.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_INSERTED = 3 * 1024 * 1024
"""Bytes that all steps together may insert into one event."""
MAX_SCANNED = 64 * 1024 * 1024
"""Bytes that the templates of all steps together may look through in one event, beyond its first decoding."""
MAX_VISITED = 200_000
"""Elements and members that all steps together may go through in one event."""

Node: TypeAlias = "Raw | dict[str, Node] | list[Node]"
Level: TypeAlias = dict[str, Node] | list[Node]

encode = msgspec.json.Encoder().encode
string_of = msgspec.json.Decoder(str).decode
_members: Callable[[bytes], dict[str, Node]]
_members = msgspec.json.Decoder(dict[str, Raw]).decode  # type: ignore[assignment]  # Raw is a Node
_elements: Callable[[bytes], list[Node]]
_elements = msgspec.json.Decoder(list[Raw]).decode  # type: ignore[assignment]  # Raw is a Node
whole = msgspec.json.Decoder(Raw).decode

_TWICE = "has two members of the same name"
_OBJECT, _ARRAY, _STRING, _NULL = b'{["n'
_SPACE = b" \t\r\n"
_KINDS = {"{": "an object", "[": "an array", '"': "a string", "t": "a boolean", "f": "a boolean", "n": "null"}


class NotJson(Rejected):
    """The data is not JSON in UTF-8, so nothing can be found in it."""


class Budget:
    """What the steps may still do to one event."""

    __slots__ = ("inserted", "scanned", "visited")

    def __init__(self) -> None:
        self.inserted = 0
        self.scanned = 0
        self.visited = 0

    def scan(self, size: int) -> None:
        """Note that so many bytes are looked through for a template.

        :raises Rejected: more than `MAX_SCANNED`.
        """
        self.scanned += size
        if self.scanned > MAX_SCANNED:
            raise Rejected(f"more than {MAX_SCANNED} bytes to look through")

    def insert(self, size: int) -> None:
        """Note that so many bytes come in.

        :raises Rejected: more than `MAX_INSERTED`.
        """
        self.inserted += size
        if self.inserted > MAX_INSERTED:
            raise Rejected(f"more than {MAX_INSERTED} bytes would be inserted")

    def visit(self, count: int) -> None:
        """Note that so many elements are gone through.

        :raises Rejected: more than `MAX_VISITED`.
        """
        self.visited += count
        if self.visited > MAX_VISITED:
            raise Rejected(f"more than {MAX_VISITED} elements and members to go through")


def parse(data: bytes) -> Node:
    """The data as one JSON value, opened if it is an object.

    :raises NotJson: it is not JSON in UTF-8.
    :raises Rejected: a name stands twice in it.
    """
    try:
        if not data.isascii():
            str(data, "utf-8")  # the decoder does not look at the bytes of what it skips
        if data[0] != _OBJECT:
            return whole(data)
        members = _members(data)
    except MALFORMED as problem:
        raise NotJson(f"the data is not JSON: {why(problem)}") from None
    if not _is_unique(data, len(data), members):
        raise Rejected(f"data {_TWICE}")
    return members


def opened(node: Node) -> Node:
    """The node as a dict or a list, if it is an object or an array.

    :raises Rejected: a name stands twice in it.
    """
    if not isinstance(node, Raw):
        return node
    text = memoryview(node)
    if text[0] == _OBJECT:
        members = _members(node)
        if not _is_unique(node, text.nbytes, members):
            raise Rejected(_TWICE)
        return members
    return _elements(node) if text[0] == _ARRAY else node


def peeked(raw: Raw, budget: Budget) -> Node:
    """The same for looking only: of members of the same name the last."""
    text = memoryview(raw)
    if text[0] in (_OBJECT, _ARRAY):
        budget.scan(text.nbytes)
        return _members(raw) if text[0] == _OBJECT else _elements(raw)
    return raw


def size_of(raw: Raw) -> int:
    """Bytes of its text."""
    return memoryview(raw).nbytes


def is_null(node: Node) -> bool:
    """Whether it is the JSON null."""
    return isinstance(node, Raw) and memoryview(node)[0] == _NULL


def is_string(raw: Raw) -> bool:
    """Whether it is a JSON string."""
    return memoryview(raw)[0] == _STRING


def is_level(raw: Raw) -> bool:
    """Whether it is an object or an array."""
    return memoryview(raw)[0] in (_OBJECT, _ARRAY)


def text_of(raw: Raw) -> str:
    """A string as it is, anything else as its JSON text."""
    return string_of(raw) if memoryview(raw)[0] == _STRING else str(raw, "utf-8")


def raw_of(node: Node) -> Raw:
    """The JSON text of it, which no later change touches."""
    return node if isinstance(node, Raw) else Raw(encode(node))


def kind_of(node: Node) -> str:
    """What it is, for a message."""
    if isinstance(node, Raw):
        return _KINDS.get(chr(memoryview(node)[0]), "a number")
    return "an object" if isinstance(node, dict) else "an array"


def _is_unique(text: bytes, size: int, members: dict[str, Node]) -> bool:
    """Whether the members are all that stand in the text, none of them twice.

    What we write is the shortest way to write them. A name that stands twice
    makes the text longer by something that is not whitespace, so the lengths
    decide; where they differ for another reason (a name with escapes), it is
    read once more.
    """
    written = encode(members)
    if len(written) == size:
        return True
    whole = bytes(text)
    if len(written.translate(None, _SPACE)) == len(whole.translate(None, _SPACE)):
        return True
    names = 0

    def count(pairs: list[tuple[str, object]]) -> None:
        nonlocal names
        names = len(pairs)  # the outermost object is the last to be complete

    json.loads(whole.decode(), object_pairs_hook=count, parse_int=str, parse_float=str)
    return names == len(members)
