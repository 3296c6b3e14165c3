"""The filter dialects of the CloudEvents Subscriptions API, compiled to one predicate.

    exact prefix suffix   {attribute: string, ...}: all must hold; a missing attribute never does
    all any               a list of at least one filter
    not                   one filter
    sql                   a CESQL expression
    match cel             ours: an event pattern, a CEL expression; these two may look into the data

Attributes are compared by their canonical strings. A filter is read into terms
once (terms.py), and these are written as one Python expression.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from gateway.codec.validate import CORE, RESERVED, is_extension_name
from gateway.core.errors import ConfigError
from gateway.rules import cel, cesql, pattern
from gateway.rules.lens import Lens
from gateway.rules.terms import Group, Leaf, Node, Part, rule_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    from gateway.rules.rule import Rule

    class Compile(Protocol):
        """How a language is compiled."""

        def __call__(self, spec: object, path: str, /, *, lens: Lens | None) -> Rule:
            """Compile what stands at that path."""
            ...


MAX_DEPTH = 32
"""Filters inside filters."""
MAX_TERMS = 1000
"""Comparisons in one filter."""
MAX_PROBLEMS = 50
"""Problems of one filter that are told."""

NOTHING: object = {"not": {"exact": {"specversion": "1.0"}}}
"""The filter that no event passes."""

_DIALECTS = ("exact", "prefix", "suffix", "all", "any", "not", "sql", "match", "cel")
LANGUAGES: Mapping[str, Compile] = {
    "sql": cesql.compile_cesql,
    "match": pattern.compile_pattern,
    "cel": cel.compile_cel,
}
"""The dialects that are languages of their own."""


def compile_filter(
    spec: object,
    path: str = "filter",
    *,
    lens: Lens | None = None,
    depth: int = MAX_DEPTH,
    terms: int = MAX_TERMS,
    any_name: bool = False,
) -> Rule:
    """Compile a filter as YAML or JSON gives it; a list means all of them, None and an empty list everything.

    Rules that are asked together share a lens. `depth` and `terms` bound what
    is taken. A name that no attribute can have is a mistake; with `any_name` it
    is one that no event has, as the Subscriptions API reads it.

    :raises ConfigError: all that is wrong with it, each with its path from `path` on.
    """
    reader = _Reader(depth=depth, terms=terms, lens=lens or Lens(), any_name=any_name)
    node = reader.read_top(spec, path)
    if reader.problems:
        raise ConfigError(*reader.problems)
    return rule_of(node, path or "filter")


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
    lens: Lens
    any_name: bool
    problems: list[str] = field(default_factory=list)

    def read_top(self, spec: object, path: str) -> Node:
        match spec:
            case None | []:
                return Group("all", ())
            case list():
                return self._read_list("all", spec, path, self.depth)
            case _:
                return self._read(spec, path, self.depth)

    def _read(self, spec: object, path: str, depth: int) -> Node:
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
                return Group("not", (self._read(content, here, depth - 1),), here)
            case _:
                return self._read_language(how, content, here, path)

    def _read_list(self, how: Literal["all", "any"], specs: object, path: str, depth: int) -> Node:
        if not isinstance(specs, list) or not specs:
            return self._wrong(path, "expected a list of at least one filter")
        parts = []
        for index, spec in enumerate(specs):
            if self.terms < 0 or len(self.problems) >= MAX_PROBLEMS:
                break
            parts.append(self._read(spec, f"{path}[{index}]", depth))
        return Group(how, tuple(parts), path)

    def _read_map(self, how: Literal["exact", "prefix", "suffix"], content: object, path: str) -> Node:
        if not isinstance(content, dict) or not content:
            return self._wrong(path, "expected a mapping of at least one attribute to a string")
        self.terms -= len(content)
        if self.terms < 0:
            return self._wrong(path, "too many comparisons in one filter")
        leaves = []
        for name, value in content.items():
            if not (_is_attribute(name) or (self.any_name and isinstance(name, str))):
                self._wrong(path, f"{name!a:.40} is not an attribute's name")
            elif not isinstance(value, str) or not value:
                self._wrong(f"{path}.{name}", f"expected a string that is not empty, got {value!a:.40}")
            else:
                leaves.append(Leaf(how, name, (value,), f"{path}.{name}"))
        return leaves[0] if len(leaves) == 1 else Group("all", tuple(leaves), path)

    def _read_language(self, how: object, content: object, path: str, outside: str) -> Node:
        if not isinstance(how, str) or how not in LANGUAGES:
            return self._wrong(outside, f"{how!a:.40} is not a dialect; they are {', '.join(_DIALECTS)}")
        self.terms -= 1
        if self.terms < 0:
            return self._wrong(path, "too many comparisons in one filter")
        try:
            return Part(LANGUAGES[how](content, path, lens=self.lens))
        except ConfigError as problem:
            self.problems += problem.problems
            return Group("all", ())

    def _wrong(self, path: str, problem: str) -> Node:
        self.problems.append(f"{path}: {problem}" if path else problem)
        return Group("all", ())


def _is_attribute(name: object) -> bool:
    return isinstance(name, str) and (name in CORE or (bool(is_extension_name(name)) and name not in RESERVED))
