"""What holds for every CESQL expression and every event."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codec.validate import CORE
from gateway.core.errors import ConfigError
from gateway.core.event import Event, canonical
from gateway.rules.cesql import compile_cesql, evaluator
from gateway.rules.cesql_explaining import MAX_LINES
from gateway.rules.cesql_grammar import MAX_DEPTH, parse
from gateway.rules.cesql_like import matcher, stretches
from tests.codec.events import events
from tests.rules.test_cesql_book import (
    NAMES,
    PATTERNS,
    Book,
    expressions,
    integers,
    like_by_the_book,
    quoted,
    small_events,
)

if TYPE_CHECKING:
    from gateway.rules.rule import Key

filters = expressions.map(lambda text: text.replace("NONE()", "n"))
"""A filter calls no function that does not exist."""


@settings(max_examples=600)
@given(filters, small_events)
def test_a_filter_passes_what_is_true_without_an_error(expression: str, event: Event) -> None:
    """The two writings of one tree agree, and so does the explanation."""
    rule = compile_cesql(expression)

    passes = rule.matches(event)

    assert passes is (evaluator(expression)(event) == (True, None) and evaluator(expression)(event)[0] is True)
    lines = rule.explain(event)
    assert bool(lines) is not passes
    assert len(lines) <= MAX_LINES
    assert all(line.startswith("cesql: ") and "\n" not in line for line in lines)


@given(st.lists(expressions, min_size=2, max_size=5), st.sampled_from(["AND", "OR"]), small_events)
def test_a_chain_is_what_its_pairs_are(parts: list[str], how: str, event: Event) -> None:
    """Flat or in parentheses, from either side."""
    held = [f"({part})" for part in parts]
    left, right = held[0], held[-1]
    for part in held[1:]:
        left = f"({left} {how} {part})"
    for part in reversed(held[:-1]):
        right = f"({part} {how} {right})"

    flat = evaluator(f" {how} ".join(held))(event)

    assert flat == evaluator(left)(event) == evaluator(right)(event)


@given(st.text(max_size=20))
def test_a_string_literal_is_its_text(text: str) -> None:
    """Whatever stands in it, in either quotes; a backslash before a quote or the end cannot be written."""
    event = Event(id="1", source="/a", type="t", extensions={"x": text})
    for quote in "'\"":
        if re.search(rf"\\({quote}|$|\\)", text) or "\\" in text:
            continue
        literal = quote + text.replace(quote, f"\\{quote}") + quote

        assert evaluator(literal)(event) == (text, None)
        assert evaluator(f"x = {literal}")(event) == (True, None)
        assert compile_cesql(f"x = {literal}").matches(event)


@given(integers)
def test_an_integer_goes_through_every_cast(number: int) -> None:
    event = Event(id="1", source="/a", type="t", extensions={"n": number, "s": str(number)})

    assert evaluator(str(number))(event) == (number, None)
    assert evaluator("INT(STRING(n))")(event) == (number, None)
    assert evaluator("INT(s) = n AND n = s AND s = n")(event) == (True, None)
    assert evaluator("BOOL(n)")(event) == (number != 0, None)


@given(integers, integers)
def test_quotient_and_remainder_make_the_whole(left: int, right: int) -> None:
    event = Event(id="1", source="/a", type="t", extensions={"x": left, "y": right})

    if right == 0:
        assert evaluator("x / y")(event) == evaluator("x % y")(event) == (0, "math")
    else:
        assert evaluator("x / y * y + x % y = x")(event) == (True, None)
        assert evaluator("ABS(x % y)")(event)[0] < abs(right)


@given(st.text("ab%_\\\n", max_size=8), st.text("ab%_\\\n", max_size=8))
def test_like_answers_as_a_matcher_that_goes_back(pattern: str, text: str) -> None:
    event = Event(id="1", source="/a", type="t", extensions={"x": text})
    expected = like_by_the_book(pattern, text)

    assert matcher(stretches(pattern))(text) is expected
    if not re.search(r"\\(\\|$)", pattern):
        assert evaluator(f"x LIKE '{pattern}'")(event) == (expected, None)
        assert compile_cesql(f"x LIKE '{pattern}'").matches(event) is expected


def has(event: Event, key: Key) -> bool:
    """Whether an index that knows the key finds the event."""
    name, value = str(key.where), str(key.value)
    found = getattr(event, name) if name in CORE else event.extensions.get(name)
    if found is None:
        return False
    text = canonical(found)
    return {"exact": text == value, "prefix": text.startswith(value), "suffix": text.endswith(value)}[key.how]


literals = quoted | integers.map(str) | st.sampled_from(["TRUE", "false", "'tRuE'", "'False'", "'0'", "'+1'"])
terms = st.one_of(
    st.tuples(st.sampled_from(NAMES), literals).map(" = ".join),
    st.tuples(literals, st.sampled_from(NAMES)).map(" = ".join),
    st.tuples(st.sampled_from(NAMES), st.lists(literals, min_size=1, max_size=3)).map(
        lambda parts: f"{parts[0]} IN ({', '.join(parts[1])})"
    ),
    st.tuples(st.sampled_from(NAMES), st.sampled_from(PATTERNS)).map(lambda parts: f"{parts[0]} LIKE '{parts[1]}'"),
)
conditions = st.recursive(
    terms | terms | filters,
    lambda inner: st.tuples(inner, st.sampled_from(["AND", "OR", "XOR"]), inner).map(
        lambda parts: "({}) {} ({})".format(*parts)
    ),
    max_leaves=6,
)


@settings(max_examples=1000)
@given(conditions, small_events)
def test_an_event_that_passes_has_a_key_of_every_anchor(expression: str, event: Event) -> None:
    """Else an index would lose it."""
    rule = compile_cesql(expression)

    if rule.matches(event):
        for anchor in rule.anchors:
            assert any(has(event, key) for key in anchor)


@settings(max_examples=300)
@given(conditions, small_events)
def test_only_what_it_reads_decides(expression: str, event: Event) -> None:
    rule = compile_cesql(expression)
    other = Event(
        id=event.id if "id" in rule.reads else "other",
        source=event.source if "source" in rule.reads else "/other",
        type=event.type if "type" in rule.reads else "other",
        subject=event.subject if "subject" in rule.reads else "other",
        time=event.time if "time" in rule.reads else None,
        extensions={name: value for name, value in event.extensions.items() if name in rule.reads},
    )

    assert rule.matches(other) is rule.matches(event)
    assert not rule.looks


@given(filters, events())
def test_a_predicate_never_raises(expression: str, event: Event) -> None:
    assert compile_cesql(expression).matches(event) in (True, False)


WORDS = [
    "AND", "or", "XOR", "NOT", "LIKE", "IN", "EXISTS", "TRUE", "id", "x1", "f", "LEFT", "CONCAT_WS", "(", ")", ",", "'",
    '"', "\\", "%", "_", "=", "!=", "<", "<>", ">", "+", "-", "*", "/", "5", "-5", "2147483648", "'a'", '"b"', "\n",
    ".",
]  # fmt: skip


@settings(max_examples=500)
@given(
    st.text(max_size=30) | st.lists(st.sampled_from(WORDS), max_size=15).map(" ".join)
    | st.lists(st.sampled_from(WORDS), max_size=15).map("".join),
    small_events,
)  # fmt: skip
def test_nothing_but_a_config_error_is_raised(text: str, event: Event) -> None:
    with contextlib.suppress(ConfigError):
        evaluator(text)(event)
    with contextlib.suppress(ConfigError):
        rule = compile_cesql(text)
        assert bool(rule.explain(event)) is not rule.matches(event)


@pytest.mark.parametrize(
    "form", ["({})", "NOT ({})", "n = ({})", "INT({})", "type IN ({}, 'a')", "({}) AND s", "s OR ({})"]
)
def test_what_is_as_deep_as_allowed_still_answers(form: str) -> None:
    expression = "n"
    while True:
        larger = form.format(expression)
        try:
            parse(larger, "cesql")
        except ConfigError:
            break
        expression = larger

    event = Event(id="1", source="/a", type="t", extensions={"n": 1, "s": "true"})
    assert expression.count("(") >= MAX_DEPTH // 2 - 1
    assert evaluator(expression)(event) == Book(event).outcome(parse(expression, "cesql"))
