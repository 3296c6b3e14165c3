"""EventBridge event patterns over CloudEvents: what they see, what they tell an index and a person."""

from __future__ import annotations

import json

import pytest

from gateway.core.event import Binary, Event, Timestamp, Uri
from gateway.rules.lens import Lens
from gateway.rules.pattern import compile_pattern
from gateway.rules.pattern_explaining import MAX_LINES
from gateway.rules.rule import Key

ORDER = {
    "total": 42,
    "state": "open",
    "tags": ["new", "eu"],
    "customer": {"country": "DE", "address.city": "Bonn"},
    "lines": [{"sku": "a", "count": 1}, {"sku": "b", "count": 2}],
    "none": None,
}
EVENT = Event(
    id="1",
    source="/shop/eu",
    type="com.acme.order.created",
    subject="order-7",
    datacontenttype="application/json",
    data=json.dumps(ORDER).encode(),
    extensions={
        "attempts": 3,
        "urgent": True,
        "raw": Binary(b"Ma"),
        "link": Uri("https://a.example/b"),
        "at": Timestamp("2026-01-01T00:00:00Z"),
        "address": "10.0.0.7",
    },
)


@pytest.mark.parametrize(
    ("pattern", "passes"),
    [
        ({"type": ["com.acme.order.created"]}, True),
        ({"type": ["x", "com.acme.order.created"], "source": [{"prefix": "/shop/"}]}, True),
        ({"type": [{"suffix": ".deleted"}]}, False),
        ({"specversion": ["1.0"]}, True),
        ({"specversion": [{"anything-but": "1.0"}]}, False),
        ({"subject": [{"wildcard": "order-*"}]}, True),
        ({"subject": [{"exists": True}], "time": [{"exists": False}]}, True),
        ({"time": [{"exists": True}]}, False),
        ({"time": [{"anything-but": "x"}]}, False),
        ({"time": [None]}, False),
        ({"time": [{"exists": False}, {"prefix": "2026"}]}, True),
        ({"id": [{"exists": False}]}, False),
        ({"id": [1]}, False),
        ({"attempts": [3]}, True),
        ({"attempts": ["3"]}, False),
        ({"attempts": [{"numeric": [">=", 3]}]}, True),
        ({"attempts": [{"anything-but": [3, 4]}]}, False),
        ({"urgent": [True]}, True),
        ({"urgent": ["true"]}, False),
        ({"urgent": [{"anything-but": "x"}]}, True),
        ({"raw": ["TWE="], "link": [{"suffix": "/b"}], "at": [{"prefix": "2026-"}]}, True),
        ({"raw": [{"exists": False}]}, False),
        ({"address": [{"cidr": "10.0.0.0/24"}]}, True),
        ({"missing": [{"exists": False}]}, True),
        ({"missing": [{"equals-ignore-case": "x"}, {"anything-but": {"prefix": "x"}}]}, False),
        ({"data": {"total": [{"numeric": [">", 40]}], "state": ["open"]}}, True),
        ({"data": {"total": [{"numeric": [">", 100]}]}}, False),
        ({"data.total": [42]}, True),
        ({"data": {"customer": {"country": ["DE"]}}}, True),
        ({"data": {"customer": {"address": {"city": ["Bonn"]}}}}, True),
        ({"data": {"customer": [{"exists": True}]}}, False),
        ({"data": {"tags": ["eu"]}}, True),
        ({"data": {"lines": {"sku": ["a"], "count": [1]}}}, True),
        ({"data": {"lines": {"sku": ["a"], "count": [2]}}}, False),
        ({"data": {"lines": {"sku": ["b"], "extra": [{"exists": False}]}}}, True),
        ({"data": {"none": [None], "nothing": [{"exists": False}]}}, True),
        ({"data": [{"exists": False}]}, True),  # an object is no value
        ({"data_base64": [{"exists": False}]}, True),
        ({"$or": [{"type": ["x"]}, {"data": {"state": ["open"]}}]}, True),
        ({"$or": [{"type": ["x"]}, {"data": {"state": ["closed"]}}]}, False),
        ({"type": ["x"], "data": {"$or": [{"state": ["open"]}, {"total": [1]}]}}, False),
    ],
)
def test_what_passes(pattern: object, passes: bool) -> None:
    rule = compile_pattern(pattern)

    assert rule.matches(EVENT) is passes
    assert bool(rule.explain(EVENT)) is not passes


@pytest.mark.parametrize(
    ("data", "kind", "pattern", "passes"),
    [
        (None, "application/json", {"data": {"a": [{"exists": False}]}}, True),
        (None, "application/json", {"data": {"a": ["x"]}}, False),
        (b"{", "application/json", {"data": {"a": [{"anything-but": "x"}]}}, False),
        (b'{"a": 1}', None, {"data": {"a": [1]}}, True),
        (b"5", "application/json", {"data": [5]}, True),
        (b"5", "application/json", {"data": {"a": [{"exists": False}]}}, True),
        (b'["a", "b"]', "application/json", {"data": ["b"]}, True),
        (b'[{"a": 1, "b": 1}, {"a": 2, "b": 2}]', "application/json", {"data": {"a": [2], "b": [2]}}, True),
        (b'[{"a": 1, "b": 1}, {"a": 2, "b": 2}]', "application/json", {"data": {"a": [1], "b": [2]}}, False),
        (b"null", "application/json", {"data": [None]}, True),
        (b"some text", "text/plain", {"data": [{"prefix": "some"}]}, True),
        (b"some text", "text/plain", {"data": {"a": ["x"]}}, False),
        (b"\xff\x00", "application/octet-stream", {"data": [{"exists": False}], "data_base64": ["/wA="]}, True),
        (b"\xff\x00", "application/octet-stream", {"data": {"a": ["x"]}}, False),
        (b'{"a": 12345678901234567890}', "application/json", {"data": {"a": [12345678901234567890]}}, True),
        (b'{"a": 1e400}', "application/json", {"data": {"a": [{"numeric": [">", 0]}]}}, False),
        (b"[" * 500 + b"1" + b"]" * 500, "application/json", {"data": [1]}, True),
        (b'{"a":' + b"[" * 500 + b"1" + b"]" * 500 + b"}", "application/json", {"data": {"a": [1]}}, True),
    ],
)
def test_data_of_any_kind(data: bytes | None, kind: str | None, pattern: object, passes: bool) -> None:
    assert compile_pattern(pattern).matches(EVENT.but(data=data, datacontenttype=kind)) is passes


def test_deep_arrays_that_fields_share_are_not_looked_into_for_ever() -> None:
    """Beyond the bound there is no match, and no error."""
    rule = compile_pattern({"data": {"a": {"x": [1], "y": [2]}}})
    shallow, deep = (b'{"a":' + b"[" * n + b'{"x":1,"y":2}' + b"]" * n + b"}" for n in (90, 400))

    assert rule.matches(EVENT.but(data=shallow))
    assert not rule.matches(EVENT.but(data=deep))


def test_rules_that_share_a_lens_see_what_each_of_them_needs() -> None:
    lens = Lens()
    specs: list[tuple[object, bool]] = [
        ({"data": {"total": [42]}}, True),
        ({"data": {"customer": {"address": {"city": ["Bonn"]}}}}, True),
        ({"data": {"lines": {"sku": ["a"], "count": [2]}}}, False),
        ({"data": {"state": ["open"]}}, True),
    ]
    rules = [compile_pattern(spec, lens=lens) for spec, _ in specs]

    assert [rule.matches(EVENT) for rule in rules] == [passes for _, passes in specs]


def test_a_rule_says_what_it_reads() -> None:
    rule = compile_pattern({"type": ["x"], "specversion": ["1.0"], "$or": [{"a1": ["x"]}, {"data": {"b": ["x"]}}]})

    assert rule.reads == frozenset(("type", "a1"))
    assert rule.looks
    assert not compile_pattern({"type": ["x"]}).looks
    assert compile_pattern({"data_base64": ["x"]}).looks


def test_a_rule_knows_what_it_can_be_found_by() -> None:
    def anchors(spec: object) -> list[set[tuple[object, ...]]]:
        return [set(map(tuple, anchor)) for anchor in compile_pattern(spec).anchors]

    assert anchors({"type": ["a", "b"]}) == [{("type", "exact", "a"), ("type", "exact", "b")}]
    assert anchors({"type": [{"prefix": "a"}, "b"], "id": ["1"]}) == [
        {("id", "exact", "1")},
        {("type", "prefix", "a"), ("type", "exact", "b")},
    ]
    assert anchors({"attempts": [3, True, 2.5]}) == [{("attempts", "exact", "3"), ("attempts", "exact", "true")}]
    assert anchors({"data": {"a": [1, None, "x"]}}) == [{(("a",), "exact", value) for value in (1, None, "x")}]
    assert anchors({"data": {"a": {"b": [{"suffix": "x"}]}}}) == [
        {(("a", "b"), "suffix", "x"), (("a.b",), "suffix", "x")}
    ]
    assert anchors({"$or": [{"type": ["a"], "id": [{"prefix": "1"}]}, {"source": ["b"]}]}) == [
        {("type", "exact", "a"), ("source", "exact", "b")}
    ]
    for spec in (
        {"$or": [{"type": ["a"]}, {"type": [{"anything-but": "b"}]}]},
        {"type": ["a", {"exists": False}]},
        {"type": [{"prefix": ""}]},
        {"type": [{"equals-ignore-case": "a"}]},
        {"address": ["10.0.0.7"]},
        {"data": ["x"]},
        {"specversion": ["1.0"]},
    ):
        assert anchors(spec) == []
    assert Key("type", "exact", "a") in compile_pattern({"type": ["a"]}).anchors[0]


@pytest.mark.parametrize(
    ("pattern", "lines"),
    [
        ({"type": ["com.acme.order.created"]}, []),
        ({"data": {"total": [{"numeric": [">", 100]}]}}, ["match.data.total: expected a number > 100, found 42"]),
        (
            {"type": ["a", "b"], "data": {"state": [{"prefix": "x"}], "tags": ["old"]}},
            [
                'match.type: expected "a" or "b", found "com.acme.order.created"',
                'match.data.state: expected a string that begins with "x", found "open"',
                'match.data.tags: expected "old", found "new", "eu"',
            ],
        ),
        (
            {"$or": [{"type": ["a"]}, {"attempts": [{"numeric": [">=", 5, "<", 9]}, {"anything-but": 3}]}]},
            [
                'match.$or[0].type: expected "a", found "com.acme.order.created"',
                "match.$or[1].attempts: expected a number >= 5 and < 9 or anything but 3, found 3",
            ],
        ),
        ({"$or": [{"type": ["a"]}, {"attempts": [3]}], "id": ["2"]}, ['match.id: expected "2", found "1"']),
        ({"time": [{"exists": True}]}, ["match.time: expected any value, found nothing"]),
        ({"id": [{"exists": False}]}, ['match.id: expected no value, found "1"']),
        (
            {"data": {"customer": [{"equals-ignore-case": "x"}], "none": [True]}},
            [
                'match.data.customer: expected in any case "x", found an object, which is no value',
                "match.data.none: expected true, found null",
            ],
        ),
        (
            {"address": [{"cidr": "10.1.0.0/16"}]},
            ['match.address: expected an address in 10.1.0.0/16, found "10.0.0.7"'],
        ),
        (
            {"data": {"lines": {"sku": ["a"], "count": [2]}}},
            ["match: each field holds, but not all of them in one element of an array"],
        ),
        ({"id": ["x" * 200]}, [f'match.id: expected "{"x" * 76}..., found "1"']),
    ],
)
def test_an_explanation_names_every_field_that_failed(pattern: object, lines: list[str]) -> None:
    assert list(compile_pattern(pattern).explain(EVENT)) == lines


def test_an_explanation_is_short() -> None:
    lines = compile_pattern({f"a{n}": ["x"] for n in range(100)}).explain(EVENT.but(extensions={"a1": "y" * 1000}))

    assert len(lines) == MAX_LINES
    assert lines[-1] == "match: and 81 more"
    assert all(len(line) < 150 for line in lines)
