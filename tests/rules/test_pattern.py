"""EventBridge event patterns over documents: what they say, beside what AWS says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.errors import ConfigError, InvalidEvent
from gateway.rules.pattern import document_pattern, parse_document, parse_pattern
from gateway.rules.pattern_text import Digits
from tests.codec.corpora import cases, text_of

DIFFERENCES = {
    "content_wildcard_complex_EXC": "AWS refuses wildcards that make its automaton large; here any takes linear time",
}
"""Cases of the corpora where the answer is another, each with its reason."""


def answer(case: dict[str, Any]) -> object:
    """What our engine says: true, false, or "error"."""
    pattern, event = case.get("pattern"), case.get("event")
    try:
        matches = document_pattern(parse_pattern(case["pattern_text"]) if "pattern_text" in case else pattern)
    except ConfigError:
        return "error"
    return matches(parse_document(case["event_text"]) if "event_text" in case else event)


def test_every_case_of_the_engine_of_aws() -> None:
    """1,359 cases, recorded from the tests of event-ruler."""
    different = {}
    for line in text_of("event-patterns/event-ruler.jsonl").splitlines():
        case = json.loads(line)
        if (said := answer(case)) is not case["expect"]:
            different[case["id"]] = said

    assert different.keys() == DIFFERENCES.keys() & different.keys(), different


@pytest.mark.parametrize("case", cases("event-patterns/aws-recorded.json", key=None))
def test_every_case_recorded_from_the_service(case: dict[str, Any]) -> None:
    said = {True: "match", False: "no-match", "error": "error"}[answer(case)]

    if case["name"] in DIFFERENCES:
        assert said != case["expect"], "a difference that is gone"
    else:
        assert said == case["expect"], case.get("aws_error")


@pytest.mark.parametrize(
    ("terms", "passing", "failing"),
    [
        (["x"], ["x", ["y", "x"], [["x"]]], ["X", None, 1, {"x": "x"}, [], ["y"], {}]),
        ([5], [5, 5.0, [1, 5]], ["5", True, 6, None]),
        ([1], [1, 1.0], [True, "1"]),
        ([0], [0, -0.0], [False, None, ""]),
        ([True], [True], [1, "true", False]),
        ([None], [None, [1, None]], ["null", 0, False, [], {}]),
        (["x", 7, None, False], ["x", 7, None, False], [0, "7", True]),
        ([{"prefix": "ab"}], ["ab", "abc"], ["a", "AB", 5, None, "xab"]),
        ([{"prefix": ""}], ["", "x"], [1, None, {}, []]),
        ([{"suffix": "ab"}], ["ab", "cab"], ["b", "abc", 5]),
        ([{"prefix": {"equals-ignore-case": "aB"}}], ["Abc", "aB"], ["a", "xab", 1]),
        ([{"suffix": {"equals-ignore-case": "aB"}}], ["xAb", "aB"], ["b", "abx", 1]),
        ([{"prefix": "a"}, {"suffix": "z"}], ["ab", "yz"], ["ya", "zb"]),
        ([{"equals-ignore-case": "aBc"}], ["ABC", "abc"], ["ab", "abcd", 1]),
        ([{"equals-ignore-case": ""}], [""], ["x", 0, None]),
        ([{"equals-ignore-case": "k"}], ["K", "k"], ["\u212a"]),  # the sign of Kelvin, whose lower form is k
        ([{"equals-ignore-case": "straße"}], ["STRASSE", "Straße", "straSSe"], ["strasse", "straS"]),
        ([{"prefix": {"equals-ignore-case": "é"}}], ["Éa", "é"], ["e", ""]),
        ([{"suffix": {"equals-ignore-case": "é"}}], ["aÉ", "é"], ["e", ""]),
        ([{"equals-ignore-case": "😀a"}], ["😀A"], ["😀", "??A"]),
        ([{"wildcard": "*"}], ["", "x"], [1, None]),
        ([{"wildcard": "a*"}], ["a", "ab"], ["ba"]),
        ([{"wildcard": "*a"}], ["a", "ba"], ["ab"]),
        ([{"wildcard": "*a*"}], ["a", "bab"], ["b"]),
        ([{"wildcard": "a*a"}], ["aa", "aba"], ["a", "ab"]),
        ([{"wildcard": "a*b*c"}], ["abc", "axbxc", "abcbc"], ["ac", "acb", "abcx"]),
        ([{"wildcard": r"a\*"}], ["a*"], ["ab", "a"]),
        ([{"wildcard": r"a\\*"}], ["a\\", "a\\b"], ["a*", "a"]),
        ([{"wildcard": r"\**"}], ["*", "*x"], ["x"]),
        ([{"exactly": "10.0.0.1"}], ["10.0.0.1"], ["10.0.0.01"]),
        (["10.0.0.1"], ["10.0.0.1", "::ffff:a00:1"], ["10.0.0.2", "10.0.0.10"]),
        (["2001:DB8::1"], ["2001:db8:0:0:0:0:0:1"], ["2001:db8::2", "2001:db8::", 5]),
        ([{"cidr": "10.0.0.0/24"}], ["10.0.0.0", "10.0.0.255"], ["10.0.1.0", "10.0.0.256", "10.0.0", 10, "::a00:1"]),
        ([{"cidr": "0.0.0.0/0"}], ["1.2.3.4"], ["::1", 1, "1"]),
        ([{"cidr": "2001:db8::/33"}], ["2001:db8::1"], ["2001:db8:8000::", "32.1.13.184", "2001:db8"]),
        ([{"numeric": ["=", 5]}], [5, 5.0], ["5", 6]),
        ([{"numeric": [">", 5]}], [5.5, 6, 1e300], [5, "6", None, True, [], {}]),
        ([{"numeric": ["<=", 5]}], [5, -1e300], [5.5, "1", False]),
        ([{"numeric": [">", 0, "<=", 5]}], [1, 5, [9, 3]], [0, 5.1, "3", [0, 6]]),
        ([{"numeric": [">", 0]}], [2**53, 10**19], [2**60, 2**53 + 1]),  # what no double holds is not compared
        ([2**60], [2**60], [2**60 + 1]),
        ([{"exists": True}], [1, None, "", [1]], [[], {}, {"a": 1}]),
        ([{"exists": False}], [[], {}, {"a": 1}], [1, None, "", [[0]]]),
        ([{"exists": False}, "x"], ["x", {}], ["y", ["y"]]),
        ([{"anything-but": "x"}], ["y", 5, None, True, ["x", "y"]], ["x", ["x"], [], {}]),
        ([{"anything-but": ["x", "y"]}], ["z"], ["x", "y"]),
        ([{"anything-but": 1}], [2, "1", True, None], [1, 1.0]),
        ([{"anything-but": [1, 2]}], [3], [1, 2.0]),
        ([{"anything-but": {"prefix": "x"}}], ["y", 1, None], ["x", "xy", {}]),
        ([{"anything-but": {"prefix": ["x", "y"]}}], ["z"], ["xz", "yz"]),
        ([{"anything-but": {"suffix": "x"}}], ["y", 1], ["x", "yx"]),
        ([{"anything-but": {"suffix": ["x", "y"]}}], ["z"], ["zx", "zy"]),
        ([{"anything-but": {"equals-ignore-case": "x"}}], ["y", 1], ["x", "X"]),
        ([{"anything-but": {"equals-ignore-case": ["x", "é"]}}], ["y"], ["X", "É"]),
        ([{"anything-but": {"wildcard": "a*c"}}], ["ab", 1], ["ac", "abc"]),
        ([{"anything-but": {"wildcard": ["a*", "*c"]}}], ["b"], ["ab", "bc"]),
        ([{"numeric": [">", 100]}, {"anything-but": "101"}], [101, 5, "x"], ["101"]),
    ],
)
def test_what_a_term_passes(terms: list[object], passing: list[object], failing: list[object]) -> None:
    at_root, inside = document_pattern({"a": terms}), document_pattern({"a": {"b": terms}})

    for value in passing:
        assert at_root({"a": value}), value
        assert inside({"a": {"b": value}}), value
        assert inside({"a": [{"b": value}]}), value
        assert inside({"a.b": value}), value
    for value in failing:
        assert not at_root({"a": value}), value
        assert not inside({"a": {"b": value}}), value
        assert not inside({"a": [{"b": value}]}), value
        assert not inside({"a.b": value}), value
    assert at_root({}) is inside({}) is inside({"a": 1}) is ({"exists": False} in terms)


@pytest.mark.parametrize(
    ("pattern", "document", "passes"),
    [
        # inside one array all in one element
        ({"a": {"x": [1], "y": [2]}}, {"a": [{"x": 1, "y": 0}, {"x": 1, "y": 2}]}, True),
        ({"a": {"x": [1], "y": [2]}}, {"a": [{"x": 1}, {"y": 2}]}, False),
        ({"a": {"x": [1]}, "b": {"y": [2]}}, {"a": [{"x": 0}, {"x": 1}], "b": [{"y": 2}]}, True),
        ({"a": {"b": {"x": [1]}, "y": [2]}}, {"a": [{"b": [{"x": 0}, {"x": 1}], "y": 2}]}, True),
        ({"a": {"b": {"x": [1]}, "y": [2]}}, {"a": [{"b": [{"x": 1}], "y": 0}, {"b": [], "y": 2}]}, False),
        ({"a": {"x": [1], "y": [2]}}, {"a": [[{"x": 1}, {"y": 2}]]}, False),
        ({"a": {"x": [1], "y": [2]}}, {"a": [[{"x": 1}], [{"x": 1, "y": 2}]]}, True),
        # scalars directly in an array are bound to no element of it
        ({"a": [1], "a.b": [2]}, {"a": [1, {"b": 2}]}, True),
        ({"a": [1], "a.b": [2]}, {"a": [[1], {"b": 2}]}, False),
        ({"a": [1], "a.b": [2]}, {"a": [[1, {"b": 2}]]}, True),
        # what must be absent is looked for where earlier fields have led
        ({"a": {"x": [1], "y": [{"exists": False}]}}, {"a": [{"x": 1}, {"y": 2}]}, True),
        ({"a": {"x": [{"exists": False}], "y": [2]}}, {"a": [{"x": 1}, {"y": 2}]}, False),
        ({"a": {"x": [1], "y": [{"exists": False}, 3]}}, {"a": [{"x": 1, "y": 2}, {"y": 3}]}, False),
        ({"a": {"x": [1], "y": [{"exists": False}, 3]}}, {"a": [{"x": 1, "y": 2}, {"x": 1, "y": 3}]}, True),
        # dots
        ({"a": {"b": {"c": [1]}}}, {"a.b": {"c": 1}}, True),
        ({"a": {"b": {"c": [1]}}}, {"a": {"b.c": 1}}, True),
        ({"a": {"b": {"c": [1]}}}, {"a.b.c": 1}, True),
        ({"a.b.c": [1]}, {"a": {"b": {"c": 1}}}, True),
        ({"a.b.c": [1]}, {"a": {"b": {"c": 2}}, "a.b": {"c": 1}}, True),
        ({"a.b": {"c": [1]}, "a": {"b.c": [2]}}, {"a": {"b": {"c": 1}}}, False),  # the later of two
        ({"a.b": [{"exists": False}]}, {"a.b": 1}, False),
        ({"a": {"b": {"c": {"d": [1]}}}}, {"a": {"b.c": {"d": 1}}}, True),
        ({"": ["x"]}, {"": "x"}, True),
        # $or
        ({"$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2}, True),
        ({"$or": [{"a": [1]}, {"b": [2]}]}, {"a": 2, "b": 1}, False),
        ({"c": [3], "$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2}, False),
        ({"$or": [{"a": [1]}, {"b": [2]}], "c": {"$or": [{"d": [1]}, {"e": [2]}]}}, {"a": 1, "c": {"e": 2}}, True),
        ({"$or": [{"a": [1]}, {"$or": [{"b": [2]}, {"c": [3]}]}]}, {"c": 3}, True),
        ({"$or": [{"a": [1], "b": [1]}, {"a": [2], "b": [2]}]}, {"a": 1, "b": 2}, False),
        ({"a": {"$or": [{"x": [1]}, {"y": [2]}], "z": [3]}}, {"a": [{"x": 1, "z": 0}, {"y": 2, "z": 3}]}, True),
        ({"a": {"$or": [{"x": [1]}, {"y": [2]}], "z": [3]}}, {"a": [{"x": 1, "z": 0}, {"y": 0, "z": 3}]}, False),
        ({"$or": [{"a": [1, 2]}, {"a": [1, 3]}]}, {"a": 3}, True),  # event-ruler forgets the 3
        ({"a": [9], "$or": [{"a": [1]}, {"b": [2]}]}, {"a": 1}, True),  # the later of two, in each alternative
        ({"a": [9], "$or": [{"a": [1]}, {"b": [2]}]}, {"a": 9, "b": 2}, True),
        ({"$or": [{"a": [1]}, {"b": [2]}], "a": [9]}, {"a": 1}, False),
        # strings that Python itself would read
        ({"a": ["') or ('", "{}", "\\", "\ud800", "\n\x00"]}, {"a": "') or ('"}, True),
        ({"a'); b": {"{v}": [{"prefix": "{"}]}}, {"a'); b": {"{v}": "{}"}}, True),
        ({"a": [1]}, [{"a": 1}], False),
        ({"a": [1]}, "a", False),
    ],
)
def test_what_passes(pattern: object, document: object, passes: bool) -> None:
    assert document_pattern(pattern)(document) is passes
    assert document_pattern(parse_pattern(json.dumps(pattern)))(parse_document(json.dumps(document))) is passes


@pytest.mark.parametrize(
    ("pattern", "document", "passes"),
    [
        ('{"a": [1], "a": [2]}', '{"a": 1}', False),
        ('{"a": [1], "a": [2]}', '{"a": 2}', True),
        ('{"a": {"b": [1]}, "a": {"c": [2]}}', '{"a": {"c": 2}}', False),
        ('{"a": {"b": [1]}, "a": {"c": [2]}}', '{"a": {"b": 1, "c": 2}}', True),
        ('{"a": [1]}', '{"a": 1, "a": 2}', True),
        ('{"a": {"b": [1], "c": [2]}}', '{"a": {"b": 1}, "a": {"c": 2}}', True),
        ('{"a": {"b": [{"exists": false}]}}', '{"a": {"b": 1}, "a": {"c": 2}}', False),
        ('{"a": [0.1]}', '{"a": 0.10}', True),
        ('{"a": [0.1]}', '{"a": 0.1000000000000000055511151231257827}', False),
        ('{"a": [0.1000000000000000055511151231257827]}', '{"a": 0.1000000000000000055511151231257827}', True),
        ('{"a": [1e400]}', '{"a": 1e400}', True),
        ('{"a": [1e400]}', '{"a": 1.0e400}', False),
        ('{"a": [{"anything-but": 1}]}', '{"a": 1e400}', True),
        ('{"a": [{"numeric": [">", 0]}]}', '{"a": 1e400}', False),
        ('{"a": [{"exists": true}]}', '{"a": 1e400}', True),
        ('{"a": [300]}', '{"a": 3.0e2}', True),
        ('{"a": [1234567890123456789012345]}', '{"a": 1234567890123456789012345}', True),
        ('{"a": [1234567890123456789012345]}', '{"a": 1234567890123456789012346}', False),
        (f'{{"a": [{"9" * 5000}]}}', f'{{"a": {"9" * 5000}}}', True),
        ('{"a": ["\\u00e9"]}', '{"a": "é"}', True),
        ('{"a": ["\\ud83d\\ude00"]}', '{"a": "😀"}', True),
    ],
)
def test_what_only_a_text_can_say(pattern: str, document: str, passes: bool) -> None:
    """Members that stand twice, and numbers that no double holds."""
    assert document_pattern(parse_pattern(pattern))(parse_document(document)) is passes
    assert document_pattern(parse_pattern(pattern.encode()))(parse_document(document.encode())) is passes


@pytest.mark.parametrize(
    "text", ["", "{", "[1,]", '{"a": NaN}', "nul", '"\n"', "{} {}", "[" * 100_000, b'{"a": "\xff"}']
)
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ConfigError, match="not a JSON text: "):
        parse_pattern(text)
    with pytest.raises(InvalidEvent, match="not a JSON text: "):
        parse_document(text)


def test_digits_are_equal_to_the_same_digits_only() -> None:
    assert Digits("1e400") == Digits("1e400") != Digits("1e401")
    assert len({Digits("1e400"), Digits("1e400")}) == 1
    assert Digits("1") != 1
    assert repr(Digits("1e400")) == "1e400"


@pytest.mark.parametrize(
    ("pattern", "event", "passes"),
    [
        ({"data": {"tags": ["a"], "total": [5]}}, {"data": {"tags": ["a", "b"], "total": 6}}, False),
        ({"data": {"tags": ["c"]}}, {"data": {"tags": ["a", "b"]}}, False),
        ({"data": {"tags": ["b"]}}, {"data": {"tags": ["a", "b"]}}, True),
        ({"data": {"missing": [{"exists": True}]}}, {"data": {"total": 6}}, False),
        ({"data": {"missing": [{"numeric": [">", 1]}]}}, {"data": {"total": 6}}, False),
        ({"data": {"total": [{"numeric": [">", 1]}]}}, {"data": {"total": "6"}}, False),
        ({"data": {"total": [{"numeric": [">", 1]}]}}, {"data": {"total": 6}}, True),
    ],
)
def test_known_defects_of_eventmesh_are_not_ours(pattern: object, event: object, passes: bool) -> None:
    assert document_pattern(pattern)(event) is passes
