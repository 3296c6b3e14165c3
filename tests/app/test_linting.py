"""`isthmus lint`: what is odd is named once, and nothing else is named."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.app import linting
from gateway.app.rules import compile_by
from gateway.core.event import Event
from tests.app.test_cli import isthmus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.core.event import ExtensionValue
    from tests.app.test_cli import Ended

__all__ = ["isthmus"]

CLEAN = """
region: a
data: ./data
api: {http: 127.0.0.1:8080}
federation: {peers: {b: [127.0.0.1:9]}}
keys: {pii: {"2": "${file:key}", "1": "${file:key}"}}
sinks: {out: {file: {path: ./out.jsonl}}}
subscriptions:
  one:
    match: {type: [a, {prefix: b}]}
    change: [{mask: {data.card: {hash: pii}}}]
    to: out
  two: {from: [a, b], filter: [{exact: {type: a}}, {prefix: {type: a}}], to: out}
"""
ODD = [
    ("out.jsonl}}}", "out.jsonl}}, idle: {file: {path: ./idle.jsonl}}}", "sinks.idle", "no subscription sends to it"),
    ("[127.0.0.1:9]", "[127.0.0.1:9], c: [127.0.0.1:8]", "federation.peers.c", "no subscription has it in from:"),
    ("from: [a, b]", "from: [a]", "federation.peers.b", "no subscription has it in from:"),
    ('"${file:key}"}}', '"${file:key}"}, old: {"1": "${file:key}"}}', "keys.old", "no mask hashes with it"),
    ('"1": "${file:key}"', '"1": 0123456789abcdef', "keys.pii.1", "the secret stands in the file"),
    (
        "hash: pii",
        "hash: pii@1",
        "subscriptions.one.change[0].mask.data.card",
        "data.card is hashed with version 1 of pii",
    ),
    ("{type: [a, {prefix: b}]}", "{detail: [a]}", "subscriptions.one.match", "detail is of EventBridge's envelope"),
    ("{prefix: {type: a}}", "{prefix: {type: b}}", "subscriptions.two.filter", "no event can pass"),
    ("exact: {type: a}", "exact: {type: b}", "subscriptions.two.filter", "no event can pass"),
    (
        "    to: out\n  two: {",
        "    to: out\n  again: {from: [b], to: out}\n  more: {to: out, from: [b]}\n  two: {",
        "subscriptions.more",
        "does the same as again",
    ),
]
"""A text of the clean config, what is put there instead, where it is odd then, and how."""


def findings(text: str, folder: Path, isthmus: Callable[..., Ended]) -> list[dict[str, str]]:
    """What lint says, which it says in both ways."""
    (folder / "key").write_text("0123456789abcdef-made-up")
    (folder / "a.yaml").write_text(text)
    ended, plain = isthmus("lint", folder / "a.yaml", "--json"), isthmus("lint", folder / "a.yaml")
    found: list[dict[str, str]] = json.loads(ended.out)
    assert plain.out.splitlines() == ["{file}:{line}: {path}: {message}".format_map(one) for one in found]
    assert ended.code == plain.code == (1 if found else 0)
    assert "made-up" not in plain.out
    return found


def test_a_clean_config_has_nothing_odd(tmp_path: Path, isthmus: Callable[..., Ended]) -> None:
    assert findings(CLEAN, tmp_path, isthmus) == []


@pytest.mark.parametrize(("text", "instead", "path", "message"), ODD)
def test_what_is_odd_is_named_once_with_its_line(
    text: str, instead: str, path: str, message: str, tmp_path: Path, isthmus: Callable[..., Ended]
) -> None:
    changed = CLEAN.replace(text, instead, 1)
    assert changed != CLEAN

    (found,) = findings(changed, tmp_path, isthmus)

    assert (found["path"], found["message"][: len(message)]) == (path, message)
    assert path.rpartition(".")[2].partition("[")[0] in changed.splitlines()[int(found["line"]) - 1]


def test_all_that_is_odd_comes_in_the_order_of_the_file(tmp_path: Path, isthmus: Callable[..., Ended]) -> None:
    text = CLEAN
    for right, instead, _, _ in ODD[:2] + ODD[3:7]:
        text = text.replace(right, instead, 1)

    found = findings(text, tmp_path, isthmus)

    assert len(found) == 6
    assert [one["line"] for one in found] == sorted(one["line"] for one in found)


def test_events_that_nobody_can_get_are_odd(tmp_path: Path, isthmus: Callable[..., Ended]) -> None:
    text = CLEAN.replace("    change:", "    from: [b]\n    change:").replace("from: [a, b]", "from: [b]")

    assert [one["path"] for one in findings(text, tmp_path, isthmus)] == ["region"]
    assert findings(text.replace("peers:", "listen: 127.0.0.1:7, peers:"), tmp_path, isthmus) == []


@pytest.mark.parametrize(
    ("path", "odd"),
    [
        ("filter", "filter: {not: {exact: {type: a}}}"),
        ("match", 'match: {data: {total: [{numeric: [">", 100]}]}}'),
    ],
)
def test_filters_that_no_index_helps_are_named_once_there_are_many(
    path: str, odd: str, tmp_path: Path, isthmus: Callable[..., Ended]
) -> None:
    one = "  s{number}: {{match: {{type: [x{number}]}}, to: out}}\n"
    odd = f"  slow: {{{odd}, to: out}}\n"
    many = "".join(one.format(number=number) for number in range(97))

    assert findings(CLEAN + odd + one.format(number=0), tmp_path, isthmus) == []
    (found,) = findings(CLEAN + many + odd, tmp_path, isthmus)
    assert (found["path"], found["message"][:30]) == (f"subscriptions.slow.{path}", "is asked about every event: no")


@pytest.mark.parametrize("text", ["region: a\n", "", "subscriptions: {a: {match: {}}}", "\0", "[" * 100])
def test_a_wrong_config_is_wrong_and_not_odd(text: str, tmp_path: Path, isthmus: Callable[..., Ended]) -> None:
    (tmp_path / "a.yaml").write_text(text)

    ended = isthmus("lint", tmp_path / "a.yaml")

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"{tmp_path / 'a.yaml'}")


def test_a_config_that_is_not_there_is_exit_code_2(isthmus: Callable[..., Ended]) -> None:
    assert isthmus("lint", "nope.yaml").code == 2


TEXTS = ["a", "b", "ab", "ba", "5", "true"]
EXTENSIONS: list[ExtensionValue | None] = [None, *TEXTS, 5, 1, True, False]
EVENTS = [
    Event(
        "1",
        "/s",
        kind,
        subject,
        extensions={} if extension is None else {"ext": extension},
        data=data,
        datacontenttype="application/json",
    )
    for kind, subject, extension, data in product(
        [*TEXTS, "abba", "xa"], [None, *TEXTS], EXTENSIONS, [b'{"n":1}', b'{"n":[1,2,"a"],"m":"b"}']
    )
]
"""Whatever the filters below could want, in every combination."""

texts, names = st.sampled_from(TEXTS), st.sampled_from(["type", "subject", "ext"])
scalars = texts | st.sampled_from([5, 1, True, False, None])
dialects: st.SearchStrategy[object] = st.recursive(
    st.builds(
        lambda how, name, text: {how: {name: text}}, st.sampled_from(["exact", "prefix", "suffix"]), names, texts
    ),
    lambda inner: (
        st.builds(lambda how, some: {how: some}, st.sampled_from(["all", "any"]), st.lists(inner, min_size=1))
        | inner.map(lambda one: {"not": one})
    ),
    max_leaves=5,
)
terms = scalars | st.one_of(
    texts.map(lambda text: {"prefix": text}),
    texts.map(lambda text: {"suffix": text}),
    texts.map(lambda text: {"anything-but": [text]}),
    texts.map(lambda text: {"equals-ignore-case": text.upper()}),
    texts.map(lambda text: {"wildcard": f"{text}*{text}"}),
    st.booleans().map(lambda there: {"exists": there}),
)
fields = st.dictionaries(names, st.lists(terms, min_size=1, max_size=3), min_size=1, max_size=3)
inside = st.fixed_dictionaries({"data": st.fixed_dictionaries({"n": st.lists(scalars, min_size=1, max_size=2)})})
alternatives = st.lists(fields, min_size=2, max_size=3).map(lambda some: {"$or": some})
patterns = st.builds(lambda one, two: {**one, **two}, fields | inside, st.just({}) | alternatives | inside)
expressions = st.recursive(
    st.one_of(
        st.builds("{} = '{}'".format, names, texts),
        st.builds("'{1}' = {0}".format, names, texts),
        st.builds("{} != '{}'".format, names, texts),
        st.builds("{} LIKE '{}%'".format, names, texts),
        st.builds("{} LIKE '%{}'".format, names, texts),
        st.builds("{} IN ('{}', '{}')".format, names, texts, texts),
        st.builds("EXISTS {}".format, names),
        st.sampled_from(["ext = 5", "ext = TRUE", "ext", "TRUE", "type = subject", "LEFT(type, 1) = 'a'"]),
    ),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["AND", "OR", "XOR"]), inner)
        | inner.map("NOT ({})".format)
    ),
    max_leaves=5,
)


def test_what_is_made_up_here_says_sometimes_that_no_event_can_pass() -> None:
    """Or else the next test would say nothing."""
    for key, spec in (
        ("filter", [{"exact": {"ext": "a"}}, {"suffix": {"ext": "b"}}]),
        ("cesql", "type = 'a' AND type LIKE 'b%'"),
    ):
        (said,) = linting._about_rule(compile_by(key, spec, key), 1)
        assert said.startswith("no event can pass: ")


@given(
    st.one_of(
        st.tuples(st.just("filter"), dialects | st.lists(dialects, max_size=3)),
        st.tuples(st.just("match"), patterns),
        st.tuples(st.just("cesql"), expressions),
    )
)
@example(("filter", [{"exact": {"ext": "5"}}, {"prefix": {"ext": "5"}}]))
@example(("match", {"ext": [5], "$or": [{"ext": ["5"]}, {"ext": [True]}]}))
def test_a_filter_that_no_event_can_pass_passes_none(asked: tuple[str, object]) -> None:
    key, spec = asked
    rule = compile_by(key, spec, key)

    if any("no event can pass" in message for message in linting._about_rule(rule, 1)):
        assert not any(map(rule.matches, EVENTS))
