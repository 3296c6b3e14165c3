"""What a change refuses: steps that are wrong, and events that would cost too much."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.codec.validate import CORE, MAX_ATTRIBUTE
from gateway.core.errors import ConfigError, Rejected
from gateway.core.event import Event
from gateway.rules.change import compile_changes
from gateway.rules.change_reading import MAX_PLACES, MAX_PROBLEMS, MAX_STEPS, MAX_VALUES
from gateway.rules.draft import _FEW, MAX_RESULT

EVENT = Event(id="1", source="/s", type="t", datacontenttype="application/json")


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ("set", "change: 'set', expected a list of steps"),
        ({"set": {}}, "change: a mapping of 1, expected a list of steps"),
        ([{"set": {}}] * (MAX_STEPS + 1), f"change: {MAX_STEPS + 1} steps, expected at most {MAX_STEPS}"),
        ([5], "change[0]: 5, expected a mapping with one of set, remove, keep, rename, template, mask"),
        ([{"set": {"e": 1}, "mask": {}}], "change[0]: a mapping of 2, expected a mapping with one of"),
        ([{"sett": {}}], "change[0]: 'sett' is not a step, expected one of set, remove, keep, rename, template, mask"),
        ([{7: {}}], "change[0]: 7 is not a step"),
        ([{"set": {}}], f"change[0].set: a mapping of 0, expected a mapping of 1 to {MAX_PLACES} places to values"),
        ([{"set": {f"x{n}": 1 for n in range(201)}}], "change[0].set: a mapping of 201, expected"),
        ([{"set": ["a"]}], "change[0].set: a list of 1, expected a mapping"),
        ([{"set": {"specversion": "1.1"}}], "change[0].set.specversion: specversion is always 1.0"),
        ([{"set": {"subject": None}}], "change[0].set.subject: nothing, expected a string, a number or a boolean"),
        ([{"set": {"subject": ["a"]}}], "change[0].set.subject: a list of 1, expected a string"),
        ([{"set": {"subject": ""}}], "change[0].set.subject: '', expected a value for subject: must not be empty"),
        ([{"set": {"time": "now"}}], "change[0].set.time: 'now', expected a value for time: the value is not"),
        ([{"set": {"e": 2**31}}], "change[0].set.e: 2147483648, expected a value for e: an Integer must be within 32"),
        ([{"set": {"e": float("nan")}}], "change[0].set.e: nan, expected a string"),
        ([{"set": {"data.a": float("inf")}}], "change[0].set.data.a: inf, expected a value that JSON has"),
        ([{"set": {"data.a": {1: 2}}}], "change[0].set.data.a: 1 is not a name of a member"),
        ([{"set": {"data.a": {"b": [object()]}}}], "change[0].set.data.a.b[0]: object, expected a value"),
        ([{"set": {"data.a": "\ud800"}}], "change[0].set.data.a: a half of a surrogate pair"),
        ([{"set": {"data.a": "{"}}], "change[0].set.data.a: '' is not a place"),
        ([{"set": {"data.a": "}"}}], "change[0].set.data.a: '}': a brace that closes nothing"),
        ([{"set": {"data.a": '{"a": 1}'}}], "change[0].set.data.a: '\"a\": 1}' is not a place"),
        ([{"set": {"data.a": "{data.b"}}], "change[0].set.data.a: '{data.b': expected } or |default}"),
        ([{"set": {"data.a": "{ data.b}"}}], "change[0].set.data.a: ' data.b}' is not a place"),
        ([{"set": {"data.a": "{data.b|{}}"}}], "change[0].set.data.a: '{data.b|{}}': expected } or |default}"),
        ([{"set": {"e": "{order_id}"}}], "change[0].set.e: 'order_id' is not a place"),
        ([{"set": {"data.a": 1, "data.a.b": 2}}], "change[0].set: data.a and data.a.b overlap"),
        ([{"set": {"data.l[*].a": 1, "data.l[0].a": 2}}], "change[0].set: data.l[*].a and data.l[0].a overlap"),
        ([{"set": {"data.a": 1, 'data["a"]': 2}}], "change[0].set: data.a and data.a overlap"),
        ([{"remove": "data.a"}], f"change[0].remove: 'data.a', expected a list of 1 to {MAX_PLACES} places"),
        ([{"remove": []}], "change[0].remove: a list of 0, expected a list"),
        ([{"remove": ["id", 5]}], "change[0].remove[0]: id cannot be removed"),
        ([{"remove": ["specversion"]}], "change[0].remove[0]: specversion cannot be removed"),
        ([{"keep": ["subject"]}], "change[0].keep[0]: subject stays in any case"),
        ([{"rename": {"id": "x"}}], "change[0].rename.id: id cannot become x"),
        ([{"rename": {"x": "specversion"}}], "change[0].rename.x: x cannot become specversion"),
        ([{"rename": {"data.l[*].a": "data.b"}}], "change[0].rename.data.l[*].a: data.b stands elsewhere"),
        ([{"rename": {"data.a": "data.x", "data.b": "data.x"}}], "change[0].rename: data.x and data.x overlap"),
        ([{"rename": {"data.a": 5}}], "change[0].rename.data.a: 5 is not a place"),
        ([{"mask": {"id": "redact"}}], "change[0].mask.id: id cannot be masked"),
    ],
)  # fmt: skip
def test_a_wrong_step_names_its_place(steps: object, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        compile_changes(steps)

    assert raised.value.problems[0].startswith(problem)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Subject", "did you mean subject?"),
        ("order_id", "did you mean data.order_id?"),
        ("order.id", "did you mean data.order.id?"),
        ("dta.id", "did you mean data.id?"),
        ("Data.id", "did you mean data.id?"),
        ("data_base64", "did you mean"),
        ("subject.a", "subject is a string and has no members"),
        ("data.*", 'each element of an array is [*], a member called * is ["*"]'),
        ("data[-1]", "elements are counted from the beginning"),
        ("data[01]", "[01] is not an index"),
        ("data[99999999999999]", "is not an index"),
        ("data.a b", "is not a place from ' b' on"),
        ("data.", "is not a place from '.' on"),
        ('data["\\ud800"]', "is not a name, expected a JSON string"),
        ('data["\\x"]', "is not a name, expected a JSON string"),
        ("", "'' is not a place"),
        ("data" + ".a" * 33, "a path of more than 32 names"),
        ("data." + "a" * 1024, "a place of 1029 characters"),
        (None, "None is not a place"),
    ],
)
def test_what_is_no_place_is_explained(text: object, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        compile_changes([{"remove": [text]}])

    assert hint in raised.value.problems[0]


def test_the_verb_that_was_meant_is_named() -> None:
    with pytest.raises(ConfigError, match=r"; did you mean 'remove'\?$"):
        compile_changes([{"remov": ["data.a"]}])


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        compile_changes(
            [{"set": {"time": "x", "data.a": ["{", "}"]}}, {"keep": [1]}, {"mask": {"data.a": "rdact"}}], "c"
        )

    assert [problem.partition(":")[0] for problem in raised.value.problems] == [
        "c[0].set.data.a[0]", "c[0].set.data.a[1]", "c[0].set.time", "c[1].keep[0]", "c[2].mask.data.a",
    ]  # fmt: skip


def test_values_are_bounded() -> None:
    """Also those that contain themselves, and lists that YAML aliases blow up."""
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    wide: Any = "x" * 1000
    for _ in range(12):
        wide = [wide] * 10

    for value, problem in (
        (cyclic, "more than 32 lists and mappings inside each other"),
        (wide, f"the values of all steps have more than {MAX_VALUES} characters"),
        ("{id}" * 5000, "a template of 20000 characters, expected at most 16384"),
        ("x" * (MAX_VALUES + 1), "the values of all steps have more than"),
    ):
        with pytest.raises(ConfigError, match=problem) as raised:
            compile_changes([{"set": {"data.a": value}}] * 3)
        assert len(raised.value.problems) <= MAX_PROBLEMS
    with pytest.raises(ConfigError) as raised:
        compile_changes([{"remove": [1] * 200}])
    assert len(raised.value.problems) == MAX_PROBLEMS


MANY = f'{{"l":[{"0," * 200_000}0]}}'
PEEK = {"set": {"e": "{data.a[0].b|1}"}}


def long(size: int) -> str:
    return f'{{"a":"{"x" * size}"}}'


@pytest.mark.parametrize(
    ("steps", "data", "problem"),
    [
        ([{"set": {"data.b": "{data.a}"}}] * 4, long(1_000_000), "change[3].set.data.b: more than 3145728 bytes would"),
        ([{"set": {"data": ["{data}"] * 2}}] * 40, long(1000), "would be inserted"),
        ([{"template": "{data.a}" * 2000}], long(100_000), "would be inserted"),
        ([{"set": {"data.l[*]": "x" * 1000}}], f'{{"l":[{"0," * 9_999}0]}}', "would be inserted"),
        ([{"mask": {"data.l": {"keep_last": 1}}}], MANY, "more than 200000 elements"),
        ([{"mask": {"data.l[*]": "redact"}}], MANY, "more than 200000 elements"),
        ([{"set": {"data.b": "{data.a}", "e": 1}}], long(1_600_000), "change: the event would have 3200"),
        ([{"set": {"data.b": "{data.l[*].x}"}}] * 10, f'{{"l":[{"0," * 30_000}0]}}', "more than 200000 elements"),
        ([{"remove": ["data.z"]}, *[PEEK] * 90], f'{{"a":["{"x" * 2_000_000}"]}}', "bytes to look through"),
        ([{"remove": ["data.z"]}], f'{{"a":{"[" * 100_000}{"]" * 100_000}}}', "nested too deeply"),
    ],
)
def test_an_event_does_not_grow_and_costs_no_end_of_time(steps: object, data: str, problem: str) -> None:
    with pytest.raises(Rejected) as raised:
        compile_changes(steps).apply(EVENT.but(data=data.encode()))

    assert problem in str(raised.value)


def test_the_bound_on_the_result_counts_attributes_too() -> None:
    """Few extensions are not counted one by one, because they cannot be that large."""
    extensions: Any = {f"e{number}": "x" * MAX_ATTRIBUTE for number in range(40)}
    large = EVENT.but(data=b'"' + b"x" * 600_000 + b'"', extensions=extensions)
    changes = compile_changes([{"set": {"subject": "s"}}])

    with pytest.raises(Rejected, match=r"^change: the event would have 3221\d+ bytes, the limit is 3145728"):
        changes.apply(large)
    assert (len(CORE) + 2 * _FEW) * MAX_ATTRIBUTE < MAX_RESULT  # names and values
