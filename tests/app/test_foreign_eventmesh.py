"""Filter patterns of Apache EventMesh: they mean what whoever wrote them meant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.app.foreign_eventmesh import import_filters, intervals
from gateway.core.errors import ConfigError
from gateway.core.event import Event
from gateway.rules.pattern import compile_pattern, document_pattern, parse_pattern

if TYPE_CHECKING:
    from gateway.app.foreign import Imported

EVENT = Event(
    id="4b26115b",
    source="eventmesh.source",
    type="object:put",
    datacontenttype="application/json",
    subject="xxx.jpg",
    time="2022-01-17T12:07:48.955Z",
    data=json.dumps(
        {"name": "test01", "state": "enable", "num": 10, "num1": 50.7, "in": {"deep": "x"}, "tags": ["a", "b"]}
    ).encode(),
)


def imported(document: object) -> Imported:
    (one,) = import_filters(document, "filter")
    return one


def passes(document: object, event: Event = EVENT) -> bool:
    pattern = imported(document).pattern
    assert pattern is not None
    return compile_pattern(pattern).matches(event)


def problems(document: object) -> str:
    with pytest.raises(ConfigError) as refused:
        imported(document)
    return "\n".join(refused.value.problems)


FIELDS = [
    ({"source": ["eventmesh.source"]}, True),
    ({"source": ["a", "b"]}, False),
    ({"source": [{"prefix": "eventmesh."}], "subject": [{"suffix": ".jpg"}]}, True),
    ({"source": [{"prefix": "eventmesh."}], "subject": [{"suffix": ".png"}]}, False),
    ({"type": [{"specified": "object:put"}]}, True),
    ({"type": [{"anything-but": "object:put"}]}, False),
    ({"type": [{"anything-but": ["a", "b"]}], "specversion": ["1.0"]}, True),
    ({"type": [{"anything-but": {"prefix": "object"}}]}, False),
    ({"type": [{"anything-but": {"suffix": "get"}}]}, True),
    ({"type": [{"anything-but": {"specified": "object:put"}}]}, False),
    ({"dataschema": [{"exists": False}], "time": [{"exists": True}]}, True),
    ({"data": {"num": [{"numeric": [">", 0, "<=", 10]}], "num1": [{"numeric": ["=", 50.7]}]}}, True),
    ({"data": {"num": [{"numeric": ["<=", 10, ">", 0]}]}}, True),
    ({"data": {"num": [{"numeric": ["!=", 10]}]}}, False),
    ({"data": {"num": [{"numeric": ["!=", 11]}]}}, True),
    ({"data": {"num": [{"numeric": [">", 3, "!=", 7, "<", 12, "!=", 10]}]}}, False),
    ({"data": {"state": [{"exists": False}]}}, False),
    ({"data": {"state": [{"anything-but": "enable"}]}}, False),
    ({"data": {"state": ["off", {"prefix": "en"}], "in": {"deep": ["x"]}}}, True),
    ({"data": {"num": [{"anything-but": [10, 11]}]}}, False),
    ({"data": {"num": [10]}}, True),
]


@pytest.mark.parametrize(("pattern", "wanted"), FIELDS)
def test_a_pattern_passes_what_it_was_written_for(pattern: dict[str, object], wanted: bool) -> None:
    """Among them all that EventMesh tests itself."""
    assert passes(pattern) == wanted


def test_the_defects_of_eventmesh_do_not_come_along() -> None:
    """An array with a right element does not decide for all, nor one without; what is not there is not there."""
    assert not passes({"data": {"tags": ["a"], "name": ["other"]}})
    assert not passes({"data": {"tags": ["z"]}})
    assert passes({"data": {"tags": ["b"], "name": ["test01"]}})
    assert not passes({"data": {"missing": [{"exists": True}]}})
    assert not passes({"data": {"missing": [{"numeric": [">", 0]}]}})
    assert not passes({"data": {"name": [{"numeric": [">", 0]}]}})
    assert any(text.startswith("data: looks into the payload") for text in imported({"data": {"a": ["b"]}}).notes)


def test_attributes_are_compared_as_text() -> None:
    """EventMesh compares all values so; those of the payload keep their type, and a note says it."""
    one = imported({"id": [7, 1.5, True, {"anything-but": [8, None]}], "data": {"n": [1]}})

    assert one.pattern == {"id": ["7", "1.5", "true", {"anything-but": ["8", "null"]}], "data": {"n": [1]}}
    assert any(text.startswith("data.n[0]: is 1 alone") for text in one.notes)


def test_cidr_is_read_although_eventmesh_has_none() -> None:
    one = imported({"data": {"ip": [{"cidr": "10.0.0.0/24"}]}})

    assert passes({"data": {"ip": [{"cidr": "10.0.0.0/24"}]}}, EVENT.but(data=b'{"ip": "10.0.0.7"}'))
    assert any("EventMesh has no cidr" in text for text in one.notes)


def test_conditions_of_a_group_are_subscriptions_by_topic() -> None:
    document = [
        {"topic": "test-topic", "filterPattern": {"source": ["app-a"]}},
        {"topic": "Other", "condition": '{"data": {"a": ["b"]}}'},
        {"functionType": "transformer", "transformerType": "template", "template": "${a}"},
    ]

    first, second = import_filters(document, "filter")

    assert (first.name, first.pattern) == ("test-topic", {"source": ["app-a"]})
    assert (second.name, second.pattern) == ("other", {"data": {"a": ["b"]}})
    assert any("[2]: left out" in text for text in first.warnings)
    assert any(text.startswith("[1].topic: ") for text in second.warnings)


def test_an_empty_pattern_passes_everything() -> None:
    assert imported({}).pattern is None
    assert imported({"condition": "{}"}).pattern is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"source": "a"}', "source: "),
        ('{"source": []}', "source: "),
        ('{"tenant": ["a"]}', "tenant: "),
        ('{"source": [{"wildcard": "a*"}]}', "source[0]: "),
        ('{"source": [{"prefix": 5}]}', "source[0].prefix: "),
        ('{"source": [{"prefix": "a", "suffix": "b"}]}', "source[0]: expected one operator"),
        ('{"id": [{}]}', "id[0]: "),
        ('{"id": [{"numeric": [">", 1]}]}', "id[0].numeric: "),
        ('{"data": ["a"]}', "data: "),
        ('{"data": {}}', "data: "),
        ('{"data": {"a": "b"}}', "data.a: "),
        ('{"data": {"a": []}}', "data.a: "),
        ('{"data": {"a": [[1]]}}', "data.a[0]: "),
        ('{"data": {"a": [{"numeric": 5}]}}', "data.a[0].numeric: "),
        ('{"data": {"a": [{"numeric": [">"]}]}}', "data.a[0].n"),
        ('{"data": {"a": [{"numeric": []}]}}', "data.a[0].numeric: "),
        ('{"data": {"a": [{"numeric": ["~", 1]}]}}', "data.a"),
        ('{"data": {"a": [{"numeric": [">", "1"]}]}}', "data.a[0].numeric: "),
        ('{"data": {"a": [{"numeric": [">", 5, "<", 5]}]}}', "data.a[0].numeric: no number"),
        ('{"data": {"a": [{"exists": "true"}]}}', "data.a[0].exists: "),
        ('{"data": {"$or": [{"a": [1]}]}}', "data.$or: "),
        ('{"data": {"a": [{"anything-but": {"numeric": [">", 1]}}]}}', "data.a[0].anything-but: "),
        ('{"data": {"a": [{"anything-but": {"prefix": "a", "suffix": "b"}}]}}', "data.a[0].anything-but: "),
        ('{"data": {"a": [{"anything-but": []}]}}', "data.a[0].anything-but: "),
        ('{"data": {"a": [1], "a": [2]}}', "data.a: stands"),
        ("[]", "expected an object"),
        ("5", "expected an object"),
        ('{"condition": "nonsense"}', "condition: not a JSON text"),
    ],
)
def test_what_is_no_pattern_is_refused_with_its_place(text: str, place: str) -> None:
    assert problems(parse_pattern(text)).startswith(place)


COMPARE = {
    "=": lambda a, b: a == b, "!=": lambda a, b: a != b, ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
}  # fmt: skip
LIMITS = st.integers(-4, 4).map(float)


@given(st.lists(st.tuples(st.sampled_from(sorted(COMPARE)), LIMITS), min_size=1, max_size=5))
def test_intervals_hold_the_numbers_for_which_all_comparisons_hold(comparisons: list[tuple[str, float]]) -> None:
    ranges = intervals(comparisons)
    test = document_pattern({"n": [{"numeric": one} for one in ranges]}) if ranges else lambda _: False

    for half in range(-10, 11):
        number = half / 2
        wanted = all(COMPARE[comparison](number, limit) for comparison, limit in comparisons)
        assert test({"n": number}) == wanted
