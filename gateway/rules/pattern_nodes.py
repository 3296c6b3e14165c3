"""What a pattern says, once read: fields with their terms, and how they are joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from gateway.rules.pattern_text import Digits
    from gateway.rules.rule import Path

Number: TypeAlias = "int | float | Digits"
How: TypeAlias = Literal[
    "exact", "prefix", "suffix", "equals-ignore-case", "prefix-ignore-case", "suffix-ignore-case", "wildcard"
]


class Strings(Struct, frozen=True, gc=False):
    """A string that compares so with one of the values; with `but`: any scalar except such a string."""

    how: How
    values: tuple[str, ...]
    but: bool = False


class Numbers(Struct, frozen=True):
    """One of these numbers; with `but`: any scalar except these numbers."""

    values: tuple[Number, ...]
    but: bool = False


class Range(Struct, frozen=True, gc=False):
    """A number between two others; None: no limit on that side."""

    low: float | None = None
    low_in: bool = False
    """Whether the limit itself belongs to the range."""
    high: float | None = None
    high_in: bool = False


class Network(Struct, frozen=True, gc=False):
    """A string that is an IP address of the version 4 or 6 from `first` to `last`."""

    version: int
    first: int
    last: int
    text: str
    """As the pattern has it."""


class Constant(Struct, frozen=True, gc=False):
    """True, false or null."""

    value: bool | None


class Exists(Struct, frozen=True, gc=False):
    """There is a scalar, or there is none."""

    there: bool


Term: TypeAlias = Strings | Numbers | Range | Network | Constant | Exists


class Leaf(Struct, frozen=True):
    """One field: any of the terms holds."""

    path: Path
    """Names inwards from the root, dots taken as steps: whoever has the dots in a name has the same path."""
    terms: tuple[Term, ...]
    place: str
    """Where it stands in the rule."""

    @property
    def takes_values(self) -> bool:
        """Whether a value can satisfy it."""
        return any(not isinstance(term, Exists) or term.there for term in self.terms)

    @property
    def takes_absence(self) -> bool:
        """Whether it is satisfied by having no value."""
        return any(isinstance(term, Exists) and not term.there for term in self.terms)


class All(Struct, frozen=True):
    """All parts hold, those below one array in the same element of it."""

    parts: tuple[Node, ...]


class Any(Struct, frozen=True):
    """`$or`: one of the parts holds."""

    parts: tuple[Node, ...]


Node: TypeAlias = Leaf | All | Any


def leaves(node: Node) -> list[Leaf]:
    """All fields, in the order of the pattern."""
    if isinstance(node, Leaf):
        return [node]
    return [leaf for part in node.parts for leaf in leaves(part)]


def combinations(node: Node) -> int:
    """How many conjunctions of fields the node is, multiplied out."""
    if isinstance(node, Leaf):
        return 1
    counts = [combinations(part) for part in node.parts]
    if isinstance(node, Any):
        return sum(counts)
    product = 1
    for count in counts:
        product *= count
    return product


def conjunctions(node: Node) -> list[dict[Path, Leaf]]:
    """The node multiplied out: by path the fields of each conjunction, the later of one path in place of the earlier.

    As long as `combinations` says: ask first.
    """
    return _extended([{}], node)


def _extended(known: list[dict[Path, Leaf]], node: Node) -> list[dict[Path, Leaf]]:
    if isinstance(node, Leaf):
        return [{**fields, node.path: node} for fields in known]
    if isinstance(node, Any):
        return [fields for part in node.parts for fields in _extended(known, part)]
    for part in node.parts:
        known = _extended(known, part)
    return known
