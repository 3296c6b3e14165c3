"""Why a pattern keeps an event out, for people: each field that fails, what it expects and what is there.

Every field is compiled with the writer of the whole pattern: there is no second
interpreter that could say something else.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Final

from gateway.rules.pattern_arrays import found
from gateway.rules.pattern_nodes import All, Constant, Exists, Leaf, Network, Numbers, Range, Strings
from gateway.rules.pattern_text import Digits
from gateway.rules.pattern_writing import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gateway.core.event import Event
    from gateway.rules.pattern_nodes import How, Node, Term

MAX_LINES: Final = 20
"""Lines of one explanation."""
MAX_SHOWN: Final = 80
"""Characters of a value, and of an expectation."""
_MAX_VALUES: Final = 3
"""Values of one field that are shown."""


class Explainer:
    """Explains one pattern; `path` is where it stands."""

    def __init__(
        self, node: Node, path: str, look: Callable[[Event], object], matches: Callable[[Event], bool]
    ) -> None:
        self._node = node
        self._path = path
        self._look = look
        self._matches = matches

    def explain(self, event: Event) -> list[str]:
        """One line for each field that fails, at most `MAX_LINES`; none if the event passes."""
        if self._matches(event):
            return []
        lines = self._failing(self._node, event)
        if not lines:
            lines = [f"{self._path}: each field holds, but not all of them in one element of an array"]
        if len(lines) > MAX_LINES:
            more = len(lines) - MAX_LINES + 1
            lines[MAX_LINES - 1 :] = [f"{self._path}: and {more} more"]
        return lines

    def _failing(self, node: Node, event: Event) -> list[str]:
        if isinstance(node, Leaf):
            return self._failing_field(node, event)
        parts = [self._failing(part, event) for part in node.parts]
        if not isinstance(node, All) and not all(parts):
            return []
        return [line for part in parts for line in part]

    def _failing_field(self, leaf: Leaf, event: Event) -> list[str]:
        writer = Writer(leaf, self._look)
        if writer.of_events()(event):
            return []
        document = writer.document(event)
        expected = " or ".join(map(_expected, leaf.terms))
        return [f"{leaf.place}: expected {_short(expected)}, found {_found(document, leaf)}"]


def _found(document: dict[str, object], leaf: Leaf) -> str:
    values = list(islice(found(document, leaf.path), _MAX_VALUES + 1))
    if values:
        shown = [_short(_json(value)) for value in values[:_MAX_VALUES]]
        return ", ".join(shown) + (", ..." if len(values) > _MAX_VALUES else "")
    value: object = document
    for name in leaf.path:
        if not isinstance(value, dict) or name not in value:
            return "nothing"
        value = value[name]
    return "an object, which is no value" if isinstance(value, dict) else "an empty list"


def _json(value: object) -> str:
    return value.text if isinstance(value, Digits) else json.dumps(value, ensure_ascii=False)


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def _expected(term: Term) -> str:
    match term:
        case Strings():
            return _expected_strings(term)
        case Numbers(values, but):
            numbers = _listed(map(str, values))
            return f"anything but {numbers}" if but else f"the number {numbers}"
        case Range():
            return f"a number {_limits(term)}"
        case Network(_, first, last, text):
            return f"the address {text}" if first == last else f"an address in {text}"
        case Constant(value):
            return json.dumps(value)
        case Exists(there):
            return "any value" if there else "no value"


def _expected_strings(term: Strings) -> str:
    values = _listed([json.dumps(value, ensure_ascii=False) for value in term.values])
    if term.but:
        return f"anything but {_WORDS[term.how]}{values}"
    return f"{_A_STRING[term.how]}{values}"


def _limits(term: Range) -> str:
    low = None if term.low is None else f"{'>=' if term.low_in else '>'} {term.low}"
    high = None if term.high is None else f"{'<=' if term.high_in else '<'} {term.high}"
    return " and ".join([limit for limit in (low, high) if limit is not None])


def _listed(values: Iterable[str]) -> str:
    return " or ".join(values)


_WORDS: Mapping[How, str] = {
    "exact": "",
    "prefix": "what begins with ",
    "suffix": "what ends with ",
    "equals-ignore-case": "(in any case) ",
    "wildcard": "what is like ",
}
_A_STRING: Mapping[How, str] = {
    "exact": "",
    "prefix": "a string that begins with ",
    "suffix": "a string that ends with ",
    "equals-ignore-case": "in any case ",
    "prefix-ignore-case": "a string that begins, in any case, with ",
    "suffix-ignore-case": "a string that ends, in any case, with ",
    "wildcard": "a string like ",
}
