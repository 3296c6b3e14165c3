"""Paths into the data: change, take out and put in what stands there.

The law: where a path runs into something of another shape than it says, the
event is refused; what is simply not there is nothing to do. Null, `{}` and `[]`
hold nothing, whatever is looked for in them.

All functions work on the `top` of the data, `{"data": ...}`, or `{}` where the
event has none, and open in place the levels that they pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Raw

from gateway.core.errors import Rejected
from gateway.rules.members import Level, is_null, kind_of, opened, raw_of, size_of
from gateway.rules.places import Every, Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.rules.members import Budget, Node
    from gateway.rules.places import Part

Spot: TypeAlias = tuple[Level, str | int]
"""An object or array and the name or index in it, where something stands or might."""


def change(top: dict[str, Node], place: Place, budget: Budget, how: Callable[[Node], Node]) -> bool:
    """Put something else at each spot where something stands; whether there was any.

    :raises Rejected: the data has another shape.
    """
    is_changed = False
    for spot in _spots(top, place, budget):
        if (node := _get(spot)) is not None:
            _set(spot, how(node))
            is_changed = True
    return is_changed


def take(top: dict[str, Node], place: Place, budget: Budget) -> list[Node]:
    """Take out what stands at the place; empty: nothing did.

    :raises Rejected: the data has another shape.
    """
    taken = []
    for spot in _spots(top, place, budget)[::-1]:  # the last first, so that indexes stay true
        level, key = spot
        if isinstance(level, dict):
            node = level.pop(str(key), None)
        else:
            node = level.pop(key) if isinstance(key, int) and key < len(level) else None
        if node is not None:
            taken.append(node)
    return taken


def put(top: dict[str, Node], place: Place, node: Node, budget: Budget) -> bool:
    """Put it at each spot of the place, making the objects that are missing on the way; whether there was any.

    :raises Rejected: an element that is not there, or the data has another shape.
    """
    spots = _spots(top, place, budget, makes=True)
    if len(spots) > 1:
        node = raw_of(node)  # so that no two spots share what may be changed later
        budget.insert(size_of(node) * len(spots))
    for spot in spots:
        if isinstance(spot[0], list) and _get(spot) is None:
            raise _not_there(place)
        _set(spot, node)
    return bool(spots)


def rename(top: dict[str, Node], parent: Place, names: dict[str, str], budget: Budget) -> bool:
    """Give members of the objects at `parent` other names, all at once, where they stand; whether any was there.

    A member that has a new name already gives way.

    :raises Rejected: the data has another shape.
    """
    is_changed = False
    inside = Place(parent.root, (*parent.parts, ""))
    for level, _ in _spots(top, inside, budget):
        if not isinstance(level, dict):
            continue
        there = {old: new for old, new in names.items() if old in level}
        if there:
            gone = set(there.values()) - there.keys()
            budget.visit(len(level))
            members = [(there.get(name, name), node) for name, node in level.items() if name not in gone]
            level.clear()
            level.update(members)
            is_changed = True
    return is_changed


def _spots(top: dict[str, Node], place: Place, budget: Budget, *, makes: bool = False) -> list[Spot]:
    """Where the place is in this data, whether something stands there or not.

    `makes`: make the objects that are missing on the way.
    """
    parts = place.parts
    if len(parts) == 1 and isinstance(data := top.get(place.root), dict) and isinstance(name := parts[0], str):
        return [(data, name)]
    spots: list[Spot] = [(top, place.root)]
    for depth, part in enumerate(parts):
        inner: list[Spot] = []
        for spot in spots:
            node = _open(spot, place, depth)
            if node is None or is_null(node):
                if not makes or part is Every.ELEMENT:
                    continue
                node = _make(spot, part, place)
            if isinstance(node, dict if isinstance(part, str) else list):
                _go_in(node, part, inner, budget)
            elif node or makes:  # what is empty and of another shape holds nothing
                expected = "an object" if isinstance(part, str) else "an array"
                raise Rejected(f"{place.upto(depth)} is {kind_of(node)}, expected {expected}")
        spots = inner
    return spots


def _go_in(node: Node, part: Part, spots: list[Spot], budget: Budget) -> None:
    """Add the spots of this part in an object or array that fits it."""
    if isinstance(node, dict) and isinstance(part, str):
        spots.append((node, part))
    elif isinstance(node, list) and part is Every.ELEMENT:
        budget.visit(len(node))
        spots += [(node, index) for index in range(len(node))]
    elif isinstance(node, list) and isinstance(part, int):
        spots.append((node, part))


def _open(spot: Spot, place: Place, depth: int) -> Node | None:
    """What stands there, opened for good."""
    node = _get(spot)
    if node is None or node.__class__ is not Raw:
        return node
    try:
        inner = opened(node)
    except Rejected as problem:
        raise Rejected(f"{place.upto(depth)} {problem}") from None
    if inner is not node:
        _set(spot, inner)
    return inner


def _make(spot: Spot, part: Part, place: Place) -> Node:
    """An object, put where nothing stands."""
    if isinstance(part, int) or (isinstance(spot[0], list) and _get(spot) is None):
        raise _not_there(place)
    made: dict[str, Node] = {}
    _set(spot, made)
    return made


def _not_there(place: Place) -> Rejected:
    return Rejected(f"{place} is not there, and arrays are not made longer")


def _get(spot: Spot) -> Node | None:
    level, key = spot
    if isinstance(level, dict):
        return level.get(key) if isinstance(key, str) else None
    return level[key] if isinstance(key, int) and key < len(level) else None


def _set(spot: Spot, node: Node) -> None:
    level, key = spot
    if isinstance(level, dict):
        if isinstance(key, str):
            level[key] = node
    elif isinstance(key, int):
        level[key] = node
