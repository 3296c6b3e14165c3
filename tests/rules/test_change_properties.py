"""Laws of changes that hold for whatever events and steps there are."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.codec.validate import validate
from gateway.core.errors import ConfigError, Rejected
from gateway.core.event import Event
from gateway.rules.change import compile_changes
from gateway.rules.looking import look, projection_of
from gateway.rules.mask import MaskKeys
from gateway.rules.members import Budget
from gateway.rules.places import read_place
from tests.codec.corpora import CORPORA
from tests.codec.events import events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.rules.change import Changes

KEYS = {"pii": MaskKeys({"v": "a secret of twenty bytes"})}
EVENT = Event(id="1", source="/s", type="t", datacontenttype="application/json")

names = st.sampled_from(["a", "b", "c", "d e", "é", "", "*", '"', "\\"])
parts = st.one_of(names.map(lambda name: f"[{json.dumps(name)}]"), st.sampled_from(["[0]", "[1]", "[*]", ".a", ".b"]))
paths = st.lists(parts, max_size=3).map(lambda some: f"data{''.join(some)}")
attributes = st.sampled_from(["subject", "time", "datacontenttype", "dataschema", "x", "y1"])
places = paths | attributes
templates = st.one_of(
    places.map(lambda place: f"{{{place}}}"),
    places.map(lambda place: f"{{{place}|d}}"),
    st.tuples(places, places).map(lambda two: f"<{{{two[0]}}} {{{two[1]}|0}}>"),
    st.sampled_from(["{id}", "{{}}", "", "application/json", "text/plain", "2026-01-01T00:00:00Z"]),
)
values = st.recursive(
    templates | st.none() | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)
masks = st.sampled_from(["redact", {"redact": "gone"}, {"truncate": 1}, {"keep_last": 1}, {"hash": "pii"}])
steps = st.one_of(
    st.dictionaries(places | st.sampled_from(["id", "source", "type"]), values, min_size=1, max_size=3).map(
        lambda content: {"set": content}
    ),
    st.lists(places, min_size=1, max_size=3).map(lambda content: {"remove": content}),
    st.lists(paths | st.just("x"), min_size=1, max_size=3).map(lambda content: {"keep": content}),
    st.dictionaries(places, places | st.just("id"), min_size=1, max_size=2).map(lambda content: {"rename": content}),
    values.map(lambda content: {"template": content}),
    st.dictionaries(paths | st.sampled_from(["subject", "x"]), masks, min_size=1, max_size=2).map(
        lambda content: {"mask": content}
    ),
)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)
json_data = st.tuples(trees, st.booleans(), st.sampled_from([None, (",", ":"), (" ,\n", "\t: ")])).map(
    lambda drawn: json.dumps(drawn[0], ensure_ascii=drawn[1], separators=drawn[2]).encode()
)
json_events = st.tuples(events(), json_data).map(
    lambda drawn: drawn[0].but(data=drawn[1], datacontenttype="application/json")
)


@settings(max_examples=300, deadline=None)
@given(json_events | events(), st.lists(steps, min_size=1, max_size=4))
def test_an_event_is_changed_to_a_valid_one_or_refused(event: Event, content: Sequence[object]) -> None:
    """Nothing but Rejected is raised, the event given is not touched, and `trace` tells the same."""
    before = msgspec.msgpack.encode(event)
    try:
        changes = compile_changes(content, keys=KEYS)
    except ConfigError:
        assume(False)
    last = changes.trace(event)[-1][1]
    after = outcome(changes, event)
    assert last == after == outcome(changes, event)
    if isinstance(after, Event):
        validate(after)
        if after.data and after.data != event.data:
            json.loads(after.data)
    assert msgspec.msgpack.encode(event) == before


def outcome(changes: Changes, event: Event) -> Event | str:
    """The changed event, or why it was refused."""
    try:
        return changes.apply(event)
    except Rejected as problem:
        return str(problem)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | templates | places,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["set", "remove", "keep", "rename", "template", "mask", "hash", "redact", 7]) | places,
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(anything | st.lists(steps | anything, max_size=2), events())
def test_hostile_steps_are_refused_or_harmless(content: object, event: Event) -> None:
    with contextlib.suppress(ConfigError, Rejected):
        compile_changes(content, keys=KEYS).apply(event)


@given(st.text(alphabet="{}|[]*.\"'\\ datx0", max_size=30))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigError, Rejected):
        compile_changes([{"template": text}]).apply(EVENT.but(data=b'{"a":"{data}"}'))


ODD = [
    "1.10", "1152921504606846977", "1e400", "-0", "0.1e-7", '"\\u0061\\/"', '"é"', '{ "z" : 1.0 ,"z":2}',
    "[ 1.0,\n 2 ]", "null", "true", '""', "{ }", '{"k": {"b": 1, "a": 1}}',
]  # fmt: skip
raws = st.sampled_from(ODD)


@st.composite
def objects(draw: st.DrawFn) -> tuple[dict[str, str], str]:
    """Members with the text of their values, and the object as somebody may write it."""
    members = draw(st.dictionaries(st.sampled_from("abcdefgh"), raws, max_size=8))
    comma, colon = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n\t", " :  ")]))
    escaped = draw(st.booleans())
    written = {name: f"\\u{ord(name):04x}" if escaped else name for name in members}
    text = comma.join(f'"{written[name]}"{colon}{raw}' for name, raw in members.items())
    return members, f"{{{text}}}"


@given(objects(), st.sets(st.sampled_from("abcdefgh"), max_size=3), st.booleans(), st.randoms())
def test_what_no_step_names_stays_byte_for_byte(
    case: tuple[dict[str, str], str], touched: set[str], is_inner: bool, random: Any
) -> None:
    """Values and their order; also of the members beside a path into an object."""
    members, text = case
    start = "data.in" if is_inner else "data"
    data = f'{{"first": 1.50, "in": {text}}}' if is_inner else text
    content: list[object] = [
        random.choice(
            [
                {"remove": [f"{start}.{name}"]},
                {"set": {f"{start}.{name}": "{id}"}},
                {"mask": {f"{start}.{name}": "redact"}},
                {"rename": {f"{start}.{name}": f"{start}.{name}new"}},
            ]
        )
        for name in touched
    ]

    after = compile_changes(content).apply(EVENT.but(data=data.encode())).data or b""

    found = msgspec.json.decode(after, type=dict[str, msgspec.Raw])
    if is_inner:
        assert bytes(found["first"]) == b"1.50"
        found = msgspec.json.decode(found["in"], type=dict[str, msgspec.Raw])
    left = [(name, bytes(raw).decode()) for name, raw in found.items() if name in members and name not in touched]
    assert left == [(name, raw) for name, raw in members.items() if name not in touched]


def by_the_book(tree: Any, path: Sequence[object]) -> list[Any]:
    """All that stands at the path, read word for word."""
    if not path:
        return [tree]
    first, *rest = path
    if isinstance(first, str):
        return by_the_book(tree[first], rest) if isinstance(tree, dict) and first in tree else []
    if not isinstance(tree, list):
        return []
    chosen = tree[first : first + 1] if isinstance(first, int) else tree
    return [found for element in chosen for found in by_the_book(element, rest)]


@settings(max_examples=300, deadline=None)
@given(trees, st.lists(paths, min_size=1, max_size=4))
def test_a_projection_finds_what_the_whole_has(tree: Any, texts: Sequence[str]) -> None:
    where = [read_place(text).parts for text in texts]
    data = json.dumps(tree).encode()
    try:
        seen = projection_of(where)(data)
    except msgspec.ValidationError:
        seen = msgspec.json.decode(data, type=msgspec.Raw)

    for path in where:
        found = look(seen, path, Budget())
        expected = by_the_book(tree, path)
        if all(isinstance(part, str | int) for part in path):
            assert ([] if found is None else [json.loads(msgspec.json.encode(found))]) == expected
        else:
            assert ([] if found is None else json.loads(msgspec.json.encode(found))) == expected


@given(trees, st.lists(paths, min_size=1, max_size=3))
def test_what_was_removed_or_kept_is_what_the_paths_say(tree: Any, texts: Sequence[str]) -> None:
    """After `remove` nothing is found at the places; after `keep` all that was there before."""
    where = [read_place(text).parts for text in texts]
    event = EVENT.but(data=json.dumps(tree).encode())

    with contextlib.suppress(Rejected):
        kept = compile_changes([{"keep": texts}]).apply(event).data or b"null"
        for path in where:
            if all(isinstance(part, str) for part in path):
                assert by_the_book(json.loads(kept), path) == by_the_book(tree, path)
    with contextlib.suppress(Rejected):
        removed = compile_changes([{"remove": texts}]).apply(event).data or b"null"
        for path in where:
            if path and all(isinstance(part, str) for part in path):
                assert by_the_book(json.loads(removed), path) == []


def test_real_events_keep_all_that_is_not_named() -> None:
    """Every member of 600 documents that nobody here wrote, after another was added and one hashed."""
    files = sorted((CORPORA / "real-events").rglob("*.json"))
    if not files:
        pytest.skip("no corpus real-events")
    changed = 0
    for file in files:
        data = file.read_bytes()
        try:
            members = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        except msgspec.MsgspecError:
            continue
        first = next(iter(members), "none")
        steps = [{"set": {"data.added": "{id}"}}, {"mask": {f"data[{json.dumps(first)}]": {"hash": "pii"}}}]

        after = compile_changes(steps, keys=KEYS).apply(EVENT.but(data=data)).data or b""

        found = msgspec.json.decode(after, type=dict[str, msgspec.Raw])
        assert list(found) == [*members, *(["added"] if "added" not in members else [])]
        assert all(bytes(found[name]) == bytes(raw) for name, raw in members.items() if name not in {first, "added"})
        changed += 1
    assert changed > 100
