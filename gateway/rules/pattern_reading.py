"""A pattern as YAML or JSON gives it, read into nodes; everything that is wrong with it is noted with its place.

What AWS refuses is refused: empty objects and lists, operators it does not
know, more than one operator in one object, `$or` with fewer than two
alternatives. Its bound on wildcards is not needed here, since ours take linear time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gateway.codec.validate import CORE, is_extension_name
from gateway.core.errors import ConfigError
from gateway.rules.pattern_nodes import All, Any, Leaf, Node, combinations, conjunctions, leaves
from gateway.rules.pattern_terms import gathered, read_value, shown, weight
from gateway.rules.pattern_text import members

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.rules.pattern_nodes import Term
    from gateway.rules.rule import Path

MAX_DEPTH: Final = 64
"""Names on the way from the root to a value, those between dots counted."""
MAX_OR_DEPTH: Final = 16
"""`$or` inside `$or`."""
MAX_FIELDS: Final = 256
"""Fields of one pattern; AWS's engine allows no more in one conjunction either."""
MAX_TERMS: Final = 2000
"""Values and operators of one pattern."""
MAX_LENGTH: Final = 100_000
"""Characters of all names and values of one pattern; AWS allows 4,096."""
MAX_COMBINATIONS: Final = 1000
"""Conjunctions that `$or` makes when multiplied out, as AWS counts them."""
MAX_PROBLEMS: Final = 50
"""Problems of one pattern that are told."""

_RESERVED = frozenset(
    (
        *("exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr"),
        *("=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case"),
        *("date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range"),
        *("ip-address-in-range", "ip-address-not-in-range"),
    )
)
"""Names that AWS keeps for itself inside `$or`: there a field cannot be told from an operator."""
_MEANT = {"detail": "data", "detail-type": "type", "resources": "subject", "data-content-type": "datacontenttype"}
_WITHOUT_MEMBERS = CORE | {"data_base64"}


def read_pattern(spec: object, path: str, *, of_event: bool) -> Node:
    """Read a pattern; with `of_event` its fields must be such as a CloudEvent may have.

    In the node that is returned no field stands twice in one conjunction.

    :raises ConfigError: all that is wrong with it, each with its path from `path` on.
    """
    reader = _Reader(_check_event_path if of_event else None)
    if isinstance(spec, dict):
        node = reader.read_object(spec, path, (), ors=0)
    else:
        reader.wrong(path, f"expected a mapping of fields to lists of values, got {type(spec).__name__}")
    if reader.problems:
        raise ConfigError(*reader.problems)
    if (count := combinations(node)) > MAX_COMBINATIONS:
        raise ConfigError(f"{path}: $or makes {count} combinations, expected at most {MAX_COMBINATIONS}")
    return _single(node)


def _single(node: Node) -> Node:
    """The same, with only the later of two fields of one conjunction that have one path, as AWS's engine has it."""
    fields = leaves(node)
    if len({leaf.path for leaf in fields}) == len(fields) or not _stands_twice(node, frozenset()):
        return node
    return Any(tuple([All(tuple(fields.values())) for fields in conjunctions(node)]))


def _stands_twice(node: Node, above: frozenset[Path]) -> bool:
    """Whether a conjunction has one path twice, itself or with those above."""
    if isinstance(node, Leaf):
        return node.path in above
    if isinstance(node, Any):
        return any(_stands_twice(part, above) for part in node.parts)
    for part in node.parts:
        if _stands_twice(part, above):
            return True
        above = above.union([leaf.path for leaf in leaves(part)])
    return False


def _check_event_path(path: Path) -> str | None:
    """What keeps a CloudEvent from ever having the field, or None."""
    name = path[0]
    if name == "data":
        return None
    if name in _WITHOUT_MEMBERS or is_extension_name(name):
        return None if len(path) == 1 else f"{name} is an attribute, which has no members; data has"
    meant = _MEANT.get(name) or re.sub("[^a-z0-9]", "", name.lower())
    hint = f"perhaps {meant} is meant" if meant in CORE or meant == "data" else "the payload is under data"
    return f"{name!a:.40} is no CloudEvents attribute ([a-z0-9]+); {hint}"


class _Reader:
    """Reads a pattern into nodes and notes all that is wrong with it."""

    def __init__(self, check: Callable[[Path], str | None] | None) -> None:
        self.problems: list[str] = []
        self._check = check
        self._fields = MAX_FIELDS
        self._terms = MAX_TERMS
        self._length = MAX_LENGTH

    def wrong(self, place: str, problem: str) -> None:
        """Note a problem."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"{place}: {problem}" if place else problem)

    def read_object(self, spec: dict[str, object], place: str, path: Path, *, ors: int) -> Node:
        """Read the fields of an object, all of which must hold; `ors` is how many `$or` are around it."""
        if not spec:
            self.wrong(place, "expected at least one field, got an empty object")
        if len(path) > MAX_DEPTH:
            self.wrong(place, f"more than {MAX_DEPTH} names on the way to a value")
            return All(())
        parts: list[Node] = []
        for name, content in members(spec):
            if self._length < 0 or self._fields < 0 or len(self.problems) >= MAX_PROBLEMS:
                break
            here = f"{place}.{name}" if place else str(name)
            if name == "$or":
                parts.append(self._read_or(content, here, path, ors))
            elif not isinstance(name, str):
                self.wrong(place, f"{name!a:.40} is not a name")
            elif ors and name in _RESERVED:
                self.wrong(here, "the name of an operator, which cannot be a field inside $or")
            else:
                parts.extend(self._read_field(name, content, here, path, ors))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _read_field(self, name: str, content: object, place: str, path: Path, ors: int) -> Sequence[Node]:
        self._length -= len(name)
        if self._length < 0:
            self.wrong(place, f"the pattern has more than {MAX_LENGTH} characters")
            return ()
        inner = (*path, *name.split(".")) if "." in name else (*path, name)
        if isinstance(content, dict):
            return (self.read_object(content, place, inner, ors=ors),)
        if not isinstance(content, list):
            found = shown(content)
            self.wrong(place, f"expected an object or a list of values, got {found}; a single value stands in a list")
            return ()
        self._fields -= 1
        if self._fields < 0:
            self.wrong(place, f"the pattern has more than {MAX_FIELDS} fields")
            return ()
        if len(inner) > MAX_DEPTH:
            self.wrong(place, f"more than {MAX_DEPTH} names on the way to a value")
        if self._check is not None and (problem := self._check(inner)) is not None:
            self.wrong(place, problem)
        return (Leaf(inner, self._read_values(content, place), place),)

    def _read_values(self, content: list[object], place: str) -> tuple[Term, ...]:
        if not content:
            self.wrong(place, "expected a list of at least one value, got []")
        values = []
        for index, value in enumerate(content):
            terms, length = weight(value)
            self._terms -= terms
            self._length -= length
            if self._terms < 0:
                self.wrong(place, f"the pattern has more than {MAX_TERMS} values")
                break
            if self._length < 0:
                self.wrong(place, f"the pattern has more than {MAX_LENGTH} characters")
                break
            try:
                values.append(read_value(value))
            except ConfigError as problem:
                self.wrong(f"{place}[{index}]", str(problem))
        return gathered(values)

    def _read_or(self, content: object, place: str, path: Path, ors: int) -> Node:
        minimum = 2
        if not isinstance(content, list) or len(content) < minimum:
            self.wrong(place, "expected a list of at least two alternatives")
            return Any(())
        if ors >= MAX_OR_DEPTH:
            self.wrong(place, f"more than {MAX_OR_DEPTH} $or inside each other")
            return Any(())
        parts = []
        for index, spec in enumerate(content):
            if self._length < 0 or self._fields < 0 or len(self.problems) >= MAX_PROBLEMS:
                break
            here = f"{place}[{index}]"
            if isinstance(spec, dict):
                parts.append(self.read_object(spec, here, path, ors=ors + 1))
            else:
                self.wrong(here, f"expected an object of fields, got {shown(spec)}")
        return Any(tuple(parts))
