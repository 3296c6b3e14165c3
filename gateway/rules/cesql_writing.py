"""A CESQL tree, written as one Python expression over the event `e`.

There are two writings of a tree:

    value   the value of an expression, or None where an error ends it; `w` is
            told the kind of the error, or `r` where the root itself fails,
            whose own value then counts
    test    true if the expression is true without an error, else false: all that
            a filter asks, and shorter, as an error need not be told from false

Types are known while writing (only an extension's is not), and so is what can
fail; casts and errors are written only where they can happen. Of the names in
the source, `v` is used up at once where it was set, `t1` holds longer, `k1` is a
pattern, and `f1` a part that would stand too deep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.codec.validate import CORE
from gateway.core.event import canonical
from gateway.rules import cesql_functions as functions
from gateway.rules import cesql_values as values
from gateway.rules.cesql_functions import kind_of
from gateway.rules.cesql_like import matcher, stretches
from gateway.rules.cesql_tree import (
    Arithmetic,
    Attribute,
    Call,
    Comparison,
    Exists,
    In,
    Like,
    Literal,
    Logic,
    Negative,
    Node,
    Not,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.core.event import Event
    from gateway.rules.cesql_functions import Kind
    from gateway.rules.cesql_tree import Value
    from gateway.rules.cesql_values import Fail

REQUIRED = frozenset(("id", "source", "type"))
"""Attributes that every event has, besides specversion, which is always 1.0."""

MAX_LEVELS = 10
"""Levels of a tree in one Python function: one level takes up to six parentheses, and Python reads at most 200."""

_ARITHMETIC = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "remainder"}
_COMPARED = {"=": ("equal", "=="), "!=": ("different", "!=")}
_ORDERED = {"<": "less", "<=": "at_most", ">": "greater", ">=": "at_least"}
_INLINE = frozenset(("+", "-", "*"))
"""What Python does as CESQL does, once wrapped around."""
_NAMES: dict[str, object] = {
    name: value
    for module in (values, functions)
    for name, value in vars(module).items()
    if callable(value) and name.islower() and not name.startswith("_")
}
_NAMES |= {"w": values.ignore, "r": values.ignore}


class Code(NamedTuple):
    """A Python expression for the value of a node."""

    text: str
    kind: Kind
    """The type of the value."""
    fails: bool
    """Whether it may be None, for an error."""


def predicate(node: Node, path: str) -> Callable[[Event], bool]:
    """Whether the expression is true, without an error. It never raises."""
    writer = _Writer(node, path)
    kind = kind_of(node)
    if kind is bool:
        source = writer.test(node)
    elif kind is object:
        source = f"{writer.value(node).text} is True"
    else:
        source = "False"  # an Integer or a String never passes (1.2)
    return writer.compiled(source)  # type: ignore[return-value]  # it has one argument, and test() is a bool


def valuation(node: Node, path: str, *, as_condition: bool = False) -> Callable[[Event, Fail, Fail], Value | None]:
    """The value of the expression, or None for an error. It never raises.

    The error is told to the last argument if the root failed, else to the one before. `as_condition` casts the value
    to Boolean.
    """
    writer = _Writer(node, path, is_recording=True)
    code = writer.condition(node) if as_condition else writer.value(node)
    return writer.compiled(code.text)


class _Writer:
    """Writes one tree."""

    def __init__(self, root: Node, path: str, *, is_recording: bool = False) -> None:
        self._root = root
        self._path = path
        self._is_recording = is_recording
        """Whether somebody asks for the kinds of errors."""
        self._names = dict(_NAMES)
        """What the source names."""
        self._count = 0
        self._level = 0

    def compiled(self, source: str) -> Callable[..., Value | None]:
        """A function of the event, and of `w` and `r` where errors are recorded."""
        arguments = "e, w, r" if self._is_recording else "e"
        # what is written is ours: names are [a-z0-9]+, values stand as literals that repr() made
        return eval(compile(f"lambda {arguments}: {source}", f"<{self._path}>", "eval"), self._names)  # type: ignore[no-any-return]  # noqa: S307

    def _cut_out(self, source: str) -> str:
        """A call of the source, which becomes a function of its own where it would stand too deep."""
        if self._level == 0 or self._level % MAX_LEVELS:
            return source
        name = self._name("f")
        self._names[name] = self.compiled(source)
        return f"{name}(e, w, r)" if self._is_recording else f"{name}(e)"

    def value(self, node: Node) -> Code:
        """The value; None for an error."""
        if isinstance(node, Literal):
            return Code(repr(node.value), node.value.__class__, fails=False)
        if isinstance(node, Attribute):
            return self._attribute(node.name)
        self._level += 1
        code = self._value(node)
        self._level -= 1
        return Code(self._cut_out(code.text), code.kind, code.fails)

    def _value(self, node: Node) -> Code:  # noqa: C901, PLR0911  # one case a kind of node
        match node:
            case Comparison():
                return self._comparison(node)
            case Like(part=part, pattern=pattern):
                return self._like(self.text(part), pattern)
            case In():
                return self._in(node)
            case Logic(how=how, parts=parts):
                return self._logic(how, [self.condition(part) for part in parts])
            case Exists(name=name):
                return Code(_exists(name), bool, fails=False)
            case Not(part=part):
                return self._not(node, self.value(part))
            case Negative(part=part):
                code = self.value(part)
                if code.kind is int and not code.fails:
                    return Code(f"wrap(-{code.text})", int, fails=False)
                return Code(f"negative(w, {code.text})", int, fails=True)
            case Arithmetic(how=how, left=left, right=right):
                return self._arithmetic(how, self.value(left), self.value(right))
            case Call():
                return self._call(node)
        raise TypeError(node)

    def condition(self, node: Node) -> Code:
        """The value, cast to Boolean."""
        code = self.value(node)
        if code.kind is bool:
            return code
        if code.kind is int and not code.fails:
            return Code(f"({code.text} != 0)", bool, fails=False)
        return Code(f"boolean(w, {code.text})", bool, fails=True)

    def text(self, node: Node) -> Code:
        """The value, cast to String."""
        match node:
            case Literal(value=value):
                return Code(repr(canonical(value)), str, fails=False)
            case Attribute(name=name) if name not in CORE:
                usual = f"v if (v := {_raw(name)}).__class__ is str"
                return Code(f"({usual} else attribute_text(w, v))", str, fails=True)
        code = self.value(node)
        return code if code.kind is str else Code(f"text({code.text})", str, code.fails)

    def test(self, node: Node) -> str:
        """Whether the node is true, without an error; always a bool."""
        self._level += 1
        source = self._test(node)
        self._level -= 1
        return self._cut_out(source)

    def _test(self, node: Node) -> str:  # noqa: PLR0911  # one case a kind of node
        match node:
            case Logic(how="AND", parts=parts):
                return f"({' and '.join(map(self.test, parts))})"
            case Logic(how="OR", parts=parts):
                return self._test_any(parts)
            case Comparison(how="=", left=left, right=right) if kind_of(right) is str:
                other = self.value(right)
                if not other.fails:  # a missing attribute is None, and equals no string
                    return f"({self.text(left).text} == {other.text})"
            case Like(part=part, pattern=pattern):
                return self._test_like(self.text(part), pattern)
            case In(part=part, elements=elements) if kind_of(part) is str and _are_literals(elements):
                return f"({self.value(part).text} in {_set_of(elements)})"
            case Not(part=part) if kind_of(part) is bool:
                code = self.value(part)
                return f"({code.text} is False)" if code.fails else f"(not {code.text})"
        code = self.condition(node)
        return f"({code.text} is True)" if code.fails else code.text

    def _test_any(self, parts: Sequence[Node]) -> str:
        """OR: an error ends it, so what stands before the last part must tell errors from false."""
        sure: list[str] = []
        unsure: list[str] = []
        name = ""
        for part in parts[:-1]:
            code = self.condition(part)
            if code.fails:
                name = name or self._name()
                unsure.append(f"({name} := {code.text}) or {name} is None")
            else:
                (unsure or sure).append(code.text)
        (unsure or sure).append(self.test(parts[-1]))
        if unsure:
            sure.append(f"(({' or '.join(unsure)}) and {name} is not None)")
        return f"({' or '.join(sure)})"

    def _test_like(self, code: Code, pattern: str) -> str:
        if not code.fails:
            return self._matched(code.text, pattern)
        return f"((v := {code.text}) is not None and {self._matched('v', pattern)})"

    def _attribute(self, name: str) -> Code:
        if name == "specversion":
            return Code("'1.0'", str, fails=False)
        if name in REQUIRED:
            return Code(f"e.{name}", str, fails=False)
        if name in CORE:
            return Code(f"core(w, e.{name})" if self._is_recording else f"e.{name}", str, fails=True)
        return Code(f"attribute(w, {_raw(name)})", object, fails=True)

    def _comparison(self, node: Comparison) -> Code:
        right = self.value(node.right)
        if node.how in _ORDERED:
            left = self.value(node.left)
            if left.kind is right.kind is int and not left.fails and not right.fails:
                return Code(f"({left.text} {node.how} {right.text})", bool, fails=False)
            return Code(f"{_ORDERED[node.how]}(w, {left.text}, {right.text})", bool, fails=True)
        return self._equality(node.how, node.left, right, is_at_hand=isinstance(node.right, (Literal, Attribute)))

    def _equality(self, how: str, other: Node, right: Code, *, is_at_hand: bool) -> Code:
        """The other, cast to the type of the right, is equal to it or not. `is_at_hand`: the right does not use `v`."""
        function, operator = _COMPARED[how]
        is_simple = is_at_hand and right.kind is str and not right.fails
        if is_simple and isinstance(other, Attribute) and other.name not in CORE:
            usual = f"v {operator} {right.text} if (v := {_raw(other.name)}).__class__ is str"
            return Code(f"({usual} else {function}(w, attribute(w, v), {right.text}))", bool, fails=True)
        left = self.text(other) if right.kind is str else self.value(other)
        if left.kind is right.kind and left.kind is not object and not right.fails:
            if not left.fails:
                return Code(f"({left.text} {operator} {right.text})", bool, fails=False)
            if is_at_hand:
                text = f"(None if (v := {left.text}) is None else v {operator} {right.text})"
                return Code(text, bool, fails=True)
        return Code(f"{function}(w, {left.text}, {right.text})", bool, fails=True)

    def _like(self, code: Code, pattern: str) -> Code:
        if not code.fails:
            return Code(self._matched(code.text, pattern), bool, fails=False)
        return Code(f"(None if (v := {code.text}) is None else {self._matched('v', pattern)})", bool, fails=True)

    def _matched(self, value: str, pattern: str) -> str:
        """Whether the value, a Python expression for a string, is like the pattern."""
        cut = stretches(pattern)
        if all(stretch.is_plain for stretch in cut):
            match [stretch.texts[0][1] if stretch.texts else "" for stretch in cut]:
                case [text]:
                    return f"({value} == {text!r})"
                case ["", ""]:
                    return "True"
                case [text, ""]:
                    return f"{value}.startswith({text!r})"
                case ["", text]:
                    return f"{value}.endswith({text!r})"
                case ["", text, ""]:
                    return f"({text!r} in {value})"
        name = self._name("k")
        self._names[name] = matcher(cut)
        return f"{name}({value})"

    def _in(self, node: In) -> Code:
        """The elements are cast to the type of the left, and the first that is equal, or fails, ends it."""
        code = self.value(node.part)
        if _are_literals(node.elements):
            elements = tuple(element.value for element in node.elements if isinstance(element, Literal))
            match code:
                case Code(kind=kind, fails=False) if kind is str:
                    return Code(f"({code.text} in {_set_of(node.elements)})", bool, fails=False)
                case Code(kind=kind) if kind is str:
                    text = f"(None if (v := {code.text}) is None else v in {_set_of(node.elements)})"
                    return Code(text, bool, fails=True)
                case Code(kind=kind) if kind is object and isinstance(node.part, Attribute):
                    usual = f"v in {_set_of(node.elements)} if (v := {_raw(node.part.name)}).__class__ is str"
                    return Code(f"({usual} else among(w, attribute(w, v), {elements!r}))", bool, fails=True)
            return Code(f"among(w, {code.text}, {elements!r})", bool, fails=True)
        name = self._name()
        held = Code(name, code.kind, fails=False)
        found = self._any([self._equality("=", element, held, is_at_hand=True) for element in node.elements])
        return Code(f"(None if ({name} := {code.text}) is None else {found.text})", bool, code.fails or found.fails)

    def _logic(self, how: str, codes: Sequence[Code]) -> Code:
        fails = any(code.fails for code in codes)
        match how:
            case "AND":
                return Code(f"({' and '.join(code.text for code in codes)})", bool, fails)
            case "OR":
                return self._any(codes)
            case _:
                return Code(f"parity({', '.join(code.text for code in codes)})", bool, fails)

    def _any(self, codes: Sequence[Code]) -> Code:
        """OR; it is flat, so that Python reads it however long it is."""
        if not any(code.fails for code in codes):
            return Code(f"({' or '.join(code.text for code in codes)})", bool, fails=False)
        name = self._name()
        items = [f"({name} := {code.text})" + (f" or {name} is None" if code.fails else "") for code in codes]
        return Code(f"(({' or '.join(items)}) and {name})", bool, fails=True)

    def _not(self, node: Not, code: Code) -> Code:
        if code.kind is not bool:
            return Code(f"inverse({self._fail(node)}, {code.text})", bool, fails=True)
        if not code.fails:
            return Code(f"(not {code.text})", bool, fails=False)
        return Code(f"(None if (v := {code.text}) is None else not v)", bool, fails=True)

    def _arithmetic(self, how: str, left: Code, right: Code) -> Code:
        if how in _INLINE and left.kind is right.kind is int and not left.fails and not right.fails:
            return Code(f"wrap({left.text} {how} {right.text})", int, fails=False)
        return Code(f"{_ARITHMETIC[how]}(w, {left.text}, {right.text})", int, fails=True)

    def _call(self, node: Call) -> Code:
        known = functions.signature(node.name, len(node.arguments))
        if known is None:
            return Code(f"w({values.MISSING_FUNCTION!r})", bool, fails=True)
        kinds = [*known.parameters, *[known.rest] * (len(node.arguments) - len(known.parameters))]
        codes = [self._argument(*pair) for pair in zip(node.arguments, kinds, strict=True)]
        fails = known.fails or any(code.fails for code in codes)
        arguments = "".join(f", {code.text}" for code in codes)
        return Code(f"{known.code}({self._fail(node)}{arguments})", known.result, fails)

    def _argument(self, node: Node, kind: Kind | None) -> Code:
        """The value, cast to the type of a parameter."""
        if kind is str:
            return self.text(node)
        code = self.value(node)
        return Code(f"integer(w, {code.text})", int, fails=True) if kind is int and code.kind is not int else code

    def _fail(self, node: Node) -> str:
        """Who is told when this node fails."""
        return "r" if node is self._root else "w"

    def _name(self, letter: str = "t") -> str:
        self._count += 1
        return f"{letter}{self._count}"


def _raw(name: str) -> str:
    """An extension as it is, most often a str; or None."""
    return f"e.extensions.get({name!r})"


def _exists(name: str) -> str:
    if name in REQUIRED or name == "specversion":
        return "True"
    return f"(e.{name} is not None)" if name in CORE else f"({name!r} in e.extensions)"


def _are_literals(elements: Sequence[Node]) -> bool:
    return all(isinstance(element, Literal) for element in elements)


def _set_of(elements: Sequence[Node]) -> str:
    """The literals, cast to String."""
    texts = dict.fromkeys(canonical(element.value) for element in elements if isinstance(element, Literal))
    return f"{{{', '.join(map(repr, texts))}}}"
