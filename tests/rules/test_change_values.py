"""Values that steps make: templates in the data, and in attributes."""

from __future__ import annotations

import pytest

from gateway.core.event import Event
from gateway.rules.change import compile_changes
from tests.rules.test_change import JSON, PLAIN, TYPED, changed, data_of

BIG = "1" * 50


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{data.n}", "1.10"),
        ("{data.big}", BIG),
        ("{data.far}", "1e400"),
        ("{data.s}", '"a\\u0062"'),
        ("{data.no}", "null"),
        ("{data.o}", '{"k": [1, 2]}'),
        ("{data.o.k[1]}", "2"),
        ("{data.l[*].a}", "[1,2]"),
        ("{data.l[*].none}", "[]"),
        ("{data.ll[*][*]}", "[1,2,3]"),
        ("{data}", None),
        ("x{data.n}y", '"x1.10y"'),
        ("{data.s}{data.no}{data.yes}", '"abnulltrue"'),
        ("{data.o}.", '"{\\"k\\": [1, 2]}."'),
        ("{{{data.n}}}", '"{1.10}"'),
        ("{{}}", '"{}"'),
        ("", '""'),
        ("{data.x|d}", '"d"'),
        ("{data.x|1.0}", "1.0"),
        ("{data.x|01}", '"01"'),
        ('{data.x|"01"}', '"01"'),
        ('{data.x|"}"}', '"}"'),
        ("{data.x|}", '""'),
        ("{data.x|[]}", "[]"),
        ("{data.x| a|b }", '" a|b "'),
        ("{data.no|d}", '"d"'),
        ("{data.n.deep|d}", '"d"'),
        ("{data.n|d}", "1.10"),
        ("{data.l[9]|d}", '"d"'),
        ("{data.n[*]|d}", '"d"'),
        ("{data.none[*].a|d}", '"d"'),
        ("{subject|d}", '"d"'),
        ("{id}", '"1"'),
        ("{specversion}", '"1.0"'),
        ("{datacontenttype}", '"application/json"'),
    ],
)
def test_a_template_inserts_json(template: str, expected: str | None) -> None:
    """The same before a step has opened the data and after it."""
    data = (
        '{"n":1.10,"big":' + BIG + ',"far":1e400,"s":"a\\u0062","no":null,"yes":true,"o":{"k": [1, 2]},'
        '"l":[{"a":1},{"a":2}],"ll":[[1,2],[3]]}'
    )

    assert data_of([{"set": {"data": template}}], data) == (expected or data)
    after_change = data_of([{"set": {"data.z.z": 0}}, {"remove": ["data.z"]}, {"set": {"data": template}}], data)
    assert after_change == (expected or data)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("subject", "{data.s}", "text"),
        ("subject", "{data.i}", "7"),
        ("subject", "{data.o}", '{"a": 1}'),
        ("subject", "{data.yes}", "true"),
        ("subject", True, "true"),
        ("id", "{data.i}-{id}", "7-1"),
        ("source", "/new", "/new"),
        ("type", "{data.s}", "text"),
        ("time", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("e", "{data.i}", 7),
        ("e", "{data.yes}", True),
        ("e", "x{data.i}", "x7"),
        ("e", "{data.f}", "1.0"),
        ("e", "{data.big}", "4294967296"),
        ("e", "{data.low}", -(2**31)),
        ("e", "{data.zero}", "-0"),
        ("e", "{data.digits}", "7"),
        ("e", "{n}", 7),
        ("e", "{raw}", "TWE="),
        ("e", "{link}", "urn:a:b"),
        ("e", "", ""),
        ("e", 5, 5),
        ("e", 1.5, "1.5"),
        ("e", False, False),
        ("subject", "{subject}", "sub"),
    ],
)
def test_set_gives_an_attribute_what_cloudevents_allows(name: str, value: object, expected: object) -> None:
    data = (
        '{"s":"text","i":7,"o":{"a": 1},"yes":true,"f":1.0,"big":4294967296,"low":-2147483648,"zero":-0,"digits":"7"}'
    )

    after = changed([{"set": {name: value}}], data, TYPED)

    found = after.extensions.get(name, getattr(after, name, None))
    assert (found, type(found)) == (expected, type(expected))
    assert after.data == data.encode()


@pytest.mark.parametrize("data", ['{"a":1', '[{"a":1}', '{"a":{},"b":\xff}', '{"a":[1],"b":01}', "", "text"])
def test_a_default_stands_in_where_the_data_is_no_json(data: str) -> None:
    """However far into the data a template had to look to see that."""
    event = PLAIN.but(data=data.encode("latin-1"), datacontenttype=JSON)

    assert compile_changes([{"set": {"e": "{data.a.b|d}"}}]).apply(event).extensions == {"e": "d"}


def test_text_can_be_wrapped() -> None:
    event = PLAIN.but(data='"é"'.encode(), datacontenttype="text/plain")

    after = compile_changes([{"template": {"text": "{data}", "line": "<{data}>"}}]).apply(event)

    assert after.data == '{"text":"\\"é\\"","line":"<\\"é\\">"}'.encode()


def test_what_is_inserted_is_never_looked_at_again() -> None:
    """No payload can add members, placeholders or references."""
    hostile = '{"a":"\\"},{data.secret}${HOME}{{\\\\","secret":"s"}'
    steps = [{"set": {"data.b": "x{data.a}", "data.c": "{data.a}", "e": "{data.a}"}}, {"set": {"data.d": "{data.b}"}}]

    after = changed(steps, hostile)

    text = '\\"},{data.secret}${HOME}{{\\\\'
    assert after.data == f'{hostile[:-1]},"b":"x{text}","c":"{text}","d":"x{text}"}}'.encode()
    assert after.extensions == {"e": '"},{data.secret}${HOME}{{\\'}


def test_all_templates_of_a_step_read_the_event_before_it() -> None:
    steps = [{"set": {"data.a": "{data.b}", "data.b": "{data.a}", "subject": "{data.a}", "type": "{subject|none}"}}]

    after = changed(steps, '{"a":1,"b":{"c":2}}')

    assert (after.data, after.subject, after.type) == (b'{"a":{"c":2},"b":1}', "1", "none")


@pytest.mark.parametrize(
    ("template", "data", "subject"),
    [
        ("{data.größe}", '{"größe":"L","":"empty"}', "L"),
        ("{data.größe|none}", '{"größe":"L"}', "L"),
        ("{data.größe|none}", '{"x":1,"":"secret"}', "none"),
        ("{data.größe} {data.name}", '{"größe":"L","name":"n"}', "L n"),
        ("{data.a.größe}", '{"a":{"größe":"L","":"empty"}}', "L"),
        ("{data.a.größe|none} {data.a.b}", '{"a":{"b":"B","":"empty"}}', "none B"),
        ("{data.größe.x|none}", '{"größe":null}', "none"),
    ],
)
def test_names_beyond_ascii_are_read_as_any_other(template: str, data: str, subject: str) -> None:
    event = Event("1", "/s", "t", datacontenttype="application/json", data=data.encode())

    assert compile_changes([{"set": {"subject": template}}]).apply(event).subject == subject
