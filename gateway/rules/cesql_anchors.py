"""What must be in an event for a CESQL expression to be true, as an index can look it up.

An index compares an attribute's canonical string. CESQL casts, so one literal
may equal several of these: `x IN ('05')` also holds where x is the Integer 5.
All of them are keys, or, where they are without number, there is no anchor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gateway.codec.validate import CORE
from gateway.core.event import canonical
from gateway.rules import cesql_tree as tree
from gateway.rules.cesql_like import stretches
from gateway.rules.cesql_values import boolean_of, integer_of
from gateway.rules.rule import Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.rules.cesql_tree import Node, Value
    from gateway.rules.rule import Anchor

MAX_ANCHORS = 16
"""Anchors that are offered."""
MAX_KEYS = 1000
"""Keys of one anchor; a condition with more is none."""


def anchors(node: Node) -> tuple[Anchor, ...]:  # noqa: PLR0911  # one case a kind of node
    """Conditions, each of which every event fulfils for which the node is true without an error."""
    match node:
        case tree.Logic(how="AND", parts=parts):
            found = dict.fromkeys(anchor for part in parts for anchor in anchors(part))
            return tuple(found)[:MAX_ANCHORS]
        case tree.Logic(how="OR", parts=parts):
            return _of_any([anchors(part) for part in parts])
        case tree.Comparison(how="=", left=tree.Attribute(name=name), right=tree.Literal(value=value)):
            return _equals(name, value)
        case tree.Comparison(how="=", left=tree.Literal(value=value), right=tree.Attribute(name=name)):
            return _exact(name, _forms(name, value))
        case tree.In(part=tree.Attribute(name=name), elements=elements):
            literals = [element.value for element in elements if isinstance(element, tree.Literal)]
            if len(literals) == len(elements):
                return _exact(name, [form for value in literals for form in _forms(name, value)])
        case tree.Like(part=tree.Attribute(name=name), pattern=pattern):
            return _like(name, pattern)
    return ()


def _equals(name: str, value: Value) -> tuple[Anchor, ...]:
    """The attribute is cast to the type of the literal: to an Integer from too many strings (`05`, `+5`)."""
    if isinstance(value, str):
        return _exact(name, [value])
    return ()


def _forms(name: str, value: Value) -> Sequence[str]:
    """The canonical strings of all that equals the literal once it is cast to the type of the attribute."""
    forms = [canonical(value)]
    if name not in CORE:
        number = integer_of(value) if isinstance(value, str) else int(value)
        truth = boolean_of(value) if isinstance(value, str) else value != 0
        forms += [canonical(other) for other in (number, truth) if other is not None]
    return forms


def _like(name: str, pattern: str) -> tuple[Anchor, ...]:
    cut = stretches(pattern)
    first, last = cut[0], cut[-1]
    if len(cut) == 1 and first.is_plain:
        return _exact(name, [first.texts[0][1] if first.texts else ""])
    found: tuple[Anchor, ...] = ()
    if first.texts and first.texts[0][0] == 0:
        found += _of(name, "prefix", [first.texts[0][1]])
    if last.texts and sum((last.texts[-1][0], len(last.texts[-1][1]))) == last.size:
        found += _of(name, "suffix", [last.texts[-1][1]])
    return found


def _exact(name: str, values: Sequence[str]) -> tuple[Anchor, ...]:
    return _of(name, "exact", values)


def _of(name: str, how: Literal["exact", "prefix", "suffix"], values: Sequence[str]) -> tuple[Anchor, ...]:
    if name == "specversion" or len(values) > MAX_KEYS:  # it is no field of an event, and decides nothing
        return ()
    return (frozenset(Key(name, how, value) for value in values),)


def _of_any(choices: Sequence[tuple[Anchor, ...]]) -> tuple[Anchor, ...]:
    """One anchor of each side, together; best about one attribute, and exact."""
    if not all(choices):
        return ()
    together: dict[Anchor, None] = {}
    for wanted in choices[0]:
        place = _places(wanted)
        keys: set[Key] = set()
        for offered in choices:
            best: Anchor = min(offered, key=lambda anchor: (_places(anchor) != place, _cost(anchor)))
            keys |= best
            if len(keys) > MAX_KEYS:
                break
        else:
            together[frozenset(keys)] = None
    return tuple(together)


def _places(anchor: Anchor) -> frozenset[tuple[object, str]]:
    return frozenset((key.where, key.how) for key in anchor)


def _cost(anchor: Anchor) -> tuple[int, int]:
    return (sum(key.how != "exact" for key in anchor), len(anchor))
