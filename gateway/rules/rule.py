"""Rule: one compiled filter, whatever language it was written in.

    dialects ─┐
    pattern  ─┼─▶ Rule ─▶ match.py: all rules behind one index
    cesql    ─┤           explain: which term failed
    cel      ─┘

The law: `matches` never raises and never waits, and says the same however it
is reached: alone, through the index, at this end of a link or at the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.core.event import Event

Path: TypeAlias = tuple[str, ...]
"""Names of members, from the root of the data inwards."""


class Key(NamedTuple):
    """Something an index can look up: a value at a place of the event."""

    where: str | Path
    """An attribute's name, or the path of a value in the data; arrays on the way are entered."""
    how: Literal["exact", "prefix", "suffix", "range"]
    value: str | int | float | bool | tuple[float, float] | None
    """Of an attribute its canonical string; in the data a scalar, compared as Python does (1 is 1.0 and True: an index
    may find too much, never too little). Prefixes and suffixes are strings. A range is of numbers in the data: the
    least and the greatest, both of them in it."""


Anchor: TypeAlias = frozenset[Key]
"""A necessary condition: whatever event the rule passes has at least one of these keys."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A filter, ready to be asked."""

    matches: Callable[[Event], bool]
    explain: Callable[[Event], Sequence[str]]
    """Each term that kept the event out: its place in the rule, what was expected and what was there; empty: it
    matches. Slow, for people."""
    reads: frozenset[str] = frozenset()
    """The attributes that decide; all of them where `looks` is false."""
    looks: bool = False
    """Whether it may look into the data."""
    anchors: tuple[Anchor, ...] = ()
    """Each a way to index it, to choose from; none: it must be asked about every event."""
