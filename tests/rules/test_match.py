"""The index over all rules answers as every rule on its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.event import Binary, Event, Uri
from gateway.rules.dialects import compile_filter
from gateway.rules.lens import Lens
from gateway.rules.match import MAX_DECISIONS, Matcher
from tests.rules.test_dialects import filters, small_events

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.rules.rule import Rule


def compiled(specs: Mapping[str, object]) -> tuple[dict[str, Rule], Matcher]:
    lens = Lens()
    rules = {name: compile_filter(spec, name, lens=lens) for name, spec in specs.items()}
    return rules, Matcher(rules, lens)


def together(matcher: Matcher, event: Event) -> list[str]:
    return list(matcher.choose([event]))


def alone(rules: Mapping[str, Rule], event: Event) -> list[str]:
    return sorted(name for name, rule in rules.items() if rule.matches(event))


def test_each_way_to_a_rule_leads_there() -> None:
    """By an attribute's value, its beginning, its end, by a value in the data, and by no anchor at all."""
    rules, matcher = compiled(
        {
            "exact": {"exact": {"type": "a.b"}},
            "either": {"any": [{"exact": {"type": "a.b"}}, {"exact": {"type": "c"}}]},
            "prefix": {"prefix": {"source": "/shop/"}},
            "suffix": {"suffix": {"subject": ".png"}},
            "number": {"match": {"data": {"customer": [7]}}},
            "text": {"match": {"type": ["a.b"], "data": {"tags": ["red"]}}},
            "places": {"any": [{"exact": {"type": "x"}}, {"match": {"data": {"customer": [8]}}}]},
            "none": {"not": {"exact": {"type": "a.b"}}},
            "all": [],
            "sql": {"sql": "type = 'a.b' AND source LIKE '/shop/%'"},
            "id": {"exact": {"id": "1", "type": "a.b"}},
            "cel": {"cel": "has(data.customer) && data.customer == 7"},
        }
    )
    event = Event("1", "/shop/eu", "a.b", "x.png", data=b'{"customer": 7, "tags": ["blue", "red"]}')
    others = [
        event.but(id="2", type="c"),
        event.but(source="/shop", subject=None),
        event.but(data=b'{"customer": 8}'),
        event.but(data=b'{"tags": [["red"]], "customer": {"x": 1}}'),
        event.but(data=b"not JSON"),
        event.but(data=None),
    ]

    assert sorted(together(matcher, event)) == [
        "all", "cel", "either", "exact", "id", "number", "prefix", "sql", "suffix", "text",
    ]  # fmt: skip
    for other in (*others, *others, event):
        assert sorted(together(matcher, other)) == alone(rules, other)


@pytest.mark.parametrize("value", [True, 1, "true", "1", Binary(b"1"), Uri("a:1")])
def test_a_decision_does_not_hold_for_a_value_that_only_looks_the_same(value: Any) -> None:
    rules, matcher = compiled(
        {
            "sql": {"sql": "x"},
            "int": {"sql": "x = 1"},
            "match": {"match": {"x": [1]}},
            "exact": {"exact": {"x": "true"}},
        }
    )
    for first in (True, 1, "true", "1"):
        together(matcher, Event("1", "s", "t", extensions={"x": first}))

    event = Event("1", "s", "t", extensions={"x": value})

    assert sorted(together(matcher, event)) == alone(rules, event)


def test_ten_thousand_rules_are_not_asked_one_by_one() -> None:
    """Neither where they differ in an attribute, nor where only the data tells them apart."""
    asked: list[str] = []

    def watched(name: str, rule: Rule) -> Rule:
        def matches(event: Event) -> bool:
            asked.append(name)
            return rule.matches(event)

        return type(rule)(matches, rule.explain, rule.reads, rule.looks, rule.anchors)

    lens = Lens()
    specs: dict[str, object] = {f"type{n}": {"exact": {"type": f"t{n}"}} for n in range(5000)}
    specs |= {f"data{n}": {"match": {"type": ["t1"], "data": {"customer": [f"c{n}"]}}} for n in range(5000)}
    rules = {name: watched(name, compile_filter(spec, lens=lens)) for name, spec in specs.items()}
    matcher = Matcher(rules, lens)

    found = together(matcher, Event("1", "s", "t1", data=b'{"customer": "c77"}'))

    assert sorted(found) == ["data77", "type1"]
    assert sorted(asked) == ["data77", "type1"]


def test_whoever_asks_whether_any_matches_is_not_told_which() -> None:
    """Once one matches by its attributes the data is left alone."""
    lens = Lens()
    specs: dict[str, object] = {
        "all": [],
        "data": {"match": {"data": {"customer": [7]}}},
        "kind": {"sql": "type = 'a'"},
    }
    matcher = Matcher({name: compile_filter(spec, lens=lens) for name, spec in specs.items()}, lens)
    events = [
        Event(str(n), "s", "ab"[n % 2], datacontenttype="application/json", data=b'{"customer":7}') for n in range(5)
    ]

    assert matcher.matching(events) == [0, 1, 2, 3, 4]
    assert lens._last[0] is None
    assert [index for index, _ in matcher.choose(events)["data"]] == [0, 1, 2, 3, 4]
    assert lens._last[0] is events[4]


def test_what_is_remembered_is_bounded() -> None:
    rules, matcher = compiled({"a": {"exact": {"subject": "7"}}})

    found = [together(matcher, Event("1", "s", "t", str(n))) for n in range(2 * MAX_DECISIONS + 10)]

    assert [n for n, names in enumerate(found) if names] == [7]
    assert len(matcher._decisions) <= MAX_DECISIONS
    assert alone(rules, Event("1", "s", "t", "7")) == ["a"]


values = st.sampled_from([1, 1.0, True, False, None, "a", "b", "ab", 2])
documents = st.recursive(
    values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)
fields = st.one_of(
    st.lists(st.sampled_from([1, True, None, "a", "ab", 2]), min_size=1, max_size=3),
    st.sampled_from([[{"prefix": "a"}], [{"exists": False}], [{"anything-but": ["a"]}], [{"suffix": "b"}, "a"]]),
)
patterns = st.builds(
    lambda kinds, data: {"match": {**({"type": kinds} if kinds else {}), "data": data}},
    st.lists(st.sampled_from(["a", "ab", "b"]), max_size=2),
    st.recursive(
        st.dictionaries(st.sampled_from(["a", "b"]), fields, min_size=1, max_size=2),
        lambda inner: st.dictionaries(st.sampled_from(["a", "b"]), inner | fields, min_size=1, max_size=2),
        max_leaves=4,
    ),
)
expressions = st.sampled_from(
    ["type = 'a'", "type LIKE 'a%' OR x", "EXISTS x AND x = 1", "subject = 'a' OR subject = 'b'", "x = 'true'"]
).map(lambda text: {"sql": text})


@given(
    st.lists(filters | patterns | expressions, max_size=12),
    st.lists(st.tuples(small_events, documents), min_size=1, max_size=4),
)
def test_the_index_answers_as_the_rules_do(specs: Sequence[object], found: Sequence[tuple[Event, Any]]) -> None:
    rules, matcher = compiled({str(number): spec for number, spec in enumerate(specs)})
    singles = {str(number): compile_filter(spec) for number, spec in enumerate(specs)}

    for event, document in found:
        full = event.but(data=json.dumps(document).encode(), datacontenttype="application/json")
        assert sorted(together(matcher, full)) == alone(rules, full) == alone(singles, full)


@given(st.lists(patterns | expressions | filters, min_size=1, max_size=3), small_events, documents)
def test_an_event_that_matches_has_a_key_of_every_anchor(specs: list[object], event: Event, document: Any) -> None:
    from gateway.rules.match import _Index, _Named  # noqa: PLC0415  the law of an anchor, whoever made it

    full = event.but(data=json.dumps(document).encode(), datacontenttype="application/json")
    for spec in specs:
        rule = compile_filter(spec)
        if rule.matches(full):
            for anchor in rule.anchors:
                if all(isinstance(key.where, str) for key in anchor):
                    assert _Index([(_Named("x", rule), anchor)], Lens()).buckets(full)


@pytest.mark.parametrize("levels", [10, 450, 600, 900, 100_000])
def test_data_however_deep_is_no_trouble(levels: int) -> None:
    """An index over the data walks it without calling itself: what one outsider sends stops nobody."""
    rules, matcher = compiled({str(number): {"match": {"data": {"a": {"b": [number]}}}} for number in range(9)})
    nested = Event("1", "s", "t", data=b'{"a":' + b"[" * levels + b'{"b":7}' + b"]" * levels + b"}")

    assert sorted(together(matcher, nested)) == alone(rules, nested)
    assert list(together(matcher, nested.but(data=b'{"a":{"b":3}}'))) == ["3"]


def test_long_values_are_not_remembered() -> None:
    rules, matcher = compiled({str(number): {"prefix": {"subject": f"{number}-"}} for number in range(9)})

    for number in range(200):
        event = Event("1", "s", "t", f"{number % 9}-{number}" + "x" * 60_000)
        assert list(together(matcher, event)) == alone(rules, event) == [str(number % 9)]

    assert not matcher._decisions
