"""The filter dialects of the CloudEvents Subscriptions API, compiled to one predicate.

    exact prefix suffix   {attribute: string, ...}: all must hold; a missing attribute never does
    all any               a list of at least one filter
    not                   one filter

Attributes are compared by their canonical strings. A filter is read into nodes
once, and the nodes are written as one Python expression, so that an event costs
a few attribute look-ups: many values for one attribute become one set.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from gateway.codec.validate import CORE, RESERVED, is_extension_name
from gateway.core.errors import ConfigError
from gateway.core.event import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.core.event import Event

MAX_DEPTH = 32
"""Filters inside filters."""
MAX_TERMS = 1000
"""Comparisons in one filter."""
MAX_PROBLEMS = 50
"""Problems of one filter that are told."""

NOTHING: object = {"not": {"exact": {"specversion": "1.0"}}}
"""The filter that no event passes."""

_REQUIRED = ("id", "source", "type")
_DIALECTS = ("exact", "prefix", "suffix", "all", "any", "not")


@dataclass(frozen=True, slots=True)
class _Leaf:
    """The attribute compares so with one of the values."""

    how: Literal["exact", "prefix", "suffix"]
    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Group:
    """All or any of the parts, or not the one part."""

    how: Literal["all", "any", "not"]
    parts: tuple[_Node, ...]


_Node: TypeAlias = _Leaf | _Group


def compile_filter(
    spec: object, path: str = "filter", *, depth: int = MAX_DEPTH, terms: int = MAX_TERMS
) -> Callable[[Event], bool]:
    """Compile a filter as YAML or JSON gives it; a list means all of them, None and an empty list everything.

    The predicate never raises. `depth` and `terms` bound what is taken.

    :raises ConfigError: all that is wrong with it, each with its path from `path` on.
    """
    reader = _Reader(depth=depth, terms=terms)
    node = reader.read_top(spec, path)
    if reader.problems:
        raise ConfigError(*reader.problems)
    source = f"lambda e: {_written(node)}"
    # what is written is ours: names are [a-z0-9]+, values stand as literals that repr() made
    return eval(compile(source, f"<{path or 'filter'}>", "eval"), {"text": canonical})  # type: ignore[no-any-return]  # noqa: S307


def union(filters: Sequence[object | None]) -> object | None:
    """One filter that passes what any of these passes; None, in and out, is everything.

    Each stands in it once, in the order of first appearance. Of no filters at
    all the union is `NOTHING`.
    """
    chosen: dict[str, object] = {}
    for spec in filters:
        if spec is None or spec == []:
            return None
        for part in _alternatives(spec):
            chosen.setdefault(json.dumps(part, sort_keys=True), part)
    parts = list(chosen.values())
    if not parts:
        return NOTHING
    return parts[0] if len(parts) == 1 else {"any": parts}


def _alternatives(spec: object) -> Sequence[object]:
    """The filters of which the spec passes any."""
    if isinstance(spec, list):
        return _alternatives(spec[0]) if len(spec) == 1 else [{"all": spec}]
    if isinstance(spec, dict) and spec.keys() == {"any"} and isinstance(spec["any"], list):
        return spec["any"]
    return [spec]


@dataclass(slots=True)
class _Reader:
    """Reads a filter into nodes and notes all that is wrong with it."""

    depth: int
    terms: int
    problems: list[str] = field(default_factory=list)

    def read_top(self, spec: object, path: str) -> _Node:
        match spec:
            case None | []:
                return _Group("all", ())
            case list():
                return self._read_list("all", spec, path, self.depth)
            case _:
                return self._read(spec, path, self.depth)

    def _read(self, spec: object, path: str, depth: int) -> _Node:
        if not isinstance(spec, dict) or len(spec) != 1:
            found = f"one with {len(spec)} keys" if isinstance(spec, dict) else type(spec).__name__
            return self._wrong(path, f"expected a mapping with one dialect ({', '.join(_DIALECTS)}), got {found}")
        (how, content), *_ = spec.items()
        here = f"{path}.{how}" if path else str(how)
        if depth <= 0:
            return self._wrong(path, f"more than {self.depth} filters inside each other")
        match how:
            case "exact" | "prefix" | "suffix":
                return self._read_map(how, content, here)
            case "all" | "any":
                return self._read_list(how, content, here, depth - 1)
            case "not":
                return _Group("not", (self._read(content, here, depth - 1),))
            case _:
                return self._wrong(path, f"{how!a:.40} is not a dialect; they are {', '.join(_DIALECTS)}")

    def _read_list(self, how: Literal["all", "any"], specs: object, path: str, depth: int) -> _Node:
        if not isinstance(specs, list) or not specs:
            return self._wrong(path, "expected a list of at least one filter")
        parts = []
        for index, spec in enumerate(specs):
            if self.terms < 0 or len(self.problems) >= MAX_PROBLEMS:
                break
            parts.append(self._read(spec, f"{path}[{index}]", depth))
        return _Group(how, tuple(parts))

    def _read_map(self, how: Literal["exact", "prefix", "suffix"], content: object, path: str) -> _Node:
        if not isinstance(content, dict) or not content:
            return self._wrong(path, "expected a mapping of at least one attribute to a string")
        self.terms -= len(content)
        if self.terms < 0:
            return self._wrong(path, "too many comparisons in one filter")
        leaves = []
        for name, value in content.items():
            if not _is_attribute(name):
                self._wrong(path, f"{name!a:.40} is not an attribute's name")
            elif not isinstance(value, str) or not value:
                self._wrong(f"{path}.{name}", f"expected a string that is not empty, got {value!a:.40}")
            else:
                leaves.append(_Leaf(how, name, (value,)))
        return leaves[0] if len(leaves) == 1 else _Group("all", tuple(leaves))

    def _wrong(self, path: str, problem: str) -> _Node:
        self.problems.append(f"{path}: {problem}" if path else problem)
        return _Group("all", ())


def _is_attribute(name: object) -> bool:
    return isinstance(name, str) and (name in CORE or (bool(is_extension_name(name)) and name not in RESERVED))


def _written(node: _Node) -> str:
    """The node as a Python expression over the event `e`."""
    if isinstance(node, _Leaf):
        return _written_leaf(node)
    if node.how == "not":
        return f"not {_written(node.parts[0])}"
    if not node.parts:
        return "True"
    parts = _gathered(node.parts) if node.how == "any" else node.parts
    joint = " or " if node.how == "any" else " and "
    return _written(parts[0]) if len(parts) == 1 else f"({joint.join(map(_written, parts))})"


def _gathered(parts: Sequence[_Node]) -> Sequence[_Node]:
    """The same alternatives, those about one attribute in one, in the order of first appearance."""
    values: dict[tuple[str, str], dict[str, None]] = {}
    gathered: dict[object, _Node] = {}
    for part in parts:
        if isinstance(part, _Leaf):
            key = (part.how, part.name)
            known = values.setdefault(key, {})
            known |= dict.fromkeys(part.values)
            gathered[key] = _Leaf(part.how, part.name, tuple(known))
        else:
            gathered[len(gathered), id(part)] = part
    return list(gathered.values())


def _written_leaf(leaf: _Leaf) -> str:
    if leaf.name == "specversion":
        return str(_COMPARE[leaf.how]("1.0", leaf.values))
    if leaf.name not in CORE:
        value = f"e.extensions.get({leaf.name!r})"
        compared = _compared(leaf, "(v if v.__class__ is str else text(v))")
        return f"((v := {value}) is not None and {compared})"
    value = f"e.{leaf.name}"
    if leaf.how != "exact" and leaf.name not in _REQUIRED:
        value = f"({value} or '')"  # nothing begins or ends with the values, which are not empty
    return _compared(leaf, value)


def _compared(leaf: _Leaf, value: str) -> str:
    literals = ", ".join(map(repr, leaf.values))
    one = len(leaf.values) == 1
    if leaf.how == "exact":
        return f"({value} == {literals})" if one else f"({value} in {{{literals}}})"
    method = "startswith" if leaf.how == "prefix" else "endswith"
    return f"{value}.{method}({literals})" if one else f"{value}.{method}(({literals}))"


_COMPARE: Mapping[str, Callable[[str, tuple[str, ...]], bool]] = {
    "exact": lambda value, values: value in values,
    "prefix": str.startswith,
    "suffix": str.endswith,
}
