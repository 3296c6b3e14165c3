"""What an index and a lens may know of a pattern: necessary keys, and the paths it reads in the data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

from gateway.core.event import canonical
from gateway.rules.pattern_nodes import All, Constant, Leaf, Numbers, Range, Strings
from gateway.rules.pattern_text import Digits
from gateway.rules.rule import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gateway.rules.pattern_nodes import Node, Term
    from gateway.rules.rule import Anchor, Path

MAX_KEYS: Final = 1000
"""Keys of one anchor; a longer one costs an index more than it saves."""
MAX_ANCHORS: Final = 16
"""Ways to index one pattern that are kept."""
_READINGS: Final = 3
"""Names of a path all of whose readings of dots are spelled out: four."""


def anchors_of(node: Node) -> tuple[Anchor, ...]:
    """The anchors of a pattern over events, best first: few keys, and exact ones."""
    return tuple(sorted(_anchors(node), key=_worth)[:MAX_ANCHORS])


def paths_read(fields: Iterable[Leaf]) -> list[Path] | None:
    """The paths that a pattern over events reads in the data, by every reading of dots; None: all of the data."""
    paths: dict[Path, None] = {}
    for leaf in fields:
        if leaf.path[0] == "data":
            if len(leaf.path) == 1:
                return None
            paths |= dict.fromkeys(_readings(leaf.path[1:]))
    return list(paths)


def _readings(path: Path) -> list[Path]:
    """The ways in which names with dots can make up the path; of a long path only the first name of each."""
    if len(path) > _READINGS:
        return [(".".join(path[:end]),) for end in range(1, len(path) + 1)]
    readings: list[Path] = [path]
    for end in range(2, len(path) + 1):
        first = ".".join(path[:end])
        readings.extend([(first, *rest) for rest in (_readings(path[end:]) if end < len(path) else [()])])
    if len(path) == _READINGS:
        readings.append((path[0], f"{path[1]}.{path[2]}"))
    return readings


def _anchors(node: Node) -> Sequence[Anchor]:
    if isinstance(node, Leaf):
        anchor = _anchor(node)
        return () if anchor is None else (anchor,)
    parts = [_anchors(part) for part in node.parts]
    if isinstance(node, All):
        return [anchor for part in parts for anchor in part]
    if not all(parts):
        return ()
    union = frozenset().union(*(min(part, key=_worth) for part in parts))
    return (union,) if len(union) <= MAX_KEYS else ()


def _worth(anchor: Anchor) -> tuple[int, int, int]:
    hows = [key.how for key in anchor]
    return hows.count("range"), len(hows) - hows.count("exact"), len(hows)


def _anchor(leaf: Leaf) -> Anchor | None:
    """The keys of a field of which one is there whenever the field holds, or None if no keys can say that."""
    name = leaf.path[0]
    if name in ("specversion", "data_base64") or leaf.path == ("data",):
        return None
    if name != "data":
        return _keys(leaf.terms, [name])
    if len(leaf.path) > _READINGS + 1:
        return None
    return _keys(leaf.terms, _readings(leaf.path[1:]))


def _keys(terms: Iterable[Term], wheres: Sequence[str | Path]) -> Anchor | None:
    keys: set[Key] = set()
    for term in terms:
        if isinstance(term, Strings) and not term.but and (how := _HOW.get(term.how)) is not None:
            if how != "exact" and "" in term.values:
                return None
            keys.update([Key(where, how, value) for where in wheres for value in term.values])
            continue
        if isinstance(term, Range) and not any(isinstance(where, str) for where in wheres):
            keys.update([Key(where, "range", _ends(term)) for where in wheres])
            continue
        values = _scalars(term)
        if values is None:
            return None
        for where in wheres:
            keys.update([key for value in values if (key := _exact(where, value)) is not None])
    return frozenset(keys) if len(keys) <= MAX_KEYS else None


def _ends(term: Range) -> tuple[float, float]:
    return -math.inf if term.low is None else term.low, math.inf if term.high is None else term.high


def _scalars(term: Term) -> Sequence[float | bool | None] | None:
    """The scalars, none of them a string, that alone satisfy the term; None: there are others."""
    if isinstance(term, Constant):
        return (term.value,)
    if isinstance(term, Numbers) and not term.but:
        numbers = [number for number in term.values if not isinstance(number, Digits)]
        return numbers if len(numbers) == len(term.values) else None
    return None


def _exact(where: str | Path, value: float | None) -> Key | None:
    """The key of a scalar; None if no attribute can have it."""
    if not isinstance(where, str):
        return Key(where, "exact", value)
    if isinstance(value, bool):
        return Key(where, "exact", canonical(value))
    if value is None or value != int(value):
        return None
    return Key(where, "exact", canonical(int(value)))


_HOW: Mapping[str, Literal["exact", "prefix", "suffix"]] = {"exact": "exact", "prefix": "prefix", "suffix": "suffix"}
