"""The lens: as much of the data as rules name, and never anything else than is there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.event import Event
from gateway.rules.lens import ABSENT, MOST, Lens, of_event, parse
from gateway.rules.pattern import compile_pattern
from tests.fuzz.events import at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.rules.rule import Path

EVENT = Event("1", "/s", "t", datacontenttype="application/json")
JSON = ("application/json", None, "application/x+json", "text/json; charset=utf-8")


def looked(data: bytes, paths: Sequence[Path] | None, kind: str | None = "application/json") -> object:
    lens = Lens()
    lens.want(paths)
    return lens.look(EVENT.but(data=data, datacontenttype=kind))


@pytest.mark.parametrize("kind", JSON)
@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": {"b": [1, 2.5]}, "c": null}', {"a": {"b": [1, 2.5]}, "c": None}),
        (b' \r\n\t{"a": 1} ', {"a": 1}),
        (b'"a"', "a"),
        (b"null", None),
        (b'{"a": 1, "a": {"b": 2}}', {"a": {"b": 2}}),
        (b'{"a": {"b": 2}, "a": 1}', {"a": 1}),
        (b'{"a": 1e400, "b": -1e400}', {"a": float("inf"), "b": float("-inf")}),
        (b'{"a": 1e-400}', {"a": 0.0}),
        (b'{"a": 18446744073709551616}', {"a": 18446744073709551616}),
        (b'{"a": ' + b"9" * 4300 + b"}", {"a": 10**4300 - 1}),
        (b'{"a": ' + b"9" * 4301 + b"}", {"a": float("inf")}),
        (b'{"a": -' + b"9" * 9999 + b', "b": 1e400}', {"a": float("-inf"), "b": float("inf")}),
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),
        (b'{"a": "\\u0000"}', {"a": "\0"}),
        (b'{"a": NaN}', ABSENT),
        (b'{"a": 1e400, "b": Infinity}', ABSENT),
        (b'{"a": "\xff"}', ABSENT),
        (b'{"\xed\xa0\x80": 1}', ABSENT),
        (b"\xef\xbb\xbf{}", ABSENT),
        (b'{"a": 01}', ABSENT),
        (b'{"a": 1,}', ABSENT),
        (b'{"a": "\\q"}', ABSENT),
        (b'{"a": 1', ABSENT),
        (b'{"a": 1} x', ABSENT),
        (b"", ABSENT),
        (b"[" * 100_000, ABSENT),
        (b"[" * 100_000 + b"]" * 100_000, ABSENT),
    ],
)
def test_data_is_what_its_json_says(data: bytes, value: object, kind: str | None) -> None:
    """The last of members that stand twice, no number that is lost, and nothing at all of what is no JSON in UTF-8."""
    event = EVENT.but(data=data, datacontenttype=kind)

    assert of_event(event) == value
    assert looked(data, None, kind) == value
    for path in (("a",), ("a", "b"), ("b",), ("x", "y", "z")):
        assert at(looked(data, [path], kind), path) == at(value, path)


@pytest.mark.parametrize(
    ("kind", "data", "value"),
    [
        ("text/plain", b'{"a": 1}', '{"a": 1}'),
        ("text/plain; charset=utf-8", "é".encode(), "é"),
        ("text/xml", b"<a/>", "<a/>"),
        ("text/plain", b"\xff", ABSENT),
        ("text/plain; charset=utf-16", "é".encode("utf-16"), ABSENT),
        ("application/octet-stream", b'{"a": 1}', ABSENT),
        (None, b"no JSON", ABSENT),
        (None, b'{"a": 1}', {"a": 1}),
        ("application/json", None, ABSENT),
    ],
)
def test_data_is_read_as_its_type_says(kind: str | None, data: bytes | None, value: object) -> None:
    lens = Lens()
    lens.want([("a",)])

    assert of_event(EVENT.but(data=data, datacontenttype=kind)) == value
    assert lens.look(EVENT.but(data=data, datacontenttype=kind)) == value


@pytest.mark.parametrize("name", ["größe", "é", "\U0001f600", "ключ", "", "a b", 'a"b\\c', "__class__", "$or", "a.b"])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_member_is_found_whatever_it_is_called(name: str, inside: bool, ascii_only: bool) -> None:
    """Also beside one without a name, and where the data writes it with escapes."""
    members = {name: 1, "": 2} | {name: 1}
    value = {"in": members, "x": 0} if inside else members
    path = ("in", name) if inside else (name,)
    data = json.dumps(value, ensure_ascii=ascii_only).encode()

    assert at(looked(data, [path]), path) == 1
    assert at(looked(data, [path, ("x",)]), path) == 1


def test_a_filter_sees_a_member_with_letters_of_its_users() -> None:
    event = EVENT.but(data='{"größe": 3, "": 4}'.encode())

    assert compile_pattern({"data": {"größe": [3]}}).matches(event)
    assert not compile_pattern({"data": {"größe": [4]}}).matches(event)


def test_no_more_is_decoded_than_is_named() -> None:
    """Unless a path runs into something of another shape."""
    data = b'{"a": {"b": 1, "c": 2}, "d": 3}'

    assert looked(data, [("a", "b")]) == {"a": {"b": 1}}
    assert looked(data, [("a",), ("a", "b")]) == {"a": {"b": 1, "c": 2}}
    assert looked(data, [("a", "b"), ("d", "e")]) == {"a": {"b": 1}, "d": 3}
    several = b'{"a": [{"b": 1, "c": 2}, 7, null, {"c": 3}], "d": 3}'
    assert looked(several, [("a", "b")]) == {"a": [{"b": 1}, 7, None, {}]}
    assert looked(b'{"a": [[{"b": 1, "c": 2}]], "d": 3}', [("a", "b")]) == {"a": [[{"b": 1, "c": 2}]], "d": 3}
    assert looked(data, [("a", "b"), ()]) == {"a": {"b": 1, "c": 2}, "d": 3}
    assert looked(data, []) == {"a": {"b": 1, "c": 2}, "d": 3}


def test_many_paths_are_as_good_as_one() -> None:
    data = json.dumps({f"m{index}": {"x": index, "y": 0} for index in range(MOST + 1)}).encode()
    paths = [(f"m{index}", "x") for index in range(MOST + 1)]

    few, all_of_it = looked(data, paths[:-1]), looked(data, paths)

    assert isinstance(few, dict)
    assert few["m7"] == {"x": 7}
    assert all_of_it == json.loads(data)
    assert [at(few, path) for path in paths[:-1]] == [at(all_of_it, path) for path in paths[:-1]]


def test_an_event_is_parsed_once_and_anew_when_more_is_wanted() -> None:
    event = EVENT.but(data=b'{"a": {"b": 1}, "c": 2}')
    lens = Lens()
    lens.want([("a", "b")])

    first = lens.look(event)
    second = lens.look(event)
    lens.want([("c",)])

    assert second is first
    assert lens.look(event) == {"a": {"b": 1}, "c": 2}
    assert lens.look(event.but(data=b"{}")) == {}


names = st.sampled_from(["a", "b", "", "é", "c.d"])
scalars = st.sampled_from(
    [b"1", b'"x"', b"1e400", b"null", b'"\xff"', b"9" * 4301, b'"\\ud800"', b"01", b"-0.0", b"[1]"]
)
texts = st.recursive(
    scalars,
    lambda inner: st.lists(st.tuples(names, inner), max_size=4).map(
        lambda members: b"{%b}" % b",".join(b"%b:%b" % (json.dumps(name).encode(), value) for name, value in members)
    ),
    max_leaves=12,
)
paths = st.lists(st.lists(names, min_size=1, max_size=3).map(tuple), min_size=1, max_size=4)


@given(texts, paths)
@example(b'{"b": 99, "a": -0.0}'.replace(b"99", b"9" * 5000), [("a",)])
@example(b'{"\\u00e9": "x", "": 1}', [("é", "a")])
def test_a_projection_shows_what_a_full_parse_shows(data: bytes, wanted: list[Path]) -> None:
    whole, found = parse(data), looked(data, wanted)

    for path in wanted:
        assert repr(at(found, path)) == repr(at(whole, path))
