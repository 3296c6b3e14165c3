"""Keeping: nothing of the data but what is named.

The named places become a tree, which is laid over the data: members that have
no branch fall away, members with an end stay as the bytes they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Raw

from gateway.core.errors import Rejected
from gateway.rules.members import is_null, kind_of, opened
from gateway.rules.places import Every, Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.rules.members import Budget, Node
    from gateway.rules.places import Part

Tree: TypeAlias = "dict[Part, Tree] | None"
"""Of each part what to keep inside; None: all of it."""


def tree_of(paths: Sequence[tuple[Part, ...]]) -> Tree:
    """The tree of some paths; what is named for each element holds for those with an index too."""
    if not paths or () in paths:
        return None
    branches: dict[Part, list[tuple[Part, ...]]] = {}
    for first, *rest in paths:
        branches.setdefault(first, []).append(tuple(rest))
    each = branches.get(Every.ELEMENT, [])
    return {first: tree_of([*rests, *each] if isinstance(first, int) else rests) for first, rests in branches.items()}


def kept(node: Node, tree: Tree, budget: Budget, where: tuple[Part, ...] = ()) -> Node:
    """What the tree keeps of the node, which stands there in the data.

    :raises Rejected: the data has another shape than the tree.
    """
    if tree is None or is_null(node):
        return node
    try:
        level = opened(node)
    except Rejected as problem:
        raise Rejected(f"{Place('data', where)} {problem}") from None
    if isinstance(level, Raw):
        raise _another(level, tree, where)
    budget.visit(len(level))
    if isinstance(level, dict):
        if level and not any(isinstance(part, str) for part in tree):
            raise _another(level, tree, where)
        return {name: kept(inner, tree[name], budget, (*where, name)) for name, inner in level.items() if name in tree}
    if level and all(isinstance(part, str) for part in tree):
        raise _another(level, tree, where)
    elements: list[Node] = []
    for index, inner in enumerate(level):
        part = index if index in tree else Every.ELEMENT
        if part in tree:
            elements.append(kept(inner, tree[part], budget, (*where, index)))
    return elements


def _another(node: Node, tree: dict[Part, Tree], where: tuple[Part, ...]) -> Rejected:
    expected = "an object" if any(isinstance(part, str) for part in tree) else "an array"
    return Rejected(f"{Place('data', where)} is {kind_of(node)}, expected {expected}")
