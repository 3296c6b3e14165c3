"""CESQL as a tree: what the grammar builds and every reader of an expression walks.

Parentheses are gone; NOT LIKE and NOT IN are a Not around a Like and an In.
Attributes and functions are named in one case (attributes lower, functions
upper): CESQL does not tell cases apart. Each node knows its place in the text.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

Value: TypeAlias = str | int | bool
"""String, Integer or Boolean: CESQL has no other values (CESQL 1.0, 3.1)."""


class Node(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A part of an expression, at `text[start:end]`."""

    start: int
    end: int


class Literal(Node, frozen=True, gc=False, kw_only=False):
    """A value that stands in the text."""

    value: Value


class Attribute(Node, frozen=True, gc=False, kw_only=False):
    """The value of an attribute."""

    name: str


class Exists(Node, frozen=True, gc=False, kw_only=False):
    """Whether the event has the attribute."""

    name: str


class Not(Node, frozen=True, gc=False, kw_only=False):
    """The other Boolean."""

    part: Node


class Negative(Node, frozen=True, gc=False, kw_only=False):
    """A minus before a value."""

    part: Node


class Like(Node, frozen=True, gc=False, kw_only=False):
    """Whether the part is like the pattern, whose escapes are still in it."""

    part: Node
    pattern: str


class In(Node, frozen=True, gc=False, kw_only=False):
    """Whether the part equals one of the elements."""

    part: Node
    elements: tuple[Node, ...]


class Arithmetic(Node, frozen=True, gc=False, kw_only=False):
    """Integers joined to an Integer."""

    how: str
    """`+ - * / %`."""
    left: Node
    right: Node


class Comparison(Node, frozen=True, gc=False, kw_only=False):
    """Values compared to a Boolean."""

    how: str
    """`= != < <= > >=`; what was written `<>` is `!=`."""
    left: Node
    right: Node


class Logic(Node, frozen=True, gc=False, kw_only=False):
    """A chain of one operator, flat however long it is."""

    how: str
    """`AND OR XOR`."""
    parts: tuple[Node, ...]


class Call(Node, frozen=True, gc=False, kw_only=False):
    """A function, which need not exist, called."""

    name: str
    arguments: tuple[Node, ...]


def children(node: Node) -> tuple[Node, ...]:
    """The parts of a node, in the order in which they are evaluated."""
    match node:
        case Comparison(left=left, right=right) | Arithmetic(left=left, right=right):
            return (left, right)
        case Logic(parts=parts) | Call(arguments=parts):
            return parts
        case In(part=part, elements=elements):
            return (part, *elements)
        case Not(part=part) | Negative(part=part) | Like(part=part):
            return (part,)
        case _:
            return ()


def attributes(node: Node) -> dict[str, None]:
    """The attributes that the node names, in order of first appearance, each once."""
    found: dict[str, None] = {}
    waiting = [node]
    while waiting:
        match waiting.pop():
            case Attribute(name=name) | Exists(name=name):
                found[name] = None
            case inner:
                waiting.extend(reversed(children(inner)))
    return found
