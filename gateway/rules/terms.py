"""Terms: a filter as it was read, and what is made of it.

written   one Python expression over the event `e`: a few attribute look-ups, many values of one attribute one set
anchors   what an index may find it by
failing   the terms that keep an event out, for people
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from gateway.codec.validate import CORE
from gateway.core.event import canonical
from gateway.rules.rule import Key, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.core.event import Event
    from gateway.rules.rule import Anchor

MAX_ANCHORS = 16
"""Ways to index one filter that are kept."""
SHOWN = 80
"""Characters of a value in an explanation."""
MAX_LINES = 20
"""Lines of one explanation."""

_REQUIRED = ("id", "source", "type")


@dataclass(frozen=True, slots=True)
class Leaf:
    """The attribute compares so with one of the values."""

    how: Literal["exact", "prefix", "suffix"]
    name: str
    values: tuple[str, ...]
    path: str = ""
    """Where it stands."""


@dataclass(frozen=True, slots=True)
class Group:
    """All or any of the parts, or not the one part."""

    how: Literal["all", "any", "not"]
    parts: tuple[Node, ...]
    path: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A filter in another language."""

    rule: Rule


Node: TypeAlias = Leaf | Group | Part


def rule_of(node: Node, name: str) -> Rule:
    """The rule that a filter is; `name` stands in tracebacks."""
    if isinstance(node, Part):
        return node.rule
    parts = list(_parts(node))
    return Rule(
        matches=predicate(node, name),
        explain=lambda event: failing(node, event)[:MAX_LINES],
        reads=frozenset(_names(node)).union(*(part.reads for part in parts)),
        looks=any(part.looks for part in parts),
        anchors=anchors(node),
    )


def predicate(node: Node, name: str = "filter") -> Callable[[Event], bool]:
    """The filter as one function."""
    space: dict[str, object] = {"text": canonical}
    source = f"lambda e: {_written(node, space)}"
    # what is written is ours: names are [a-z0-9]+, values stand as literals that repr() made
    return eval(compile(source, f"<{name}>", "eval"), space)  # type: ignore[no-any-return]  # noqa: S307


def anchors(node: Node) -> tuple[Anchor, ...]:
    """Necessary conditions of a filter, to choose one from."""
    if isinstance(node, Part):
        return node.rule.anchors
    if isinstance(node, Leaf):
        if node.name == "specversion":
            return ()
        return (frozenset(Key(node.name, node.how, value) for value in node.values),)
    if node.how == "not" or not node.parts:
        return ()
    parts = [anchors(part) for part in node.parts]
    return either(parts) if node.how == "any" else tuple(anchor for part in parts for anchor in part)[:MAX_ANCHORS]


def either(alternatives: Sequence[tuple[Anchor, ...]]) -> tuple[Anchor, ...]:
    """Necessary conditions of alternatives: one of each taken together, those about the same places first."""
    if not all(alternatives):
        return ()
    found: dict[Anchor, None] = {}
    for anchor in alternatives[0]:
        places = {key.where for key in anchor}
        joined = anchor
        for other in alternatives[1:]:
            joined |= min(other, key=lambda each: len({key.where for key in each} - places))
        found[joined] = None
    return tuple(found)[:MAX_ANCHORS]


def failing(node: Node, event: Event) -> list[str]:
    """The terms that keep this event out; none: it passes."""
    if isinstance(node, Part):
        return list(node.rule.explain(event))
    if predicate(node)(event):
        return []
    if isinstance(node, Leaf):
        expected = " or ".join(map(repr, node.values))
        how = {"exact": "", "prefix": "something that begins with ", "suffix": "something that ends with "}[node.how]
        return [f"{node.path}: expected {how}{expected:.{SHOWN}}, found {_found(event, node.name)}"]
    if node.how == "not":
        return [f"{node.path}: what must not hold does"]
    lines: list[str] = []
    for part in node.parts:
        if len(lines) >= MAX_LINES:
            break
        lines += failing(part, event)
    return lines


def _found(event: Event, name: str) -> str:
    value = "1.0" if name == "specversion" else getattr(event, name) if name in CORE else event.extensions.get(name)
    return "nothing" if value is None else f"{canonical(value)!r:.{SHOWN}}"


def _parts(node: Node) -> Sequence[Rule]:
    if isinstance(node, Part):
        return [node.rule]
    return [] if isinstance(node, Leaf) else [rule for part in node.parts for rule in _parts(part)]


def _names(node: Node) -> Sequence[str]:
    if isinstance(node, Leaf):
        return [] if node.name == "specversion" else [node.name]
    return [name for part in node.parts for name in _names(part)] if isinstance(node, Group) else []


def _written(node: Node, space: dict[str, object]) -> str:
    """The node as a Python expression over the event `e`; other languages are called by names put into `space`."""
    if isinstance(node, Leaf):
        return _written_leaf(node)
    if isinstance(node, Part):
        name = f"part{len(space)}"
        space[name] = node.rule.matches
        return f"{name}(e)"
    if node.how == "not":
        return f"(not {_written(node.parts[0], space)})"
    if not node.parts:
        return "True"
    parts = _gathered(node.parts) if node.how == "any" else node.parts
    joint = " or " if node.how == "any" else " and "
    cheap_first = sorted(parts, key=lambda part: isinstance(part, Part) and part.rule.looks)
    written = [_written(part, space) for part in cheap_first]
    return written[0] if len(written) == 1 else f"({joint.join(written)})"


def _gathered(parts: Sequence[Node]) -> Sequence[Node]:
    """The same alternatives, those about one attribute in one, in the order of first appearance."""
    values: dict[tuple[str, str], dict[str, None]] = {}
    gathered: dict[object, Node] = {}
    for part in parts:
        if isinstance(part, Leaf):
            key = (part.how, part.name)
            known = values.setdefault(key, {})
            known |= dict.fromkeys(part.values)
            gathered[key] = Leaf(part.how, part.name, tuple(known))
        else:
            gathered[len(gathered), id(part)] = part
    return list(gathered.values())


def _written_leaf(leaf: Leaf) -> str:
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


def _compared(leaf: Leaf, value: str) -> str:
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
