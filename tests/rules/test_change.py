"""The steps of a change: what each does, and what it refuses."""

from __future__ import annotations

import pytest

from gateway.core.errors import Rejected
from gateway.core.event import Binary, Event, Uri
from gateway.rules.change import compile_changes

JSON = "application/json"
PLAIN = Event(id="1", source="/s", type="t")
TYPED = PLAIN.but(
    subject="sub", extensions={"n": 7, "on": True, "raw": Binary(b"Ma"), "link": Uri("urn:a:b"), "x": "y"}
)


def changed(steps: object, data: str | None, event: Event = PLAIN) -> Event:
    given = event if data is None else event.but(data=data.encode(), datacontenttype=JSON)
    return compile_changes(steps).apply(given)


def data_of(steps: object, data: str | None) -> str | None:
    found = changed(steps, data).data
    return None if found is None else found.decode()


@pytest.mark.parametrize(
    ("place", "value", "before", "after"),
    [
        ("data.a", 1, '{"b":2}', '{"b":2,"a":1}'),
        ("data.a", None, '{"a":1,"b":2}', '{"a":null,"b":2}'),
        ("data.a.b.c", "x", "{}", '{"a":{"b":{"c":"x"}}}'),
        ("data.a.b", "x", '{"a":null}', '{"a":{"b":"x"}}'),
        ("data.a", "x", None, '{"a":"x"}'),
        ("data.a", "x", "null", '{"a":"x"}'),
        ("data.l[1]", "x", '{"l":[1, 2 ,3]}', '{"l":[1,"x",3]}'),
        ("data.l[*].a", "x", '{"l":[{},{"a":1},null]}', '{"l":[{"a":"x"},{"a":"x"},{"a":"x"}]}'),
        ("data.l[*]", "x", '{"l":[1,2]}', '{"l":["x","x"]}'),
        ("data[0][0]", "x", "[[1]]", '[["x"]]'),
        ('data["a.b"]', "x", "{}", '{"a.b":"x"}'),
        ("data['a\"b']", "x", "{}", '{"a\\"b":"x"}'),
        ('data["\\u00e9"]', "x", '{"é":1}', '{"é":"x"}'),
        ("data.é-1_$@:", "x", "{}", '{"é-1_$@:":"x"}'),
        ("data", [1, {"a": "{id}"}], "{}", '[1,{"a":"1"}]'),
        ("data", "{data.a}", '{"a": 1.10}', "1.10"),
        ("data.a", "{data}", '{"b":1}', '{"b":1,"a":{"b":1}}'),
        ("data.a", {"{id}": True}, "{}", '{"a":{"{id}":true}}'),
        ("data.a", 2**70, "{}", '{"a":1180591620717411303424}'),
        ("data.l[*].a", 1, '{"l":[]}', '{"l":[]}'),
        ("data.l[*].a", 1, "{ }", "{ }"),
    ],
)
def test_set_puts_json_at_a_place(place: str, value: object, before: str | None, after: str) -> None:
    assert data_of([{"set": {place: value}}], before) == after


@pytest.mark.parametrize(
    ("steps", "data", "problem"),
    [
        ([{"set": {"subject": "{data.a}"}}], "{}", "change[0].set.subject: data.a is not there"),
        ([{"set": {"subject": "{data.a}"}}], None, "change[0].set.subject: data.a is not there"),
        ([{"set": {"subject": "{data.a}"}}], '{"a":null}', "change[0].set.subject: data.a is null"),
        ([{"set": {"subject": "{data.a}"}}], '{"a":""}', "change[0].set.subject: must not be empty"),
        ([{"set": {"subject": "{data.a}"}}], '{"a":"\\n"}', "change[0].set.subject: has a character that CloudEvents"),
        ([{"set": {"time": "{data.a}"}}], '{"a":"secret"}', "change[0].set.time: the value is not an RFC 3339"),
        ([{"set": {"source": "{data.a} x"}}], '{"a":" is not"}', "change[0].set.source: the value is not a URI-ref"),
        ([{"set": {"subject": "{time}"}}], "{}", "change[0].set.subject: time is not there"),
        ([{"set": {"data.a": {"b": ["{data.x}"]}}}], "{}", "change[0].set.data.a: data.x is not there"),
        ([{"set": {"data.a.b": 1}}], '{"a":"x"}', "change[0].set.data.a.b: data.a is a string, expected an object"),
        ([{"set": {"data.a.b": 1}}], '{"a":[]}', "change[0].set.data.a.b: data.a is an array, expected an object"),
        ([{"set": {"data.a[0]": 1}}], '{"a":{}}', "change[0].set.data.a[0]: data.a is an object, expected an array"),
        ([{"set": {"data.a[0]": 1}}], "{}", "change[0].set.data.a[0]: data.a[0] is not there"),
        ([{"set": {"data.a[1]": 1}}], '{"a":[0]}', "change[0].set.data.a[1]: data.a[1] is not there"),
        ([{"set": {"data.a[1].b": 1}}], '{"a":[0]}', "change[0].set.data.a[1].b: data.a[1].b is not there"),
        ([{"set": {"data.a": 1}}], "7", "change[0].set.data.a: data is a number, expected an object"),
        ([{"set": {"data.a": 1}}], "x", "change[0].set.data.a: the data is not JSON: JSON is malformed"),
        ([{"remove": ["x", "data.a"]}], "x", "change[0].remove[1]: the data is not JSON"),
        ([{"remove": ["data.a.b"]}], '{"a":"x"}', "change[0].remove[0]: data.a is a string, expected an object"),
        ([{"remove": ["data.a.b"]}], '{"a":[{"b":1}]}', "change[0].remove[0]: data.a is an array, expected an object"),
        ([{"remove": ["data[*].b"]}], '[{"b":1},2]', "change[0].remove[0]: data[*] is a number, expected an object"),
        ([{"keep": ["data.a.b"]}], '{"a":1}', "change[0].keep: data.a is a number, expected an object"),
        ([{"keep": ["data.a"]}], "[1]", "change[0].keep: data is an array, expected an object"),
        ([{"keep": ["data.a[0]"]}], '{"a":{"b":1}}', "change[0].keep: data.a is an object, expected an array"),
        ([{"keep": ["data.a"]}], "x", "change[0].keep: the data is not JSON"),
        ([{"rename": {"data.a": "data.b"}}], "x", "change[0].rename.data.a: the data is not JSON"),
        ([{"rename": {"data.a": "data.b.c"}}], '{"a":1,"b":2}', "change[0].rename.data.a: data.b is a number"),
        ([{"rename": {"data.a": "subject"}}], '{"a":null}', "change[0].rename.data.a: data.a is null"),
        ([{"template": "{data.a}"}], "{}", "change[0].template: data.a is not there"),
        ([{"template": "{data.a}"}], "x", "change[0].template: the data is not JSON"),
        ([{"template": "{data}"}], "x", "change[0].template: the data is not JSON"),
        ([{"set": {"datacontenttype": "a/b"}}, {"set": {"e": "{data}"}}], "1", "change[1].set.e: the data is not JSON"),
        (
            [{"set": {"datacontenttype": "a/b"}}, {"remove": ["data.x"]}],
            "{}",
            "change[1].remove[0]: the data is not JSON, but 'a/b'",
        ),
    ],
)
def test_a_step_that_cannot_be_done_is_named_with_its_place(steps: object, data: str | None, problem: str) -> None:
    with pytest.raises(Rejected) as raised:
        changed(steps, data)

    assert str(raised.value).startswith(problem)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("places", "before", "after"),
    [
        (["data.a"], '{"a":1, "b": 1.10}', '{"b":1.10}'),
        (["data.a"], '{"b": 1}', '{"b": 1}'),
        (["data.a.b", "data.a"], '{"a":{"b":1}}', "{}"),
        (["data.a", "data.a.b"], '{"a":{"b":1}}', "{}"),
        (["data.a.b"], '{ "a":null}', '{ "a":null}'),
        (["data.a.b"], '{"a":[]}', '{"a":[]}'),
        (["data.l[0]", "data.l[2]", "data.l[9]"], '{"l":[0,1,2,3]}', '{"l":[1,3]}'),
        (["data.l[0]", "data.l[1].a"], '{"l":[{"a":0},{"a":1,"b":1}]}', '{"l":[{"b":1}]}'),
        (["data.l[*]"], '{"l":[1,2]}', '{"l":[]}'),
        (["data.l[*].a", "data.l[0]"], '{"l":[{"a":0},{"a":1,"b":1}]}', '{"l":[{"b":1}]}'),
        (["data[1]"], "[1, 2]", "[1]"),
        (["data"], "{}", None),
        (["data"], "no JSON", None),
        (["data.a"], None, None),
        (["data.a"], "", ""),
    ],
)
def test_remove_takes_away_what_is_there(places: list[str], before: str | None, after: str | None) -> None:
    assert data_of([{"remove": places}], before) == after


def test_remove_takes_attributes_away() -> None:
    after = compile_changes([{"remove": ["subject", "time", "n", "none"]}]).apply(TYPED)

    assert after == TYPED.but(subject=None, extensions={k: v for k, v in TYPED.extensions.items() if k != "n"})


@pytest.mark.parametrize(
    ("places", "before", "after"),
    [
        (["data.b", "data.a"], '{"a":1.10,"b":{"c": 1},"d":2}', '{"a":1.10,"b":{"c": 1}}'),
        (["data.b.c"], '{"a":1,"b":{"c":1,"d":2}}', '{"b":{"c":1}}'),
        (["data.b", "data.b.c"], '{"a":1,"b":{"c":1,"d":2}}', '{"b":{"c":1,"d":2}}'),
        (["data.b.c"], '{"a":1,"b":null}', '{"b":null}'),
        (["data.l[*].a"], '{"l":[{"a":1,"b":1},null,{"b":1}],"x":1}', '{"l":[{"a":1},null,{}]}'),
        (["data.l[1]"], '{"l":[1,2,3]}', '{"l":[2]}'),
        (["data.l[0].b", "data.l[*].a"], '{"l":[{"a":1,"b":1},{"a":1,"b":1}]}', '{"l":[{"a":1,"b":1},{"a":1}]}'),
        (["data.none"], '{"a":1}', "{}"),
        (["data"], '{"a": 1}', '{"a": 1}'),
        (["x"], '{"a": 1}', '{"a": 1}'),
        (["data.a"], None, None),
    ],
)
def test_keep_leaves_the_named_members(places: list[str], before: str | None, after: str | None) -> None:
    assert data_of([{"keep": places}], before) == after


def test_keep_leaves_the_named_extensions_if_it_names_any() -> None:
    keep_some = compile_changes([{"keep": ["x", "raw"]}]).apply(TYPED)
    keep_data = compile_changes([{"keep": ["data.a"]}]).apply(TYPED)

    assert keep_some.extensions == {"raw": Binary(b"Ma"), "x": "y"}
    assert keep_some.but(extensions=TYPED.extensions) == TYPED
    assert keep_data is TYPED


@pytest.mark.parametrize(
    ("names", "before", "after"),
    [
        ({"data.a": "data.b"}, '{"a":1.10,"c":2}', '{"b":1.10,"c":2}'),
        ({"data.a": "data.b"}, '{"c": 2}', '{"c": 2}'),
        ({"data.a": "data.b"}, '{"b":1,"a":2}', '{"b":2}'),
        ({"data.a": "data.b", "data.b": "data.a"}, '{"a":1,"b":2}', '{"b":1,"a":2}'),
        ({"data.a": "data.a"}, '{"a":1}', '{"a":1}'),
        ({"data.l[*].a": "data.l[*].b"}, '{"l":[{"a":1},{}]}', '{"l":[{"b":1},{}]}'),
        ({"data.a.b": "data.c"}, '{"a":{"b": {"x": 1}}}', '{"a":{},"c":{"x": 1}}'),
        ({"data.a": "data.a.b"}, '{"a":1}', '{"a":{"b":1}}'),
        ({"data.a.b": "data.b.a", "data.b.a": "data.a.b"}, '{"a":{"b":1},"b":{"a":2}}', '{"a":{"b":2},"b":{"a":1}}'),
        ({"data.o": "data"}, '{"o":{"a": 1},"x":2}', '{"a": 1}'),
        ({"data": "data.o"}, '{"a":1}', '{"o":{"a":1}}'),
        ({"data.l[0]": "data.first", "data.l[1]": "data.second"}, '{"l":[1,2,3]}', '{"l":[3],"second":2,"first":1}'),
    ],
)
def test_rename_moves_what_is_there(names: dict[str, str], before: str, after: str) -> None:
    assert data_of([{"rename": names}], before) == after


def test_rename_moves_between_attributes_and_data() -> None:
    data = '{"key":"k","n":7,"link":1}'
    names = {"x": "y", "raw": "bin", "n": "data.m", "link": "subject", "data.key": "partitionkey", "none": "z"}

    after = changed([{"rename": names}], data, TYPED)

    assert after.extensions == {"on": True, "y": "y", "bin": Binary(b"Ma"), "partitionkey": "k"}
    assert after.subject == "urn:a:b"
    assert after.data == b'{"n":7,"link":1,"m":7}'


@pytest.mark.parametrize(
    ("kind", "data", "steps", "after"),
    [
        (None, b'{"a":1}', [{"set": {"data.a": 2}}], JSON),
        (None, b"\xff", [{"set": {"data": 2}}], JSON),
        (None, None, [{"template": {}}], JSON),
        ("text/plain", b"x", [{"template": {"text": "{data}"}}], JSON),
        ("text/plain", None, [{"set": {"data.a": 2}}], JSON),
        ("text/plain", b"", [{"set": {"data.a": 2}}], JSON),
        ("application/a+json", b"{}", [{"set": {"data.a": 2}}], "application/a+json"),
        (None, b'{"a":1}', [{"remove": ["data.a"]}], None),
        (None, None, [{"set": {"datacontenttype": "a/b+json", "data": {}}}], "a/b+json"),
        ("text/plain", b"{}", [{"set": {"datacontenttype": JSON}}, {"set": {"data.a": 1}}], JSON),
        ("text/plain", b'{"a":1}', [{"remove": ["datacontenttype"]}, {"remove": ["data.a"]}], None),
    ],
)
def test_the_content_type_stays_true(kind: str | None, data: bytes | None, steps: object, after: str | None) -> None:
    changed = compile_changes(steps).apply(PLAIN.but(data=data, datacontenttype=kind))

    assert changed.datacontenttype == after


def test_a_declaration_that_is_not_true_is_refused() -> None:
    changes = compile_changes([{"set": {"datacontenttype": JSON}}])

    with pytest.raises(Rejected, match=r"^change\[0\].set.datacontenttype: the data is not JSON"):
        changes.apply(PLAIN.but(data=b"text", datacontenttype="text/plain"))


@pytest.mark.parametrize("data", [b'{"a":1,"a":2}', b'{"a": 1, "\\u0061": 2}', b'{"x":{"a":1 , "b":0,"a":2}}'])
@pytest.mark.parametrize(
    "step",
    [
        {"remove": ["data.a", "data.x.a"]},
        {"keep": ["data.a", "data.x.a"]},
        {"rename": {"data.a": "data.b", "data.x.a": "data.x.b"}},
        {"set": {"data.b": 1, "data.x.b": 1}},
        {"mask": {"data.a": "redact", "data.x.a": "redact"}},
    ],
)
def test_a_name_that_stands_twice_is_refused(step: object, data: bytes) -> None:
    with pytest.raises(Rejected, match=r"data(.x)? has two members of the same name"):
        compile_changes([step]).apply(PLAIN.but(data=data))


@pytest.mark.parametrize(
    "data", ['{"\\u00e9":1,"a":1}', '{"a\\/b": [1,\n2], "a":1}', '{\r\n\t"a" : 1 ,"" : 2}', '{" ":1,"a":1}']
)
def test_names_with_escapes_and_whitespace_are_no_repeats(data: str) -> None:
    assert b'"a"' not in (changed([{"remove": ["data.a"]}], data).data or b"")


def test_steps_see_what_those_before_them_made() -> None:
    steps = [
        {"set": {"data.a": {"b": "{id}"}, "subject": "new"}},
        {"set": {"data.c": "{data.a}", "data.s": "{subject}"}},
        {"set": {"data.a.b": "later"}},
        {"rename": {"data.a": "data.z"}},
        {"remove": ["data.none"]},
    ]

    assert data_of(steps, "{}") == '{"z":{"b":"later"},"c":{"b":"1"},"s":"new"}'


def test_nothing_to_do_gives_the_same_event() -> None:
    event = TYPED.but(data=b'{ "a" : 1 }')

    for steps in (
        None,
        [],
        [
            {"remove": ["data.b", "none"]},
            {"keep": list(TYPED.extensions)},
            {"mask": {"data.c": "redact"}},
            {"keep": ["data"]},
        ],
    ):
        assert compile_changes(steps).apply(event) is event


def test_trace_shows_each_step_up_to_the_one_that_fails() -> None:
    event = PLAIN.but(data=b'{"a":1}')
    changes = compile_changes(
        [{"set": {"subject": "s"}}, {"remove": ["data.a"]}, {"set": {"e": "{data.a}"}}, {"remove": ["e"]}]
    )

    assert changes.trace(event) == [
        ("change[0].set", event.but(subject="s")),
        ("change[1].remove", event.but(subject="s", data=b"{}")),
        ("change[2].set", "change[2].set.e: data.a is not there"),
    ]
    assert changes.trace(event.but(data=b"x"))[-1][0] == "change[1].remove"
