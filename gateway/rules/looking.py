"""Looking: what a template reads in the data, without opening it for changes.

All places that the steps read are decoded in one go, and no more than these, as
long as no step has opened the data to change it. Reading takes the last of
members of the same name, as filters do; only a change refuses such an object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypedDict

import msgspec
from msgspec import Raw

from gateway.rules.members import peeked
from gateway.rules.places import Every

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.rules.members import Budget, Node
    from gateway.rules.places import Part

MAX_TOGETHER = 500
"""Paths that are decoded in one go; with more the data is looked through for each."""

Projection: TypeAlias = "Callable[[bytes], Node]"
"""As much of the data as is read; raises ValidationError where it has another shape."""


def projection_of(paths: Iterable[tuple[Part, ...]]) -> Projection:
    """What decodes the data as far as these paths need it, up to their first indexes."""
    names = {_names(path) for path in paths}
    if () in names or not 0 < len(names) <= MAX_TOGETHER:
        return msgspec.json.Decoder(Raw).decode
    return msgspec.json.Decoder(_shape(names)).decode


def look(node: Node, parts: tuple[Part, ...], budget: Budget, start: int = 0) -> Node | None:
    """What the parts from `start` on lead to; None: nothing is there, or the data has another shape.

    Of several (`[*]`) an array.
    """
    here: Node | None = node
    for depth in range(start, len(parts)):
        part = parts[depth]
        level = peeked(here, budget) if isinstance(here, Raw) else here
        if isinstance(level, dict):
            here = level.get(part) if isinstance(part, str) else None
        elif not isinstance(level, list):
            here = None
        elif part is Every.ELEMENT:
            return _gathered(level, parts, budget, depth + 1)
        else:
            here = level[part] if isinstance(part, int) and part < len(level) else None
        if here is None:
            return None
    return here


def _gathered(level: list[Node], parts: tuple[Part, ...], budget: Budget, start: int) -> list[Node]:
    budget.visit(len(level))
    is_nested = Every.ELEMENT in parts[start:]
    gathered: list[Node] = []
    for element in level:
        found = look(element, parts, budget, start)
        if is_nested and isinstance(found, list):
            gathered += found
        elif found is not None:
            gathered.append(found)
    return gathered


def _names(path: tuple[Part, ...]) -> tuple[str, ...]:
    """The names before the first index."""
    names: list[str] = []
    for part in path:
        if not isinstance(part, str):
            break
        names.append(part)
    return tuple(names)


def _shape(paths: Iterable[tuple[str, ...]]) -> object:
    """A TypedDict of the members that the paths name; where a path ends, whatever stands there.

    An object in which one of them is not ASCII is taken as it is: msgspec does
    not find such a member, and takes one without a name for it.
    """
    members: dict[str, set[tuple[str, ...]]] = {}
    for path in paths:
        members.setdefault(path[0], set()).add(path[1:])
    if not all(map(str.isascii, members)):
        return Raw
    kinds = {name: Raw if () in rest else _inside(rest) for name, rest in members.items()}
    return TypedDict("Shape", kinds, total=False)  # type: ignore[operator]  # made at run time


def _inside(paths: Iterable[tuple[str, ...]]) -> object:
    """The same of a member, which may be null."""
    shape = _shape(paths)
    return shape if shape is Raw else shape | None  # type: ignore[operator]  # made at run time
