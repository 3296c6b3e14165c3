"""What is no CESQL expression, or too large a one, is refused; what is within the bounds is answered."""

from __future__ import annotations

import pytest

from gateway.core.errors import ConfigError
from gateway.core.event import Event
from gateway.rules.cesql import compile_cesql, evaluator
from gateway.rules.cesql_grammar import MAX_DEPTH, MAX_PROBLEMS, MAX_TERMS, MAX_TEXT
from gateway.rules.cesql_like import MAX_FLOATING
from gateway.rules.cesql_values import MAX_STRING

EVENT = Event(id="1", source="/a/b", type="x.y", subject="a_b", extensions={"n": 5, "yes": True, "text": "abc"})


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("", "line 1, column 1: expected a value .*, got the end; here: >>>$"),
        ("type = = 'x'", "line 1, column 8: expected a value .*, got '='; here: type = >>>= 'x'$"),
        ("\n type ==\n 'x'", "line 2, column 8: expected a value .*, got '='"),
        ("type == 'x'", "line 1, column 7: expected a value"),
        ("a b", "line 1, column 3: expected an operator or the end, got 'b'"),
        ("(a", "line 1, column 3: expected an operator or [)], got the end"),
        ("a)", "line 1, column 2: expected an operator or the end, got '[)]'"),
        ("hop-1", "line 1, column 4: expected an operator or the end [(]a - that touches a digit .* put a space"),
        ("4 +1", "line 1, column 3: expected an operator or the end [(]a [+] that touches"),
        ("f(1,)", "line 1, column 5: expected a value"),
        ("f(1 2)", "line 1, column 5: expected an operator, a comma or [)], got '2'"),
        ("x IN ()", "line 1, column 7: expected at least one element in the set of IN"),
        ("x IN 5", "line 1, column 6: expected [(] and the set of IN, got '5'"),
        ("x LIKE y", "line 1, column 8: expected a string literal as the pattern of LIKE, got 'y'"),
        ("x NOT 5", "line 1, column 3: expected an operator or the end, got 'NOT'"),
        ("EXISTS 5", "line 1, column 8: expected the name of an attribute after EXISTS, got '5'"),
        ("EXISTS (x)", "line 1, column 8: expected the name"),
        ("in = 1", "line 1, column 1: expected a value .*, got 'in'"),
        ("a_b = 1", "line 1, column 1: expected a value .*, got 'a_b'"),
        ("f1(2)", "line 1, column 1: expected the name of a function to have only letters and _"),
        ("_f(2)", "line 1, column 1: expected the name of a function"),
        ("true(1)", "line 1, column 5: expected an operator or the end, got '[(]'"),
        ("2147483648", "line 1, column 1: expected an Integer from -2147483648 to 2147483647"),
        ("- 2147483648", "line 1, column 3: expected an Integer"),
        ("9" * 10_000, "line 1, column 1: expected an Integer"),
        ("type = 'x", "line 1, column 8: the string has no closing '"),
        ('type = "x\\"', 'line 1, column 8: the string has no closing "'),
        ("type = 'x' && id", "line 1, column 12: '&' has no meaning in CESQL; here: type = 'x' >>>&& id"),
        ("1.5", r"line 1, column 2: '\.' has no meaning"),
        ("TRUE\x0b", r"line 1, column 5: '\\x0b' has no meaning"),
        ("a\xa0= 1", r"line 1, column 2: '\\xa0' has no meaning"),
        ("TRUE;", "line 1, column 5: ';' has no meaning"),
        ("\u0131d = 1", r"line 1, column 1: '\\u0131' has no meaning"),
        ("'a' \ud800", r"line 1, column 5: '\\ud800' has no meaning"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(expression: str, problem: str) -> None:
    for compiling in (evaluator, compile_cesql):
        with pytest.raises(ConfigError, match=f"^cesql: {problem}"):
            compiling(expression)


def test_all_numbers_and_functions_that_are_wrong_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as numbers:
        compile_cesql("9999999999 = id OR f2(1)\n OR -9999999999 = id", "a.sql")
    with pytest.raises(ConfigError) as functions:
        compile_cesql("LENGHT(type) > 1\nAND LEFT(type) = 'x'", "a.sql")
    with pytest.raises(ConfigError) as many:
        compile_cesql(" OR ".join(["F()"] * 100))

    assert [text.partition(": expected")[0] for text in numbers.value.problems] == [
        "a.sql: line 1, column 1",
        "a.sql: line 1, column 20",
        "a.sql: line 2, column 5",
    ]
    first, second = functions.value.problems
    assert first.startswith("a.sql: line 1, column 1: there is no function LENGHT of 1 argument; expected one of INT,")
    assert second.startswith("a.sql: line 2, column 5: there is no function LEFT of 1 argument; here: ")
    assert len(many.value.problems) == MAX_PROBLEMS


@pytest.mark.parametrize("text", [5, True, None, ["TRUE"], {"sql": "TRUE"}, b"TRUE"])
def test_what_is_no_text_is_refused(text: object) -> None:
    with pytest.raises(ConfigError, match=r"^subscriptions\.a\.cesql: expected a CESQL expression, a string, got "):
        compile_cesql(text, "subscriptions.a.cesql")


DEEP = [
    ("(", "n", ")"),
    ("NOT ", "yes", ""),
    ("- ", "n", ""),
    ("", "n", " + n"),
    ("", "n", " = n"),
    ("n = (", "n", ")"),
    ("", "text", " LIKE 'a_c%'"),
    ("", "type", " NOT IN (text, subject)"),
    ("text IN (type IN (", "type", ", missing), 1)"),
    ("subject IN (CONCAT(", "type", ", missing), 'x')"),
    ("INT(", "n", ")"),
    ("SUBSTRING(n, ", "n", ")"),
    ("text = 'x' AND missing = 'x' OR ", "n", ""),
    ("(text = 'x' OR ", "n", ")"),
    ("(", "n", " OR text) XOR text"),
    ("(NOT ", "n", " OR n IN (text, n)) AND n"),
]
"""What may stand before, in the middle and after, any number of times."""


@pytest.mark.parametrize("form", DEEP)
@pytest.mark.parametrize("depth", [MAX_DEPTH // 4, MAX_DEPTH - 1, 2 * MAX_DEPTH, 10_000])
def test_depth_is_bounded_and_what_is_within_compiles(form: tuple[str, str, str], depth: int) -> None:
    """Also by Python's own bounds, on the parentheses of the source for one."""
    before, middle, after = form
    while len(expression := before * depth + middle + after * depth) > MAX_TEXT:
        depth = depth * 3 // 4

    refusal = ""
    try:
        rule = compile_cesql(expression)
    except ConfigError as problem:
        refusal = str(problem)

    if refusal:
        assert depth > MAX_DEPTH // 4
        assert f"expected at most {MAX_DEPTH} operators, calls and parentheses inside each other" in refusal
    else:
        assert depth < MAX_DEPTH
        value, error = evaluator(expression)(EVENT)
        assert rule.matches(EVENT) is (value is True and error is None)
        assert bool(rule.explain(EVENT)) is not rule.matches(EVENT)


@pytest.mark.parametrize(
    "expression",
    [
        " OR ".join(["n=6"] * 2000),
        " OR ".join(["text='x'"] * 1200),
        " AND ".join(["text='abc'"] * 1000),
        " XOR ".join(["n=6"] * 1800),
        f"n IN ({', '.join(map(str, range(100, 2800)))})",
        f"text IN ({', '.join(['missing'] * 1500)})",
        f"text NOT IN ({', '.join(['n'] * 4000)})",
        f"CONCAT({', '.join(['text'] * 2500)}) = 'x'",
    ],
)
def test_chains_may_be_long(expression: str) -> None:
    value, error = evaluator(expression)(EVENT)
    rule = compile_cesql(expression)

    assert rule.matches(EVENT) is (value is True and error is None)
    assert len(rule.explain(EVENT)) <= 20


def test_length_and_terms_are_bounded() -> None:
    with pytest.raises(ConfigError, match=f"^cesql: {MAX_TEXT + 1} characters; expected at most {MAX_TEXT}"):
        compile_cesql(" " * (MAX_TEXT - 3) + "TRUE")
    with pytest.raises(ConfigError, match=f"^cesql: expected at most {MAX_TERMS} attributes, literals and calls"):
        compile_cesql(f"n IN ({', '.join(['n'] * MAX_TERMS)})")

    assert compile_cesql(" " * (MAX_TEXT - 4) + "TRUE").matches(EVENT)


def test_strings_that_functions_make_are_bounded() -> None:
    event = EVENT.but(subject="a" * MAX_STRING, dataschema="ß" * (MAX_STRING // 2 + 1))

    assert evaluator("CONCAT(subject, '') = subject")(event) == (True, None)
    assert evaluator("LENGTH(CONCAT_WS('', subject, ''))")(event) == (MAX_STRING, None)
    assert evaluator("CONCAT(subject, 'b')")(event) == ("", "functionEvaluation")
    assert evaluator("CONCAT_WS('b', 'a', subject)")(event) == ("", "functionEvaluation")
    assert evaluator("UPPER(dataschema)")(event) == ("", "functionEvaluation")


def test_like_takes_linear_time() -> None:
    """Patterns that make a backtracking matcher take years."""
    event = EVENT.but(subject="a" * 60_000)

    assert evaluator(f"subject LIKE '{'%a' * 5000}%b'")(event) == (False, None)
    assert evaluator(f"subject LIKE '{'%_' * 100}%b'")(event) == (False, None)
    assert evaluator(f"subject LIKE '%{'_a' * (MAX_FLOATING // 2 - 1)}b%'")(event) == (False, None)
    with pytest.raises(
        ConfigError, match=f"expected at most {MAX_FLOATING} characters, of all patterns, between two %"
    ):
        evaluator(f"subject LIKE '%{'_a' * (MAX_FLOATING // 2 + 1)}%'")
