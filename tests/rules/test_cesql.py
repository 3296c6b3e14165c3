"""CESQL as a language: what expressions are worth."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML, SafeConstructor

from gateway.codec.validate import CORE
from gateway.core.errors import ConfigError
from gateway.core.event import Binary, Event, Timestamp, Uri, UriReference
from gateway.rules.cesql import evaluator
from tests.codec.corpora import CORPORA

FULL = {
    "id": "1",
    "source": "/tests",
    "type": "com.example.tested",
    "subject": "topic",
    "time": "2020-03-21T12:34:56.78Z",
    "datacontenttype": "text/json",
    "dataschema": "http://example.com/schema",
}
EVENT = Event(
    id="1",
    source="/a/b",
    type="com.acme.grün",
    subject="a_b",
    time="2018-04-26T14:48:09+02:00",
    extensions={
        "n": 5,
        "big": 2147483647,
        "yes": True,
        "no": False,
        "text": "abc",
        "five": "05",
        "truth": "TRUE",
        "empty": "",
        "raw": Binary(b"Ma"),
        "link": Uri("https://a.example/b"),
        "ref": UriReference("../x"),
        "at": Timestamp("2026-01-01T00:00:00Z"),
        "1x": "digit first",
    },
)


class _Texts(SafeConstructor):
    """Leaves timestamps as they are written."""


_Texts.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)


def conformance() -> list[object]:
    """The cases of the conformance suite; one visible skip where it is absent."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Texts
    found = [
        pytest.param(case, id=f"{path.stem}: {case['name']}")
        for path in sorted((CORPORA / "cesql").glob("*.yaml"))
        for case in yaml.load(path.read_text(encoding="utf-8"))["tests"]
    ]
    return found or [pytest.param(None, marks=pytest.mark.skip(reason="no corpus cesql"))]


def event_of(document: dict[str, Any]) -> Event:
    attributes = {name: value for name, value in document.items() if name != "specversion"}
    core = {name: attributes.pop(name) for name in list(attributes) if name in CORE}
    return Event(**core, extensions=attributes)


@pytest.mark.parametrize("case", conformance())
def test_cases_of_the_conformance_suite(case: dict[str, Any]) -> None:
    """Value and error both."""
    event = event_of({**case.get("event", FULL), **case.get("eventOverrides", {})})
    expression = str(case["expression"])

    if case.get("error") == "parse":
        with pytest.raises(ConfigError, match=r"^cesql: line 1, column "):
            evaluator(expression)
    else:
        value, error = evaluator(expression)(event)

        assert (value, error) == (case["result"], case.get("error"))
        assert type(value) is type(case["result"])


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        # literals and names
        ("+7", 7),
        ("007", 7),
        ("-2147483648", -2147483648),
        (r"'it\'s'", "it's"),
        (r'"a \"b\" \'c\'"', r"""a "b" \'c\'"""),
        (r"'a\\b\n'", r"a\\b\n"),
        ("'it''s'", "it''s"),
        ("'a\nb'", "a\nb"),
        ("''", ""),
        ("TYPE", "com.acme.grün"),
        ("specversion", "1.0"),
        ("1x", "digit first"),
        ("raw", "TWE="),
        ("link", "https://a.example/b"),
        ("ref", "../x"),
        ("at", "2026-01-01T00:00:00Z"),
        ("\t( \r\n((n)) )", 5),
        # precedence
        ("NOT TRUE = FALSE", True),
        ("NOT yes LIKE 'false'", True),
        ("- n + 1", -4),
        ("-n LIKE '-5'", True),
        ("2 * 3 IN (3)", 2),
        ("1 + 2 * 3 - 4 / 2 % 2", 7),
        ("2 - 1 - 1", 0),
        ("8 / 4 / 2", 1),
        ("1 < 2 < 3", True),
        ("1 = 2 LIKE '2'", True),
        ("'1' IN (1) LIKE 'true'", True),
        ("FALSE AND FALSE OR TRUE", False),
        ("TRUE OR TRUE AND FALSE", True),
        ("TRUE XOR TRUE XOR TRUE", True),
        ("--5", 5),
        ("- -5", 5),
        ("5 --3", 8),
        ("NOT NOT TRUE", True),
        # Integers of 32 bits
        ("2147483647 + 1", -2147483648),
        ("big + big", -2),
        ("-2147483648 - 1", 2147483647),
        ("65536 * 65536", 0),
        ("-(-2147483648)", -2147483648),
        ("-2147483648 / -1", -2147483648),
        ("-2147483648 % -1", 0),
        ("-7 / 2", -3),
        ("7 / -2", -3),
        ("-7 % 2", -1),
        ("7 % -2", 1),
        # casts
        ("INT('-007')", -7),
        ("five = 5", True),
        ("5 = five", False),
        ("n = '5'", True),
        ("'05' = n", True),
        ("yes = 1", True),
        ("7 = TRUE", True),
        ("7 = yes", True),
        ("truth = TRUE", True),
        ("TRUE = truth", False),
        ("yes = n", False),
        ("n + yes", 6),
        ("'2' * '3'", 6),
        ("yes AND truth AND n", True),
        ("text != 'abc'", False),
        ("n <> 6", True),
        ("IS_INT('5')", True),
        ("IS_INT('2147483648')", False),
        ("IS_INT(yes)", True),
        ("IS_BOOL('tRUe')", True),
        ("IS_BOOL('1')", False),
        ("IS_BOOL(n)", True),
        # IN
        ("n IN (5, 'a')", True),
        ("n IN ('05', missing)", True),
        ("five IN (5)", False),
        ("five IN ('05')", True),
        ("yes IN ('false', 'TRUE')", True),
        ("'true' IN (yes)", True),
        ("text IN (type, subject, 'abc')", True),
        ("text NOT IN (type, 'x')", True),
        ("n + 1 IN (6, 7)", 5),
        # LIKE
        ("type LIKE 'com.%'", True),
        ("type LIKE '%gr_n'", True),
        ("subject LIKE 'a\\_b'", True),
        ("text LIKE 'a\\_c'", False),
        ("'a\nb' LIKE 'a%b'", True),
        ("'\U0001f600' LIKE '_'", True),
        ("'a%b' LIKE 'a%'", True),
        ("'a\\b' LIKE 'a\\b'", True),
        ("'a\\xb' LIKE 'a\\_b'", False),
        ("'aa' LIKE 'a%a%a'", False),
        ("'abab' LIKE '%ab'", True),
        ("'xaybzaybz' LIKE '%a_b_'", True),
        ("'xaybz' LIKE '%a_b%z'", True),
        ("'' LIKE '%%'", True),
        ("'' LIKE '_%'", False),
        ("yes LIKE 'true'", True),
        ("n NOT LIKE '_'", False),
        # EXISTS
        ("EXISTS n AND NOT EXISTS missing", True),
        ("EXISTS dataschema", False),
        ("EXISTS data", False),
        ("EXISTS empty", True),
        # functions
        ("length(type)", 13),
        ("LENGTH('\U0001f600')", 1),
        ("LENGTH(n + 5)", 2),
        ("CONCAT(n, yes, text)", "5trueabc"),
        ("CONCAT_WS(n, 1, 2)", "152"),
        ("UPPER('grün')", "GRÜN"),
        ("TRIM('\u3000\t a\x1c ')", "a\x1c"),
        ("LEFT('äbc', 1)", "ä"),
        ("RIGHT('abc', 0)", ""),
        ("LEFT('abc', TRUE)", "a"),
        ("SUBSTRING('abc', 0, -1)", ""),
        ("SUBSTRING('abc', -2, 9)", "bc"),
        ("SUBSTRING('abc', 3, 0)", ""),
        ("SUBSTRING('\U0001f600b', 2)", "b"),
        # what is not reached does not count
        ("TRUE OR FOO(missing)", True),
        ("FALSE AND 1 / 0 = 1", False),
        ("text IN ('abc', missing)", True),
    ],
)
def test_what_expressions_are_worth(expression: str, value: object) -> None:
    got, error = evaluator(expression)(EVENT)

    assert (got, error) == (value, None)
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("expression", "value", "error"),
    [
        ("missing", False, "missingAttribute"),
        ("dataschema", False, "missingAttribute"),
        ("data", False, "missingAttribute"),
        ("((missing))", False, "missingAttribute"),
        ("CONCAT(missing, 'a')", "", "missingAttribute"),
        ("-missing", 0, "missingAttribute"),
        ("missing IN (1)", False, "missingAttribute"),
        ("missing NOT LIKE 'a'", False, "missingAttribute"),
        ("missing = missing", False, "missingAttribute"),
        ("missing OR TRUE", False, "missingAttribute"),
        ("NOT (missing = 1)", False, "missingAttribute"),
        ("text + missing", 0, "missingAttribute"),  # both are there before one is cast
        ("text AND missing", False, "cast"),
        ("SUBSTRING('abc', 'x', missing)", "", "cast"),  # an argument is cast before the next is asked
        ("FOO()", False, "missingFunction"),
        ("FOO(1 / 0)", False, "missingFunction"),
        ("LEFT('a')", False, "missingFunction"),
        ("LENGTH(FOO())", 0, "missingFunction"),
        ("1 + 1 / 0", 0, "math"),
        ("n % 0 = 1", False, "math"),
        ("ABS(-2147483648)", 2147483647, "math"),
        ("ABS(-2147483648) + 1", 0, "math"),
        ("INT('2147483648')", 0, "cast"),
        ("INT(' 5')", 0, "cast"),
        ("INT('1_0')", 0, "cast"),
        ("INT('٥')", 0, "cast"),
        ("INT('')", 0, "cast"),
        ("BOOL('')", False, "cast"),
        ("text = 5", False, "cast"),
        ("text != 5", False, "cast"),
        ("n IN ('a', 5)", False, "cast"),
        ("n NOT IN ('a', 6)", False, "cast"),
        ("NOT text LIKE 'false'", False, "cast"),
        ("text < 5", False, "cast"),
        ("NOT text", False, "cast"),
        ("NOT n", True, "cast"),
        ("NOT (1 + 1)", True, "cast"),
        ("NOT NOT n", False, "cast"),
        ("LEFT('abc', -1)", "abc", "functionEvaluation"),
        ("(RIGHT('abc', -1))", "abc", "functionEvaluation"),
        ("CONCAT(LEFT('abc', -1), 'd')", "", "functionEvaluation"),
        ("LEFT(LEFT('abc', -1), 1)", "", "functionEvaluation"),
        ("SUBSTRING('', 1)", "", "functionEvaluation"),
        ("SUBSTRING('abc', -4, 1)", "", "functionEvaluation"),
        ("SUBSTRING('abc', 1, -1)", "", "functionEvaluation"),
    ],
)
def test_an_error_has_a_kind_and_still_a_value(expression: str, value: object, error: str) -> None:
    got = evaluator(expression)(EVENT)

    assert got == (value, error)
    assert type(got[0]) is type(value)
