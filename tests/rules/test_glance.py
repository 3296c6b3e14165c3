"""A glance rules out most events, and never one that a rule wants."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.event import Event
from gateway.rules import match
from gateway.rules.dialects import compile_filter
from gateway.rules.glance import DEEPEST, MOST, glance_at
from gateway.rules.keyed import Asked, Place
from gateway.rules.lens import Lens
from gateway.rules.match import Matcher
from gateway.rules.rule import Key, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.rules.rule import Path

JSON = "application/json"


@pytest.fixture
def _always() -> Iterator[None]:
    """Glances from the first event on, for one rule too, and however little they rule out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(match, "FEW", 0)
        patch.setattr(match, "_WORTH", 0)
        patch.setattr(match, "_MOST_LEFT", 0)
        yield


names = st.sampled_from(["a", "b", "c", "a", "b", "c", "a.b", "", "ä", 'a"b', "a\\b", "\n", "\x00", "{v}", "'", "m0"])
strings = st.sampled_from(["", "a", "ab", "abc", "ba", "ä", "é\n", '"', "\\", "1", "true"])
scalars = st.one_of(strings, st.sampled_from([0, 1, 1.0, -0.0, 2.5, 2**60, 2**64 + 1, True, False, None]))
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=10
)
numbers = st.sampled_from([-1, 0, 1, 1.5, 2, 1e300])
tests = st.one_of(
    scalars,
    st.builds(lambda how, text: {how: text}, st.sampled_from(["prefix", "suffix", "equals-ignore-case"]), strings),
    st.builds(lambda how, number: {"numeric": [how, number]}, st.sampled_from(["<", "<=", ">", ">=", "="]), numbers),
    st.builds(lambda low, more: {"numeric": [">", low, "<=", low + more]}, st.integers(-2, 2), st.integers(1, 3)),
)
fields = st.recursive(
    st.lists(tests, min_size=1, max_size=3),
    lambda inner: st.dictionaries(names.filter(bool), inner, min_size=1, max_size=2),
    max_leaves=3,
)
patterns = st.dictionaries(names.filter(bool), fields, min_size=1, max_size=2)


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """A document as somebody may write it; now and then none."""
    text = json.dumps(
        draw(documents), ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])), allow_nan=False
    )
    if draw(st.booleans()):
        text = text.replace('"a"', '"\\u0061"')
    if draw(st.booleans()):
        text = text.replace("1", draw(st.sampled_from(["1e400", "10e-1", "1E0", "01", "1" * 400])))
    if draw(st.booleans()):
        text = text.replace('"b"', '"a"')  # names that stand twice
    data = text.encode("utf-8", "surrogatepass")
    return draw(st.sampled_from([data, data, data, data + b"x", b"\xef\xbb\xbf" + data, data.replace(b"b", b"\xff")]))


events = st.builds(
    lambda data, kind, which: Event("1", "/s", which, datacontenttype=kind, data=data),
    written() | st.none(),
    st.sampled_from([JSON, None, JSON, "text/plain", "application/json; charset=utf-8", "application/x+json"]),
    st.sampled_from(["t", "u"]),
)


@pytest.mark.usefixtures("_always")
@given(st.lists(patterns, min_size=1, max_size=6), st.lists(events, min_size=1, max_size=5))
@example([{"a": {"b": [1]}}], [Event("1", "/s", "t", data=b'{"a":[{"b":1}]}'), Event("1", "/s", "t", data=b"{}")])
@example([{"a": {"b": ["x"]}}], [Event("1", "/s", "t", data=b'{"a":{"b":"y","b":"x"}}')])
@example([{"a": {"b": ["x"]}}], [Event("1", "/s", "t", data=b'{"a":{"b":"x"},"a":{"b":"x"}}')])
@example([{"a": [{"numeric": [">", 1]}]}], [Event("1", "/s", "t", data=b'{"a":1e400}')])
@example([{"a": [{"numeric": [">", 1]}]}], [Event("1", "/s", "t", data=b'{"a":[1,{"a":2}]}')])
@example([{"a": [{"prefix": "ab"}]}], [Event("1", "/s", "t", data=b'{"a":"\\u0061bc"}')])
def test_a_batch_is_chosen_from_as_each_rule_does(specs: list[Any], batch: list[Event]) -> None:
    lens = Lens()
    wanted = [{"match": {"type": ["t"], "data": spec}} if number % 2 else {"match": {"data": spec}}
              for number, spec in enumerate(specs)]  # fmt: skip
    rules = {str(number): compile_filter(spec, lens=lens) for number, spec in enumerate(wanted)}
    alone = {str(number): compile_filter(spec) for number, spec in enumerate(wanted)}
    matcher = Matcher(rules, lens)

    for _ in range(2):
        assert matcher.matching(batch) == [
            index for index, event in enumerate(batch) if any(rule.matches(event) for rule in alone.values())
        ]
        chosen = matcher.choose(batch)

        assert {name: [index for index, _ in some] for name, some in chosen.items()} == {
            name: some
            for name, rule in alone.items()
            if (some := [index for index, event in enumerate(batch) if rule.matches(event)])
        }
        assert all(event is batch[index] for some in chosen.values() for index, event in some)


def place(path: Path, *keys: Key) -> Place:
    made = Place(path)
    for key in keys:
        made.add(key, Asked("x", lambda _: True))
    return made


def glanced(places: Sequence[Place], *data: bytes | None, kind: str | None = JSON) -> list[int]:
    glance = glance_at(places)
    assert glance is not None
    return glance([Event("1", "/s", "t", datacontenttype=kind, data=one) for one in data], range(len(data)))


def test_only_what_may_lead_to_a_rule_is_left() -> None:
    customer = place(("customer",), Key(("customer",), "exact", "c-7"), Key(("customer",), "prefix", "vip-"))
    price = place(("ship", "price"), Key(("ship", "price"), "exact", 5), Key(("ship", "price"), "suffix", " EUR"))

    left = glanced(
        [customer, price],
        b'{"customer":"c-7"}',
        b'{"customer":"vip-1"}',
        b'{"customer":"c-8","ship":{"price":4}}',
        b'{"customer":"c-8","ship":{"price":5.0}}',
        b'{"ship":{"price":"5 EUR"}}',
        b'{"ship":{"price":"EUR"}}',
        b'{"customer":null}',
        b"{}",
        None,
    )

    assert left == [0, 1, 3, 4]


def test_arrays_are_entered() -> None:
    price = place(("ship", "price"), Key(("ship", "price"), "exact", 5))
    tag = place(("tags",), Key(("tags",), "prefix", "re"))

    left = glanced(
        [price, tag],
        b'{"ship":[{"price":4},7,{"price":5}]}',
        b'{"ship":[{"price":4},7,{"price":[6,5]}]}',
        b'{"ship":[{"price":4},7,null,"5",{"cost":5}]}',
        b'{"ship":{"price":[1,5]}}',
        b'{"ship":{"price":[1,{"price":5}]}}',
        b'{"ship":5}',
        b'{"tags":["blue","red"]}',
        b'{"tags":["blue",true,null,4]}',
        b'{"tags":{"red":"red"}}',
    )

    assert left == [0, 1, 3, 6]


def test_ranges_of_numbers_are_compared() -> None:
    path = ("n",)
    wanted = [(1, 2), (2, 3), (5.5, 6), (10, math.inf)]
    several = place(path, *(Key(path, "range", ends) for ends in wanted), Key(path, "exact", 8))
    numbers = (0, 1, 3.0, 3.5, 5, 5.5, 7, 8, 9, 10, 1 << 80, True, '"2"', "null")

    found = glanced([several], *(f'{{"n":{number}}}'.lower().encode() for number in numbers))
    many = place(path, *(Key(path, "range", (number, number + 0.5)) for number in range(2 * MOST)))

    assert [numbers[index] for index in found] == [1, 3.0, 5.5, 8, 10, 1 << 80]
    assert glanced([many], b'{"n":-1}', b'{"n":3}', b'{"n":99}') == [1]


def test_what_cannot_be_told_at_a_glance_is_left() -> None:
    """Arrays in arrays, no JSON, and data of other types: somebody has to look properly."""
    price = place(("ship", "price"), Key(("ship", "price"), "exact", 5))

    assert glanced([price], b'{"ship":[[{"price":4}]]}', b'{"ship":{"price":[[4]]}}', b"[]", b"no", b'{"ship":') == [
        0, 1, 2, 3, 4,
    ]  # fmt: skip
    assert glanced([price], b'{"ship":{"price":4}}', kind="application/json; charset=utf-8") == [0]


@pytest.mark.parametrize(
    "paths",
    [
        [],
        [("a",), ("a", "b")],
        [("a", "b"), ("a",)],
        [("ä",)],
        [('a"b',)],
        [("a", "b\\")],
        [("\n",)],
        [("\x00", "a")],
        [("a", "")],
        [()],
        [("a",) * (DEEPEST + 1)],
        [(f"p{number}",) for number in range(MOST + 1)],
    ],
)
def test_there_is_none_where_a_decoder_of_members_would_not_do(paths: list[Path]) -> None:
    assert glance_at([place(path, Key(path, "exact", 1)) for path in paths]) is None


def test_many_lengths_are_not_worth_it() -> None:
    keys = [Key(("a",), "prefix", "x" * length) for length in range(1, MOST + 2)]

    assert glance_at([place(("a",), *keys)]) is None
    assert glance_at([place(("a",), *keys[:-1])]) is not None


def looks(events: Sequence[Event], matcher: Matcher, lens: Lens) -> int:
    """How many of these events' data somebody looked at properly."""
    before = lens._last
    seen = 0
    for event in events:
        matcher.choose([event])
        if lens._last is not before:
            before, seen = lens._last, seen + 1
    return seen


def watched() -> tuple[Matcher, Lens]:
    lens = Lens()
    specs = {str(number): {"match": {"data": {"customer": [f"c{number}"]}}} for number in range(10)}
    rules: dict[str, Rule] = {name: compile_filter(spec, lens=lens) for name, spec in specs.items()}
    return Matcher(rules, lens), lens


def made(count: int, customer: str) -> list[Event]:
    return [
        Event(str(number), "/s", "t", datacontenttype=JSON, data=b'{"customer":"%b"}' % customer.encode())
        for number in range(count)
    ]


def test_after_a_while_the_data_of_what_nobody_wants_is_not_looked_at() -> None:
    matcher, lens = watched()

    assert looks(made(match._WORTH, "c99"), matcher, lens) == match._WORTH
    assert looks(made(500, "c99"), matcher, lens) == 0
    assert [name for event in made(3, "c7") for name in matcher.choose([event])] == ["7"] * 3


def test_where_most_is_wanted_no_glance_is_taken_for_a_while() -> None:
    matcher, lens = watched()
    looks(made(match._WORTH, "c99"), matcher, lens)

    assert looks(made(match._WORTH, "c7"), matcher, lens) == match._WORTH
    assert looks(made(match._PAUSE, "c99"), matcher, lens) == match._PAUSE
    assert looks(made(500, "c99"), matcher, lens) == 0


def test_a_few_that_are_wanted_do_not_end_it() -> None:
    """However small the batches are."""
    matcher, lens = watched()
    looks(made(match._WORTH, "c99"), matcher, lens)
    mixed = [event for number in range(30) for event in (*made(99, "c99"), *made(1, f"c{number % 10}"))]

    assert looks(mixed, matcher, lens) == 30


def test_a_rule_without_a_key_is_asked_about_every_event() -> None:
    """Though others beside it have keys."""
    lens = Lens()
    specs = [{"customer": [f"c{number}"]} for number in range(9)] + [{"city": [{"equals-ignore-case": "PRAHA"}]}]
    rules = {str(number): compile_filter({"match": {"data": spec}}, lens=lens) for number, spec in enumerate(specs)}
    matcher = Matcher(rules, lens)
    for event in made(2 * match._WORTH, "c99"):
        matcher.choose([event])

    found = matcher.choose([Event("1", "/s", "t", datacontenttype=JSON, data=b'{"city":"praha"}')])

    assert list(found) == ["9"]


def test_a_value_is_looked_up_rather_than_a_range_compared() -> None:
    asked: list[str] = []

    def watched(name: str, rule: Rule) -> Rule:
        def matches(event: Event) -> bool:
            asked.append(name)
            return rule.matches(event)

        return Rule(matches, rule.explain, rule.reads, rule.looks, rule.anchors)

    lens = Lens()
    specs = {
        str(number): {"match": {"data": {"currency": ["EUR"], "total": [{"numeric": [">", number]}]}}}
        for number in range(10)
    }
    matcher = Matcher({name: watched(name, compile_filter(spec, lens=lens)) for name, spec in specs.items()}, lens)

    assert not matcher.choose([Event("1", "/s", "t", datacontenttype=JSON, data=b'{"currency":"CZK","total":99}')])
    assert asked == []
    found = matcher.choose([Event("1", "/s", "t", datacontenttype=JSON, data=b'{"currency":"EUR","total":5}')])
    assert sorted(found) == ["0", "1", "2", "3", "4"]
