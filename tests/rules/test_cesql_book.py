"""CESQL by the book: a second, slow reading of the specification, to hold the compiled one against."""

from __future__ import annotations

import contextlib
import re
from typing import Any, NoReturn

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codec.validate import CORE
from gateway.core.event import Binary, Event, Timestamp, Uri, canonical
from gateway.rules import cesql_tree as tree
from gateway.rules.cesql import evaluator
from gateway.rules.cesql_grammar import parse
from gateway.rules.cesql_values import LARGEST, SMALLEST

# expressions of which most are worth something, and a good part of the rest fails

TEXTS = ["abc", "a", "", "5", "-7", "+5", "05", "TRUE", "false", "a%b", "a_c", "x y", "2147483648", "com.acme.x", "1"]
NAMES = ["id", "type", "source", "subject", "time", "specversion", "s", "n", "b", "five", "raw", "missing", "TYPE"]
PATTERNS = ["abc", "a%", "%c", "%b%", "a_c", "_", "%", "", "a\\%b", "%a_%c", "com.%.x", "_%_", "5", "t%e"]

integers = st.sampled_from([0, 1, -1, 5, -7, 10, 65536, LARGEST, SMALLEST]) | st.integers(SMALLEST, LARGEST)
quoted = st.sampled_from(TEXTS).map(lambda text: f"'{text}'")
atoms = st.one_of(
    integers.map(str), quoted, st.sampled_from(["TRUE", "false"]), *[st.sampled_from(NAMES)] * 3,
    st.sampled_from(NAMES).map(lambda name: f"EXISTS {name}"),
)  # fmt: skip
SIGNATURES = {
    "INT": 1, "BOOL": 1, "STRING": 1, "IS_INT": 1, "IS_BOOL": 1, "ABS": 1, "LENGTH": 1, "CONCAT": 2, "CONCAT_WS": 3,
    "LOWER": 1, "UPPER": 1, "TRIM": 1, "LEFT": 2, "RIGHT": 2, "SUBSTRING": 2, "substring": 3, "NONE": 0,
}  # fmt: skip


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    some = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.tuples(inner, st.sampled_from(["=", "!=", "<>", "<", "<=", ">", ">="]), inner).map(" ".join),
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%"]), inner).map(" ".join),
        *[st.tuples(inner, st.sampled_from(["AND", "OR", "XOR", "or"]), inner).map(" ".join)] * 2,
        st.tuples(inner, st.sampled_from(["LIKE", "NOT LIKE"]), st.sampled_from(PATTERNS)).map(
            lambda parts: "({}) {} '{}'".format(*parts)
        ),
        st.tuples(inner, st.sampled_from(["IN", "NOT IN"]), some | st.lists(quoted, min_size=1, max_size=3)).map(
            lambda parts: f"({parts[0]}) {parts[1]} ({', '.join(parts[2])})"
        ),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"NOT ({text})"),
        inner.map(lambda text: f"- ({text})"),
        st.sampled_from(sorted(SIGNATURES)).flatmap(
            lambda name: st.lists(inner, min_size=SIGNATURES[name], max_size=SIGNATURES[name]).map(
                lambda arguments: f"{name}({', '.join(arguments)})"
            )
        ),
    )


expressions = st.recursive(atoms, _larger, max_leaves=12)
small_events = st.builds(
    Event,
    id=st.sampled_from([text for text in TEXTS if text]),
    source=st.sampled_from(["/a", "abc", "5"]),
    type=st.sampled_from([text for text in TEXTS if text]),
    subject=st.none() | st.sampled_from(TEXTS),
    time=st.none() | st.just("2026-01-01T00:00:00Z"),
    extensions=st.fixed_dictionaries(
        {},
        optional={
            "s": st.sampled_from(TEXTS),
            "n": integers,
            "b": st.booleans(),
            "five": st.sampled_from(["5", 5, True, "05"]),
            "raw": st.sampled_from([Binary(b"Ma"), Uri("urn:a:b"), Timestamp("2026-01-01T00:00:00Z")]),
        },
    ),
)


class Fault(Exception):
    """An error: its kind, where it began, and the value there."""


class Book:
    """The specification, word for word: an interpreter without any haste."""

    def __init__(self, event: Event) -> None:
        self.event = event

    def outcome(self, node: tree.Node) -> tuple[Any, str | None]:
        try:
            return self.value(node), None
        except Fault as fault:
            kind, begun, value = fault.args
            if begun is node and value is not None:
                return value, kind
            return self.zero(node), kind

    def zero(self, node: tree.Node) -> Any:
        match node:
            case tree.Arithmetic() | tree.Negative():
                return 0
            case tree.Call(name="INT" | "ABS" | "LENGTH"):
                return 0
            case tree.Call(name=name) if name not in {"BOOL", "IS_INT", "IS_BOOL", "NONE"}:
                return ""
        return False

    def value(self, node: tree.Node) -> Any:  # noqa: C901, PLR0911, PLR0912  # one case a kind of node
        match node:
            case tree.Literal(value=value):
                return value
            case tree.Attribute(name=name):
                found = self.attribute(name)
                if found is None:
                    self.fail("missingAttribute", node)
                return found if isinstance(found, str | int) else canonical(found)
            case tree.Exists(name=name):
                return self.attribute(name) is not None
            case tree.Not(part=part):
                operand = self.value(part)
                if type(operand) is int:
                    self.fail("cast", node, value=True)
                return not self.cast(operand, bool, node)
            case tree.Negative(part=part):
                return self.wrapped(-self.cast(self.value(part), int, node))
            case tree.Like(part=part, pattern=pattern):
                return like_by_the_book(pattern, self.cast(self.value(part), str, node))
            case tree.In(part=part, elements=elements):
                wanted = self.value(part)
                return any(self.cast(self.value(element), type(wanted), node) == wanted for element in elements)
            case tree.Comparison(how=how, left=left, right=right):
                return self.compared(how, self.value(left), self.value(right), node)
            case tree.Arithmetic(how=how, left=left, right=right):
                return self.calculated(how, self.value(left), self.value(right), node)
            case tree.Logic(how="XOR", parts=parts):
                return sum([self.cast(self.value(part), bool, node) for part in parts]) % 2 == 1
            case tree.Logic(how=how, parts=parts):
                ask = all if how == "AND" else any
                return ask(self.cast(self.value(part), bool, node) for part in parts)
            case tree.Call(name=name, arguments=arguments):
                return self.called(name, arguments, node)
        raise AssertionError(node)

    def attribute(self, name: str) -> Any:
        if name == "specversion":
            return "1.0"
        return getattr(self.event, name) if name in CORE else self.event.extensions.get(name)

    def fail(self, kind: str, node: tree.Node, value: Any = None) -> NoReturn:
        raise Fault(kind, node, value)

    def cast(self, value: Any, kind: type, node: tree.Node) -> Any:
        if not isinstance(value, str) or kind is str:
            return canonical(value) if kind is str else kind(value)
        if kind is bool and value.lower() in {"true", "false"}:
            return value.lower() == "true"
        if kind is int and re.fullmatch("[+-]?[0-9]+", value) and SMALLEST <= int(value) <= LARGEST:
            return int(value)
        return self.fail("cast", node)

    def wrapped(self, number: int) -> int:
        return (number - SMALLEST) % 2**32 + SMALLEST

    def compared(self, how: str, left: Any, right: Any, node: tree.Node) -> bool:
        if how in {"=", "!="}:
            return (self.cast(left, type(right), node) == right) == (how == "=")
        left, right = self.cast(left, int, node), self.cast(right, int, node)
        answer: bool = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[how]
        return answer

    def calculated(self, how: str, left: Any, right: Any, node: tree.Node) -> int:
        left, right = self.cast(left, int, node), self.cast(right, int, node)
        if how in {"+", "-", "*"}:
            return self.wrapped({"+": left + right, "-": left - right, "*": left * right}[how])
        if right == 0:
            self.fail("math", node)
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return self.wrapped(quotient if how == "/" else left - quotient * right)

    def called(self, name: str, arguments: tuple[tree.Node, ...], node: tree.Node) -> Any:  # noqa: C901, PLR0911  # one a function
        if name == "NONE":
            self.fail("missingFunction", node)
        kinds = {
            "INT": [int], "BOOL": [bool], "STRING": [str], "ABS": [int], "LEFT": [str, int], "RIGHT": [str, int],
            "SUBSTRING": [str, int, int], "IS_INT": [None], "IS_BOOL": [None],
        }.get(name, [str] * 3)  # fmt: skip
        given: list[Any] = []
        for argument, kind in zip(arguments, kinds, strict=False):
            found = self.value(argument)
            given.append(found if kind is None else self.cast(found, kind, node))
        match name, given:
            case (("INT" | "BOOL" | "STRING"), [value]):
                return value
            case "ABS", [number]:
                return abs(number) if number != SMALLEST else self.fail("math", node, LARGEST)
            case (("LEFT" | "RIGHT"), [text, count]):
                if count < 0:
                    self.fail("functionEvaluation", node, text)
                return text[:count] if name == "LEFT" else text[len(text) - min(count, len(text)) :]
            case "SUBSTRING", [text, position, *rest]:
                return self.substring(text, position, rest[0] if rest else len(text), node)
            case "CONCAT", parts:
                return "".join(parts)
            case "CONCAT_WS", [delimiter, *parts]:
                return delimiter.join(parts)
            case (("IS_INT" | "IS_BOOL"), [value]):
                with contextlib.suppress(Fault):
                    self.cast(value, int if name == "IS_INT" else bool, node)
                    return True
                return False
        (text,) = given
        return {"LENGTH": len, "LOWER": str.lower, "UPPER": str.upper, "TRIM": str.strip}[name](text)

    def substring(self, text: str, position: int, count: int, node: tree.Node) -> str:
        if position == 0:
            return ""
        if position > len(text) or position < -len(text) or count < 0:
            self.fail("functionEvaluation", node)
        rest = text[position:] if position < 0 else text[position - 1 :]
        return rest[:count]


def like_by_the_book(pattern: str, text: str) -> bool:
    """Only for short patterns: it goes back."""
    letters = re.findall(r"\\[%_]|.", pattern, re.DOTALL)
    meaning = {"%": ".*", "_": "."}
    regex = "".join(meaning.get(letter) or re.escape(letter[-1]) for letter in letters)
    return re.fullmatch(regex, text, re.DOTALL) is not None


@settings(max_examples=600)
@given(expressions, small_events)
def test_an_expression_is_worth_what_the_specification_says(expression: str, event: Event) -> None:
    got = evaluator(expression)(event)

    expected = Book(event).outcome(parse(expression, "cesql"))
    assert got == expected
    assert type(got[0]) is type(expected[0])
