"""Laws of event patterns, over whatever hypothesis makes up."""

from __future__ import annotations

import contextlib
import json
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codec.validate import CORE
from gateway.core.errors import ConfigError, InvalidEvent
from gateway.core.event import Binary, Event, canonical
from gateway.rules.lens import ABSENT, Lens, of_event, parse
from gateway.rules.pattern import compile_pattern, document_pattern, parse_document, parse_pattern
from tests.codec.events import events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.rules.rule import Key

words = st.sampled_from(["", "a", "b", "ab", "AB", "ba", "10.0.0.1", "é", "É", "ß", "\ud800", "😀"])
numbers = st.sampled_from([0, 1, 2, -1, 1.0, 1.5, 2**53, 2**60, 10**19, 1e300, -0.0])
scalars = words | numbers | st.booleans() | st.none()
many_words = words | st.lists(words, min_size=1, max_size=3)
wildcards = st.sampled_from(["*", "a*", "*b", "a*b", "*a*", r"\**", "", "a*b*a"])
comparisons = st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), st.sampled_from([0, 1, 1.5])).map(list)
operators = st.one_of(
    st.builds(lambda how, word: {how: word}, st.sampled_from(["prefix", "suffix", "equals-ignore-case"]), words),
    st.builds(
        lambda how, word: {how: {"equals-ignore-case": word}}, st.sampled_from(["prefix", "suffix"]), words.filter(bool)
    ),
    st.builds(lambda word: {"wildcard": word}, wildcards),
    st.builds(lambda there: {"exists": there}, st.booleans()),
    st.builds(lambda comparison: {"numeric": comparison}, comparisons),
    st.just({"numeric": [">", 0, "<=", 1.5]}),
    st.just({"cidr": "10.0.0.0/8"}),
    st.builds(lambda values: {"anything-but": values}, many_words | st.sampled_from([1, [1, 2]])),
    st.builds(
        lambda how, values: {"anything-but": {how: values}},
        st.sampled_from(["prefix", "suffix", "equals-ignore-case"]),
        st.sampled_from(["a", ["a", "b"], "é"]),
    ),
)
terms = st.lists(scalars | operators, min_size=1, max_size=3)
names = st.sampled_from(["a", "b", "c", "a.b", "b.c"])


def patterns(leaves: st.SearchStrategy[Any], names: st.SearchStrategy[str] = names) -> st.SearchStrategy[Any]:
    """Objects of fields, with `$or` in them."""
    return st.recursive(
        st.dictionaries(names, leaves, min_size=1, max_size=3),
        lambda inner: st.builds(
            lambda fields, alternatives: {**fields, **({"$or": alternatives} if alternatives else {})},
            st.dictionaries(names, inner | leaves, min_size=1, max_size=2),
            st.none() | st.lists(inner, min_size=2, max_size=3),
        ),
        max_leaves=6,
    )


documents = st.dictionaries(
    names,
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=12
    ),
    max_size=4,
)
small_events = st.builds(
    Event,
    id=words,
    source=words,
    type=words,
    subject=st.none() | words,
    datacontenttype=st.just("application/json"),
    data=st.none()
    | (documents | scalars | st.lists(documents, max_size=3)).map(lambda value: json.dumps(value).encode()),
    extensions=st.dictionaries(
        st.sampled_from(["x", "y1"]), words | st.booleans() | st.sampled_from([0, 1, 20]) | st.just(Binary(b"Ma"))
    ),
)
attributes = st.sampled_from(["id", "type", "source", "subject", "time", "specversion", "x", "y1"])
event_patterns = st.builds(
    lambda fields, inside, alternatives: {
        **fields,
        **({"data": inside} if inside else {}),
        **({"$or": alternatives} if alternatives else {}),
    },
    st.dictionaries(attributes, terms, min_size=1, max_size=2),
    st.none() | patterns(terms) | terms,
    st.none() | st.lists(st.dictionaries(attributes, terms, min_size=1, max_size=2), min_size=2, max_size=3),
)


def document_of(event: Event, data: object) -> dict[str, object]:
    """The JSON form of an event, as patterns see it."""
    document: dict[str, object] = {"specversion": "1.0"}
    for name in CORE - {"specversion"}:
        if (value := getattr(event, name)) is not None:
            document[name] = value
    for name, value in event.extensions.items():
        document[name] = value if isinstance(value, int) else canonical(value)
    if data is not ABSENT:
        document["data"] = data
    return document


@given(event_patterns, small_events)
def test_an_event_is_matched_as_its_json_form(spec: object, event: Event) -> None:
    data = of_event(event)

    assert compile_pattern(spec).matches(event) is document_pattern(spec)(document_of(event, data))


@given(st.lists(event_patterns, min_size=1, max_size=4), small_events)
def test_a_lens_that_reads_little_says_the_same_as_one_that_reads_all(specs: list[object], event: Event) -> None:
    shared, whole = Lens(), Lens()
    whole.want(None)
    sparing = [compile_pattern(spec, lens=shared) for spec in specs]

    for rule, spec in zip(sparing, specs, strict=True):
        assert rule.matches(event) is compile_pattern(spec, lens=whole).matches(event)


@given(event_patterns, small_events)
def test_an_explanation_is_empty_exactly_when_the_event_passes(spec: object, event: Event) -> None:
    rule = compile_pattern(spec)

    assert bool(rule.explain(event)) is not rule.matches(event)


@given(event_patterns, small_events)
def test_whatever_passes_has_a_key_of_every_anchor(spec: object, event: Event) -> None:
    rule = compile_pattern(spec)

    if rule.matches(event):
        for anchor in rule.anchors:
            assert any(has(event, key) for key in anchor), anchor


def has(event: Event, key: Key) -> bool:
    """Whether an index would find the event by the key."""
    if isinstance(key.where, str):
        value = getattr(event, key.where) if key.where in CORE else event.extensions.get(key.where)
        values = [] if value is None else [canonical(value)]
    else:
        values = list(at(parse(event.data or b""), key.where))
    match key.how:
        case "exact":
            return key.value in values
        case "prefix":
            return any(isinstance(value, str) and value.startswith(str(key.value)) for value in values)
        case _:
            return any(isinstance(value, str) and value.endswith(str(key.value)) for value in values)


def at(value: object, path: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from at(item, path)
    elif not path:
        if not isinstance(value, dict):
            yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from at(value[path[0]], path[1:])


@given(patterns(terms), documents)
def test_a_text_says_what_its_value_says(spec: object, document: object) -> None:
    from_text = document_pattern(parse_pattern(json.dumps(spec)))

    assert from_text(parse_document(json.dumps(document))) is document_pattern(spec)(document)


def fields_of(value: object, path: str, places: dict[int, int]) -> Iterator[tuple[str, object, dict[int, int]]]:
    """All scalars of a document, each with its path and with the elements of arrays that it is in."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from fields_of(member, f"{path}.{name}" if path else name, places)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            inside = {**places, id(value): index} if isinstance(item, list | dict) else places
            yield from fields_of(item, path, inside)
    else:
        yield path, value, places


def by_the_book(fields: dict[str, list[Any]], document: object) -> bool:
    """Array consistency as it is defined: some choice of a value for each field that agrees on every array."""
    found = list(fields_of(document, "", {}))
    candidates = [
        [places for path, value, places in found if path == name and document_pattern({"v": terms})({"v": value})]
        for name, terms in fields.items()
    ]
    return any(
        all(len({places[array] for places in choice if array in places}) <= 1 for array in set().union(*choice))
        for choice in product(*candidates)
    )


positive = st.lists(scalars | st.sampled_from([{"exists": True}, {"anything-but": "a"}, {"prefix": "a"}]), min_size=1)


@given(st.dictionaries(st.sampled_from(["a", "a.b", "a.c", "b", "a.b.c"]), positive, min_size=1, max_size=3), documents)
def test_fields_agree_on_the_elements_of_arrays(fields: dict[str, list[Any]], document: object) -> None:
    document = json.loads(json.dumps(document))  # so that no two arrays are one object

    assert document_pattern(fields)(document) is by_the_book(fields, document)


@given(event_patterns, events())
def test_a_predicate_never_raises(spec: object, event: Event) -> None:
    assert compile_pattern(spec).matches(event) in (True, False)


@given(patterns(terms), documents | st.lists(documents) | scalars)
def test_a_predicate_of_documents_never_raises(spec: object, document: object) -> None:
    assert document_pattern(spec)(document) in (True, False)


@given(st.text() | st.binary())
def test_no_text_does_harm(text: str | bytes) -> None:
    with contextlib.suppress(ConfigError):
        parse_pattern(text)
    with contextlib.suppress(InvalidEvent):
        parse_document(text)


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ({"wildcard": "*".join("a" * 1000)}, "a" * 50_000 + "b"),
        ({"wildcard": "*a" * 500 + "*"}, "ab" * 20_000),
        ({"anything-but": {"wildcard": ["*" + "a*" * 400] * 20}}, "b" * 20_000),
        ({"equals-ignore-case": "éß" * 10_000}, "ÉSS" * 10_000),
        ({"cidr": "10.0.0.0/8"}, "1" * 100_000),
        ({"cidr": "10.0.0.0/8"}, ":" * 100_000),
    ],
)
def test_no_string_takes_long(pattern: object, value: str) -> None:
    """Under the limit of a unit test by far: every comparison is linear."""
    matches = document_pattern({"a": {"b": [pattern]}})

    for _ in range(20):
        matches({"a": {"b": value}})


def test_no_document_takes_long() -> None:
    """Arrays beside and inside each other, of which every element fits one field but no element all."""
    spec = {name: {"x": [1], "y": [{"x": 2}.get("x")], "z": [3]} for name in "abcdef"}
    element = [{"x": 1, "y": 2}, {"y": 2, "z": 3}, {"x": 1, "z": 3}]
    deep: Any = {"x": 1, "y": 2}
    for _ in range(40):
        deep = [deep, 1, {"x": 1}]

    assert not document_pattern(spec)(dict.fromkeys("abcdef", element * 500))
    assert not document_pattern({"a": [1], "a.x": [1], "a.y": [3]})({"a": deep})


def test_alternatives_over_a_long_array_do_not_take_long() -> None:
    """A thousand combinations, each of which any element nearly fits, are not tried with all of many elements."""
    spec = {"a": {f"f{n}": {"$or": [{f"x{m}": [n]} for m in range(10)]} for n in range(3)}}
    fitting = {f"f{n}": {f"x{m}": n for m in range(10)} for n in range(3)}
    elements = [{name: value for name, value in fitting.items() if name != f"f{n % 3}"} for n in range(3000)]
    matches = document_pattern(spec)

    assert matches({"a": [*elements[:30], fitting]})
    assert not matches({"a": elements})
