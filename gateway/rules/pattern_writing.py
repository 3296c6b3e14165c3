"""A pattern, written as one Python expression and compiled.

The expression looks names up in plain objects, which is what nearly all
documents are made of. Where a value is not as wanted, it asks whether the
document has another shape: an array on the way, a name with a dot in it, a
member that stands twice. If so, the field is looked for the careful way
(pattern_arrays.py), and if other fields may share an array with it, `f` notes
that in the end the whole pattern must be asked that way.

    e event   d data or document   x1, x2 objects on the way   v value   f see above
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from types import CodeType
from typing import TYPE_CHECKING, Final

from gateway.codec.validate import CORE
from gateway.core.event import canonical
from gateway.rules.lens import ABSENT
from gateway.rules.pattern_arrays import Documents
from gateway.rules.pattern_expressions import SPACE, bound, written
from gateway.rules.pattern_nodes import All, Constant, Leaf, leaves
from gateway.rules.pattern_text import Twice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.core.event import Event
    from gateway.rules.pattern_nodes import Node
    from gateway.rules.rule import Path

MAX_SHAPES: Final = 4096
"""Shapes of patterns whose code is kept."""
_METHODS: Final = frozenset(("look", "slow", "encoded", "each", "reach", "stray", "odd", "lacks"))
"""What an expression calls of its writer."""
_is_bound: Final = re.compile(r"t[0-9]+").fullmatch
_INLINE: Final = 2
"""Names of a path whose other readings the expression itself asks for; more would take long to compile."""
_MISSING: Final = object()
_NOTE: Final = " and (f := True)"
_REQUIRED: Final = ("id", "source", "type")


def value_at(value: object, path: Path) -> object:
    """The value at a path of plain objects, `_MISSING` if there is none."""
    for name in path:
        if not isinstance(value, dict):
            return _MISSING
        value = value.get(name, _MISSING)
    return value


_SPACE: Final[dict[str, object]] = {
    **SPACE,
    "M": _MISSING,
    "A": ABSENT,
    "O": {},
    "V": "1.0",
    "P": frozenset((str, int, bool, type(None))),
    "L": frozenset((list, Twice)),
    "G": frozenset((object, dict, Twice)),
    "Twice": Twice,
    "at": value_at,
    "text": canonical,
}


def attribute_of(event: Event, name: str) -> str | int | bool | None:
    """An attribute as the JSON form of the event has it; None: it has none. `data` is no attribute."""
    if name == "specversion":
        return "1.0"
    if name in CORE:
        value: str | None = getattr(event, name)
        return value
    extension = event.extensions.get(name)
    return extension if extension is None or isinstance(extension, str | int) else canonical(extension)


def predicate(source: str, space: dict[str, object]) -> Callable[..., bool]:
    """The function that the source of a lambda is; in it stand names of ours, and nothing that a user wrote."""
    names, make = _shape(source)
    return make(*[space.get(name) for name in names])


@lru_cache(MAX_SHAPES)
def _shape(source: str) -> tuple[tuple[str, ...], Callable[..., Callable[..., bool]]]:
    """What makes functions of one source, and the names whose values it takes. Compiling is half of a rule's price."""
    (function,) = (one for one in compile(source, "<match>", "eval").co_consts if isinstance(one, CodeType))
    names = tuple(name for name in function.co_names if name in _SPACE or name in _METHODS or _is_bound(name))
    return names, eval(compile(f"lambda {', '.join(names)}: {source}", "<match>", "eval"))  # noqa: S307


def test_of(leaf: Leaf) -> Callable[[object], bool]:
    """The terms of a field as a test of one scalar."""
    space = dict(_SPACE)
    return predicate(f"lambda v: {written(leaf.terms, space) or False}", space)


class Writer:
    """Writes one pattern, over documents, or over events if it can `look` at their data."""

    def __init__(self, node: Node, look: Callable[[Event], object] | None = None) -> None:
        self._node = node
        self._look = look
        self._fields = leaves(node)
        self._index = {id(leaf): index for index, leaf in enumerate(self._fields)}
        self._below = 0 if look is None else 1
        """How many names of a path lie behind `d`."""
        self._inline = 0 if look is None else _INLINE  # patterns over documents are compiled for one or a few of them
        self._passed = {leaf.path[:end] for leaf in self._fields for end in range(1, len(leaf.path))}
        """Where paths lead on: an array there is shared with what lies behind it."""
        self._shared: set[str] = set()
        """Members of `d` that lead to several fields, which then may share arrays."""
        known: set[str] = set()
        for leaf in self._fields:
            if len(leaf.path) > self._below:
                name = leaf.path[self._below]
                (self._shared if name in known else known).add(name)
        documents = Documents(node, self._fields, self._below, test_of)
        self._documents = documents
        self._space = {
            **_SPACE,
            "each": documents.any_of,
            "reach": documents.reaches,
            "stray": documents.strays,
            "odd": documents.is_odd,
            "lacks": documents.lacks,
        }
        if look is not None:
            self._space |= {"look": look, "slow": self.holds_of_event, "encoded": self._encoded}
        else:
            self._space["slow"] = documents.holds

    def of_documents(self) -> Callable[[object], bool]:
        """The pattern as a function of a document; nothing but an object passes."""
        held = self._joined(self._node)
        source = f"lambda d, f=False: ({held} and (not f or slow(d))) if d.__class__ is dict else slow(d)"
        return predicate(source, self._space)

    def of_events(self) -> Callable[[Event], bool]:
        """The pattern as a function of an event; attributes are asked before the data."""
        parts = self._node.parts if isinstance(self._node, All) else (self._node,)
        tests = [self._joined(part) for part in parts if not _looks(part)]
        inside = [self._joined(part) for part in parts if _looks(part)]
        if inside:
            data = "(d := look(e)).__class__ is dict or d is A and (d := O) is O"
            tests.append(f"(({' and '.join(inside)} and (not f or slow(e))) if {data} else slow(e))")
        return predicate(f"lambda e, f=False: {' and '.join(tests)}", self._space)

    def holds_of_event(self, event: Event) -> bool:
        """The same answer, found the careful way."""
        return self._documents.holds(self.document(event))

    def document(self, event: Event) -> dict[str, object]:
        """What the pattern reads of the event, in its JSON form."""
        document: dict[str, object] = {}
        for name in {leaf.path[0] for leaf in self._fields}:
            value: object = None
            if name == "data" and self._look is not None:
                value = self._look(event)
                if value is not ABSENT:
                    document[name] = value
            else:
                value = self._encoded(event) if name == "data_base64" else attribute_of(event, name)
                if value is not None:
                    document[name] = value
        return document

    def _encoded(self, event: Event) -> str | None:
        """`data_base64`: of data that is neither JSON nor text."""
        if event.data is None or self._look is None or self._look(event) is not ABSENT:
            return None
        return base64.b64encode(event.data).decode("ascii")

    def _looked_up(self, names: Sequence[str]) -> str:
        """The value at a path of plain objects, M if there is none."""
        *outer, last = [bound(name, self._space) for name in names]
        if not outer:
            return f"d.get({last}, M)"
        steps = []
        at = "d"
        for number, name in enumerate(outer, start=1):
            steps.append(f"(x{number} := {at}.get({name})).__class__ is dict")
            at = f"x{number}"
        return f"({at}.get({last}, M) if {' and '.join(steps)} else M)"

    def _joined(self, node: Node) -> str:
        if isinstance(node, Leaf):
            if self._look is not None and node.path[0] != "data":
                return f"({self._of_attribute(node)})"
            return f"({self._of_member(node)})"
        joint = " and " if isinstance(node, All) else " or "
        return f"({joint.join([self._joined(part) for part in node.parts])})"

    def _of_attribute(self, leaf: Leaf) -> str:
        (name,) = leaf.path
        if name == "specversion":
            value = "V"
        elif name == "data_base64":
            value = "encoded(e)"
        elif name in CORE:
            value = f"e.{name}"
        else:
            value = f"(v if (v := e.extensions.get({bound(name, self._space)})).__class__ in P else text(v))"
        is_certain = name in _REQUIRED or name == "specversion"
        terms = [term for term in leaf.terms if not (isinstance(term, Constant) and term.value is None)]
        test = written(terms, self._space)
        tests = []
        if test is not None:
            guard = "v is not None and (" if not is_certain and "S" in test else "("
            tests.append(_with_value(f"{guard}{test})", value))
        if leaf.takes_absence and not is_certain:
            tests.append(f"{value} is None")
        return " or ".join(tests) or "False"

    def _of_member(self, leaf: Leaf) -> str:
        names = leaf.path[self._below :]
        if not names:  # the data itself, which here is an object
            return str(leaf.takes_absence)
        value = f"(v := {self._looked_up(names) if self._inline else f'at(d, {bound(names, self._space)})'})"
        test = written(leaf.terms, self._space)
        is_shared = names[0] in self._shared
        where = f"d, {self._index[id(leaf)]}"
        if leaf.takes_absence or test is None:
            # where fields share an array, it may be absent from one element only: then the whole pattern decides
            rest = f"((f := True) if odd({where}) else {{}}.__class__ in G)" if is_shared else f"lacks({where})"
            if test is None:
                return rest.format(value) if is_shared else rest
            return f"({test.replace('v', value, 1)}) or {rest.format('v')}"
        tests = [test.replace("v", value, 1)]
        note = _NOTE if is_shared else ""
        if len(names) > self._inline:
            tests.append(f"stray({where}){note}")
            return " or ".join(tests)
        others = ["v.__class__ is list"]
        if is_shared and leaf.path not in self._passed:  # an array of scalars, which no other field shares
            tests.append(f"v.__class__ is list and each(v, {self._index[id(leaf)]})")
            others.clear()
        if len(names) > 1:
            others += ["x1.__class__ in L", f"{bound('.'.join(names), self._space)} in d"]
        if others:
            tests.append(f"({' or '.join(others)}) and reach({where}){note}")
        return " or ".join(tests)


def _looks(node: Node) -> bool:
    return any(leaf.path[0] == "data" for leaf in leaves(node))


def _with_value(test: str, value: str) -> str:
    """The test of `v`, with the value where that is first mentioned, and assigned if it is mentioned again."""
    return test.replace("v", value if test.count("v") == 1 else f"(v := {value})", 1)
