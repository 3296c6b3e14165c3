"""Why a CESQL expression kept an event out: the terms that were false, or failed, and what was there.

Terms are asked by code that is written as that of the whole expression is,
each when it is first needed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

from gateway.codec.validate import CORE
from gateway.core.event import canonical
from gateway.rules.cesql_functions import kind_of
from gateway.rules.cesql_tree import Logic, attributes, children
from gateway.rules.cesql_writing import valuation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.core.event import Event, ExtensionValue
    from gateway.rules.cesql_tree import Node, Value
    from gateway.rules.cesql_values import Fail

MAX_LINES = 20
"""Lines of an explanation."""
MAX_SHOWN = 80
"""Characters of a term or a value in a line."""
MAX_VALUES = 8
"""Attributes whose values stand in a line."""

_Outcome: TypeAlias = "tuple[Value | None, str | None]"
"""A value, or None and the kind of the error."""

_WORDS = {
    "math": "a math error",
    "cast": "a cast error",
    "missingAttribute": "a missing attribute",
    "missingFunction": "a missing function",
    "functionEvaluation": "a function that fails",
}


class Explanation:
    """Explains one expression."""

    def __init__(self, text: str, path: str, root: Node) -> None:
        self._text = text
        self._path = path
        self._root = root
        self._compiled: dict[tuple[int, int, bool], Callable[[Event, Fail, Fail], Value | None]] = {}
        """By place in the text, which no two nodes of one kind share, and by whether it is a condition."""

    def lines(self, event: Event) -> Sequence[str]:
        """One line for each term that kept the event out; none: the event passes."""
        value, error = self._outcome(self._root, event, as_condition=False)
        if value is True:
            return []
        if error is None and value is not False:
            return [f"{self._path}: {self._shown(self._root)} is {_quoted(value)}, not a Boolean"]
        found = self._reasons(self._root, event)
        if len(found) > MAX_LINES:
            found[MAX_LINES - 1 :] = [f"{self._path}: and {len(found) - MAX_LINES + 1} more"]
        return found

    def _reasons(self, node: Node, event: Event) -> list[str]:
        """Why the node is false, or fails."""
        _, error = self._outcome(node, event, as_condition=True)
        if not isinstance(node, Logic) or node.how == "XOR":
            return [self._failed(node, error, event) if error else self._is_false(node, event)]
        reasons: list[str] = []
        for part in node.parts:
            value, error = self._outcome(part, event, as_condition=True)
            if error is not None:
                if node.how == "AND" and reasons:
                    break  # what is false before it kept it from being asked
                return [*reasons, *self._reasons(part, event)]
            if value is False:
                reasons += self._reasons(part, event)
        return reasons

    def _is_false(self, node: Node, event: Event) -> str:
        return f"{self._path}: {self._shown(node)} is false{_values(node, event)}"

    def _failed(self, node: Node, error: str, event: Event) -> str:
        """The line of an error, about the innermost term that has it."""
        inner, deeper = node, True
        while deeper:
            deeper = False
            for part in children(inner):
                if self._outcome(part, event, as_condition=False)[1] == error:
                    inner, deeper = part, True
                    break
        place = "" if inner is node else f" in {self._shown(inner)}"
        return f"{self._path}: {self._shown(node)} has {_WORDS[error]} ({error}){place}{_values(inner, event)}"

    def _outcome(self, node: Node, event: Event, *, as_condition: bool) -> _Outcome:
        if kind_of(node) is bool:
            as_condition = False
        key = (id(node), node.start, as_condition)
        evaluate = self._compiled.get(key)
        if evaluate is None:
            evaluate = self._compiled[key] = valuation(node, self._path, as_condition=as_condition)
        errors: list[str] = []

        def fail(kind: str, _: Value | None = None, /) -> None:
            errors.append(kind)

        value = evaluate(event, fail, fail)
        return value, errors[0] if value is None else None

    def _shown(self, node: Node) -> str:
        return _short(" ".join(self._text[node.start : node.end].split()))


def _values(node: Node, event: Event) -> str:
    """What was there of the attributes that the node names."""
    names = list(attributes(node))
    found = [f"{_short(name)} is {_quoted(_value(event, name))}" for name in names[:MAX_VALUES]]
    if len(names) > MAX_VALUES:
        found.append("...")
    return f": {', '.join(found)}" if found else ""


def _value(event: Event, name: str) -> ExtensionValue | None:
    if name == "specversion":
        return "1.0"
    if name in CORE:
        return getattr(event, name)  # type: ignore[no-any-return]
    return event.extensions.get(name)


def _quoted(value: ExtensionValue | None) -> str:
    if value is None:
        return "missing"
    if isinstance(value, int):
        return canonical(value)
    text = canonical(value)
    return json.dumps(text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}...")


def _short(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown if len(shown) <= MAX_SHOWN else f"{shown[: MAX_SHOWN - 3]}..."
