"""The dialects of the Subscriptions API, as predicates."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codec.validate import CORE
from gateway.core.errors import ConfigError
from gateway.core.event import Binary, Event, Timestamp, Uri, canonical
from gateway.rules.dialects import MAX_TERMS, NOTHING, compile_filter, union
from tests.codec.corpora import cases
from tests.codec.events import events

if TYPE_CHECKING:
    from collections.abc import Sequence

EVENT = Event(
    id="1",
    source="/shop/eu",
    type="com.acme.order.created",
    subject="order-7",
    datacontenttype="application/json",
    extensions={
        "knativebrokerttl": 20,
        "urgent": True,
        "raw": Binary(b"Ma"),
        "link": Uri("https://a.example/b"),
        "at": Timestamp("2026-01-01T00:00:00Z"),
        "key": "true",
    },
)


@pytest.mark.parametrize("case", cases("subscription-filters/exact-prefix-suffix.json", key=None))
def test_cases_of_the_corpus(case: dict[str, Any]) -> None:
    document = dict(case["event"])
    del document["specversion"]
    core = {name: document.pop(name) for name in list(document) if name in CORE}
    event = Event(**core, extensions=document)

    if any("-" in name for attributes in case["filter"].values() for name in attributes):
        # no event can have such an attribute: theirs never passes, ours tells the user
        with pytest.raises(ConfigError, match="is not an attribute's name"):
            compile_filter(case["filter"])
        assert compile_filter(case["filter"], any_name=True).matches(event) == (case["expect"] != "FailFilter")
    else:
        assert compile_filter(case["filter"]).matches(event) == (case["expect"] != "FailFilter")


@pytest.mark.parametrize(
    ("spec", "passes"),
    [
        (None, True),
        ([], True),
        ({"exact": {"type": "com.acme.order.created"}}, True),
        ({"exact": {"type": "COM.acme.order.created"}}, False),
        ({"exact": {"specversion": "1.0"}}, True),
        ({"prefix": {"specversion": "2"}}, False),
        ({"exact": {"subject": "order-7", "source": "/shop/eu"}}, True),
        ({"exact": {"subject": "order-7", "source": "/shop"}}, False),
        ({"exact": {"time": "x"}}, False),
        ({"prefix": {"time": "2"}}, False),
        ({"not": {"suffix": {"dataschema": "x"}}}, True),
        ({"prefix": {"type": "com.acme.", "missing": "x"}}, False),
        ({"exact": {"knativebrokerttl": "20"}}, True),
        ({"prefix": {"knativebrokerttl": "2"}}, True),
        ({"exact": {"urgent": "true"}}, True),
        ({"exact": {"urgent": "True"}}, False),
        ({"exact": {"key": "true"}}, True),
        ({"exact": {"raw": "TWE="}}, True),
        ({"suffix": {"link": "/b"}}, True),
        ({"prefix": {"at": "2026-"}}, True),
        ({"all": [{"prefix": {"type": "com."}}, {"suffix": {"type": ".created"}}]}, True),
        ({"all": [{"prefix": {"type": "com."}}, {"suffix": {"type": ".deleted"}}]}, False),
        ({"any": [{"exact": {"type": "a"}}, {"exact": {"type": "com.acme.order.created"}}]}, True),
        ({"any": [{"exact": {"urgent": "x"}}, {"exact": {"urgent": "true"}}, {"exact": {"id": "2"}}]}, True),
        ({"any": [{"prefix": {"subject": "x"}}, {"prefix": {"subject": "order"}}]}, True),
        ({"any": [{"suffix": {"raw": "x"}}, {"suffix": {"raw": "E="}}]}, True),
        ({"any": [{"exact": {"id": "2"}}, {"not": {"exact": {"id": "1"}}}]}, False),
        ({"not": {"not": {"exact": {"id": "1"}}}}, True),
        ([{"prefix": {"type": "com.acme."}}, {"any": [{"exact": {"source": "/shop/eu"}}]}], True),
        ([{"prefix": {"type": "com.acme."}}, {"exact": {"source": "/shop/us"}}], False),
        ({"exact": {"subject": "order-7') or ('"}}, False),
        ({"prefix": {"subject": "o\\'\n\ud800"}}, False),
        (NOTHING, False),
    ],
)
def test_what_passes(spec: object, passes: bool) -> None:
    assert compile_filter(spec).matches(EVENT) is passes


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("type = 'a'", "filter: expected a mapping with one dialect"),
        ({}, "filter: expected a mapping with one dialect .*, got one with 0 keys"),
        ({"exact": {"id": "1"}, "prefix": {"id": "1"}}, "filter: expected .* got one with 2 keys"),
        ({"jq": ".id"}, "filter: 'jq' is not a dialect; they are exact, prefix"),
        ({7: ".id"}, "filter: 7 is not a dialect; they are exact, prefix"),
        ({"any": [{"sql": "id = "}, {"match": {"type": "a"}}]}, r"filter.any\[0\].sql: "),
        ({"exact": {}}, "filter.exact: expected a mapping of at least one attribute"),
        ({"exact": []}, "filter.exact: expected a mapping"),
        ({"exact": {"type": ""}}, "filter.exact.type: expected a string that is not empty, got ''"),
        ({"exact": {"type": 7}}, "filter.exact.type: expected a string that is not empty, got 7"),
        ({"exact": {"": "x"}}, "filter.exact: '' is not an attribute's name"),
        ({"exact": {"data": "x"}}, "filter.exact: 'data' is not an attribute's name"),
        ({"exact": {"myExt": "x"}}, "filter.exact: 'myExt' is not"),
        ({"exact": {"x'): __import__": "x"}}, "filter.exact: .* is not an attribute's name"),
        ({"all": []}, "filter.all: expected a list of at least one filter"),
        ({"any": {"exact": {"id": "1"}}}, "filter.any: expected a list"),
        ({"not": [{"exact": {"id": "1"}}]}, "filter.not: expected a mapping with one dialect .*, got list"),
        ({"all": [{"exact": {"id": "1"}}, {"prefix": {"type": None}}]}, r"filter.all\[1\].prefix.type: expected"),
        ([{"exact": {"id": "1"}}, 5], r"filter\[1\]: expected a mapping"),
    ],
)
def test_a_wrong_filter_names_its_place(spec: object, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"^{problem}"):
        compile_filter(spec)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        compile_filter({"all": [{"exact": {}}, {"nor": []}, {"not": 1}]}, "")

    assert [text.partition(":")[0] for text in raised.value.problems] == ["all[0].exact", "all[1]", "all[2].not"]


def test_depth_and_terms_are_bounded() -> None:
    """Also for what contains itself, and for lists that YAML aliases blow up."""
    deep: Any = {"exact": {"id": "1"}}
    for _ in range(31):
        deep = {"not": deep}
    cyclic: dict[str, Any] = {}
    cyclic["all"] = [cyclic]
    wide: Any = {"exact": {"id": "1"}}
    for _ in range(20):
        wide = {"any": [wide] * 10}

    assert compile_filter(deep).matches(EVENT) is False
    for spec in ({"not": deep}, cyclic):
        with pytest.raises(ConfigError, match="more than 32 filters inside each other"):
            compile_filter(spec)
    for spec in (wide, {"all": [{"exact": {"id": "1"}}] * (MAX_TERMS + 1)}):
        with pytest.raises(ConfigError, match="too many comparisons"):
            compile_filter(spec)
    assert compile_filter({"any": [{"exact": {"id": str(n)}} for n in range(MAX_TERMS)]}).matches(EVENT)
    assert compile_filter({"any": [{"exact": {f"x{n}": "1"}} for n in range(MAX_TERMS)]}).matches(EVENT) is False


texts = st.sampled_from(["a", "ab", "b", "true", "20", "/a/b", "1", "1.0"])
attributes = st.sampled_from(["id", "type", "source", "subject", "time", "specversion", "x", "y1"])
leaves = st.builds(
    lambda how, content: {how: content},
    st.sampled_from(["exact", "prefix", "suffix"]),
    st.dictionaries(attributes, texts, min_size=1, max_size=2),
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(
            lambda how, parts: {how: parts}, st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=4)
        ),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=12,
)
small_events = st.builds(
    Event,
    id=texts,
    source=texts,
    type=texts,
    subject=st.none() | texts,
    extensions=st.dictionaries(st.sampled_from(["x", "y1"]), texts | st.booleans() | st.just(20)),
)


def by_the_book(spec: Any, event: Event) -> bool:
    """The specification, word for word."""
    if isinstance(spec, list):
        return all(by_the_book(part, event) for part in spec)
    ((how, content),) = spec.items()
    match how:
        case "all":
            return all(by_the_book(part, event) for part in content)
        case "any":
            return any(by_the_book(part, event) for part in content)
        case "not":
            return not by_the_book(content, event)
    compare: Any = {"exact": str.__eq__, "prefix": str.startswith, "suffix": str.endswith}[how]
    return all(
        (actual := _attribute(event, name)) is not None and compare(actual, value) for name, value in content.items()
    )


def _attribute(event: Event, name: str) -> str | None:
    if name == "specversion":
        return "1.0"
    value = getattr(event, name) if name in CORE else event.extensions.get(name)
    return None if value is None else canonical(value)


@given(filters, small_events)
def test_a_compiled_filter_answers_as_the_specification_reads(spec: object, event: Event) -> None:
    assert compile_filter(spec).matches(event) == by_the_book(spec, event)


@given(st.lists(filters | st.lists(filters, min_size=1, max_size=2), max_size=4), small_events)
def test_a_union_passes_what_any_of_its_filters_passes(specs: Sequence[object], event: Event) -> None:
    joined = union(specs)

    assert compile_filter(joined).matches(event) == any(by_the_book(spec, event) for spec in specs)
    assert joined == union(list(specs) + list(specs))


def test_a_union_is_as_small_as_its_filters() -> None:
    a, b = {"exact": {"type": "a"}}, {"exact": {"type": "b"}}

    assert union([]) == NOTHING
    assert union([a]) == a
    assert union([[a], a]) == a
    assert union([a, b, {"any": [b, a]}]) == {"any": [a, b]}
    assert union([[a, b], a]) == {"any": [{"all": [a, b]}, a]}
    assert union([a, None]) is None
    assert union([a, []]) is None


@given(events(), filters)
def test_a_predicate_never_raises(event: Event, spec: object) -> None:
    assert compile_filter(spec).matches(event) in (True, False)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["all", "any", "not", "exact", "prefix", "id", 7]), inner, max_size=2)
    ),
    max_leaves=10,
)


@given(anything)
def test_nothing_but_a_config_error_is_raised(spec: object) -> None:
    with contextlib.suppress(ConfigError):
        compile_filter(spec)
