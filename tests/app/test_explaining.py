"""`isthmus explain`: what a config does with an event, and why not."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.app.config import load
from gateway.app.explaining import Explainer
from gateway.core.event import Event
from tests.app.test_cli import isthmus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.app.test_cli import Ended

__all__ = ["isthmus"]

CONFIG = """
region: a
data: ./data
federation: {peers: {b: [127.0.0.1:9]}}
keys: {pii: {"1": "${file:key}"}}
sinks: {out: {file: {path: ./out.jsonl}}}
subscriptions:
  one: {{ONE}, to: out}
  other: {from: [b], to: out}
"""
EVENT = '{"specversion":"1.0","id":"1","source":"/s","type":"a","ext":5,"data":{"n":1.10,"list":[1,2],"card":"4111"}}'


@pytest.fixture
def explain(tmp_path: Path, isthmus: Callable[..., Ended]) -> Callable[..., Ended]:
    """Explain an event to a subscription `one` that has this."""

    def explain(one: str, *options: object, event: str | bytes = EVENT) -> Ended:
        (tmp_path / "key").write_text("0123456789abcdef-made-up\n")
        (tmp_path / "a.yaml").write_text(CONFIG.replace("{ONE}", one))
        (tmp_path / "event.json").write_bytes(event if isinstance(event, bytes) else event.encode())
        return isthmus("explain", tmp_path / "event.json", "--config", tmp_path / "a.yaml", *options)

    return explain


@pytest.mark.parametrize(
    "one",
    [
        "from: [a]",
        "filter: []",
        "filter: {exact: {type: a, ext: '5'}}",
        "filter: {any: [{exact: {type: z}}, {sql: ext = 5}, {cel: 'false'}]}",
        "match: {type: [z, a], data: {n: [1.1]}, $or: [{ext: [5]}, {ext: [6]}]}",
        "cesql: type = 'a' AND EXISTS ext",
        "cel: data.n > 1.0",
    ],
)
def test_what_matches_is_sent_as_it_is(one: str, explain: Callable[..., Ended]) -> None:
    assert explain(one, "-s", "one") == (0, "one: matches, is sent to out as it is\n", "")

    (found,) = json.loads(explain(one, "-s", "one", "--json").out).values()
    assert found["sent"] == json.loads(EVENT) | {"datacontenttype": "application/json"}
    assert (found["matched"], found["why_not"], found["rejected"], found["to"]) == (True, [], None, "out")


@pytest.mark.parametrize(
    ("one", "reasons"),
    [
        ("filter: {exact: {type: z}}", ["filter.exact.type: expected 'z', found 'a'"]),
        ("filter: {exact: {subject: z}}", ["filter.exact.subject: expected 'z', "]),
        ("filter: {prefix: {source: /x}}", ["filter.prefix.source: "]),
        ("filter: {suffix: {ext: '6'}}", ["filter.suffix.ext: "]),
        ("filter: [{exact: {type: a}}, {exact: {type: z}}]", ["filter[1].exact.type: "]),
        ("filter: {not: {exact: {type: a}}}", ["filter.not"]),
        ("filter: {any: [{exact: {type: y}}, {all: [{exact: {type: z}}]}]}", ["filter.any[0].exact", "filter.any[1]"]),
        ("filter: {sql: type = 'z'}", ["filter.sql: type = 'z' is false: type is \"a\""]),
        ("filter: {match: {data: {n: [2]}}}", ["filter.match.data.n: expected the number 2, found 1.1"]),
        ("filter: {cel: data.n > 2.0}", ["filter.cel: data.n > 2.0 is false"]),
        ("match: {type: [z]}", ['match.type: expected "z", found "a"']),
        ("match: {subject: [z]}", ['match.subject: expected "z", ']),
        ("match: {ext: ['5']}", ['match.ext: expected "5", found 5']),
        ("match: {data: {gone: [1]}}", ["match.data.gone: expected the number 1, found nothing"]),
        ("match: {data: {n: [{numeric: ['>', 2]}]}}", ["match.data.n: expected a number > 2, found 1.1"]),
        ("match: {data: {n: [{exists: false}]}}", ["match.data.n: "]),
        ("match: {data: {list: [3]}}", ["match.data.list: expected the number 3, found 1"]),
        ("match: {type: [z], data: {n: [2]}}", ["match.type: ", "match.data.n: "]),
        ("match: {$or: [{type: [y]}, {type: [z]}]}", ["match.$or[0].type: ", "match.$or[1].type: "]),
        ("cesql: type = 'z'", ["cesql: type = 'z' is false: type is \"a\""]),
        ("cesql: type = 'a' AND ext > 5", ["cesql: ext > 5 is false: ext is 5"]),
        ("cesql: subject = 'z'", ["cesql: subject = 'z' has a missing attribute (missingAttribute)"]),
        ("cesql: INT(type) = 1", ["cesql: INT(type) = 1 has a cast error (cast)"]),
        ("cesql: ext / 0 = 1", ["cesql: ext / 0 = 1 has a math error (math)"]),
        ("cesql: ext", ["cesql: ext is 5, not a Boolean"]),
        ("cel: data.n > 2.0", ["cel: data.n > 2.0 is false"]),
        ("cel: data.gone == 1", ["cel: data.gone == 1 is an error: "]),
        ("cel: data.n", ["cel: data.n is 1.1, not true"]),
    ],
)
def test_every_term_that_failed_is_named_with_what_was_there(
    one: str, reasons: list[str], explain: Callable[..., Ended]
) -> None:
    ended = explain(one, "-s", "one")

    head, *lines = ended.out.splitlines()
    assert (ended.code, head, ended.err) == (1, "one: does not match", "")
    assert len(lines) == len(reasons)
    for line, reason in zip(lines, reasons, strict=True):
        assert line.startswith(f"  subscriptions.one.{reason}")
    why_not = json.loads(explain(one, "-s", "one", "--json").out)["one"]["why_not"]
    assert [f"  {reason}" for reason in why_not] == lines


CHANGED = 'change: [{mask: {data.card: {hash: pii}}}, {set: {subject: "{data.order}"}}]'


def test_what_would_be_sent_is_shown_masked(explain: Callable[..., Ended]) -> None:
    """And each step on the way to it."""
    event = EVENT.replace('"n":1.10', '"order":"o-1","n":1.10')

    text = explain(CHANGED, "-s", "one", event=event).out
    (found,) = json.loads(explain(CHANGED, "-s", "one", "--json", event=event).out).values()

    head, _, body = text.partition("\n")
    assert head == "one: matches, is sent to out as"
    assert '"n": 1.10' in body
    assert json.loads(body) == found["sent"]
    assert found["sent"]["subject"] == "o-1"
    assert found["sent"]["data"]["card"].startswith("1:")
    assert [step["step"].removeprefix("subscriptions.one.change") for step in found["steps"]] == ["[0].mask", "[1].set"]
    assert [step["event"].get("subject") for step in found["steps"]] == [None, "o-1"]
    assert "4111" not in text + json.dumps(found)


def test_a_change_that_fails_is_shown_as_the_dead_letter_it_makes(explain: Callable[..., Ended]) -> None:
    reason = "subscriptions.one.change[1].set.subject: data.order is not there"

    ended = explain(CHANGED, "-s", "one")
    (found,) = json.loads(explain(CHANGED, "-s", "one", "--json").out).values()

    assert ended.out == f"one: matches, but a change fails: it becomes a dead letter\n  {reason}\n"
    assert (found["matched"], found["sent"], found["rejected"]) == (True, None, reason)
    assert found["steps"][1] == {"step": "subscriptions.one.change[1].set", "failed": reason}


def test_an_event_came_in_at_a_region(explain: Callable[..., Ended]) -> None:
    here, there = explain("from: [a]"), explain("from: [a]", "--from", "b")
    both = explain("from: [a, b]", "--from", "b", "-s", "other", "-s", "one")

    reason = "expected an event that came in at"
    assert f"other: does not match\n  subscriptions.other.from: {reason} b, this one did at a" in here.out
    assert f"one: does not match\n  subscriptions.one.from: {reason} a, this one did at b" in there.out
    assert [line.partition(":")[0] for line in both.out.splitlines()] == ["other", "one"]
    assert here.code == there.code == both.code == 0


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--from", "c"], "--from: unknown region 'c', expected one of a, b"),
        (["-s", "on"], "--subscription: unknown subscription 'on', expected one of one, other; did you mean 'one'?"),
        (["-s", "\x1b[31m"], "--subscription: unknown subscription '\\x1b[31m'"),
        (["--config", "nope.yaml"], "nope.yaml: cannot be read: "),
    ],
)
def test_a_wrong_name_is_exit_code_2(options: list[str], what: str, explain: Callable[..., Ended]) -> None:
    ended = explain("from: [a]", *options)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(what)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", ": no document, expected one event"),
        ("\n\n", ": no document, expected one event"),
        ("[]", ": no document, expected one event"),
        (f"{EVENT}\n{EVENT}", ": several documents, expected one event"),
        (f"[{EVENT},\n{EVENT}]", ": several documents, expected one event"),
        ("{\n\n", ":3: not JSON: "),
        ('{\n"id": "1"}', ":1: not a CloudEvent: specversion: missing"),
        (EVENT.replace('"a"', '"a\\u001b[31m"'), ":1: not a CloudEvent: type: has a character"),
        (EVENT.replace("ext", "e\\u001bt"), ":1: not a CloudEvent: 'e\\x1bt'"),
    ],
)
def test_a_file_without_one_event_is_exit_code_2(content: str, what: str, explain: Callable[..., Ended]) -> None:
    ended = explain("from: [a]", event=content)

    assert (ended.code, ended.out) == (2, "")
    assert f"event.json{what}" in ended.err
    assert ended.err.rstrip("\n").isprintable()


def test_a_wrong_config_is_told_whole(explain: Callable[..., Ended]) -> None:
    ended = explain("match: {type: a}, cesql: type =, change: [{sett: {}}]")

    assert ended.code == 2
    assert len(ended.err.splitlines()) == 4


def test_the_event_may_come_by_standard_input(
    explain: Callable[..., Ended], isthmus: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = explain("cesql: type = 'z'")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf[\r\n" + EVENT.encode() + b"]\r\n")))
    monkeypatch.setenv("ISTHMUS_CONFIG", str(tmp_path / "a.yaml"))

    assert isthmus("explain", "-") == expected


HOSTILE = "\x9b31m\u202ered\u2028\x7f"


@pytest.mark.parametrize(
    "one",
    [
        "from: [a]",
        "change: [{set: {data.m: 1}}]",
        "change: [{set: {data.x.y: 1}}]",
        'change: [{set: {subject: "{data.x}"}}]',
        "change: [{remove: [data.n]}, {rename: {data.x: data.z}}]",
        "match: {data: {x: [y]}}",
        "match: {data: {x: [{anything-but: [y]}, {prefix: z}]}, type: [z]}",
        "cel: data.x == 'y'",
        "cel: data.x",
    ],
)
@pytest.mark.parametrize("json", [True, False])
def test_no_event_steers_a_terminal(one: str, json: bool, explain: Callable[..., Ended]) -> None:
    """Not in what is sent, in reasons, nor in names of members; JSON stays JSON."""
    data = EVENT.replace('"n"', f'"x":"{HOSTILE}","{HOSTILE}":"\\u001b[2J","n"')

    ended = explain(one, *(["--json"] if json else []), event=data)

    assert all(line.isprintable() for line in ended.out.splitlines() + ended.err.splitlines())
    assert ended.out.splitlines() == ended.out.split("\n")[:-1]


@settings(max_examples=30)
@given(
    st.builds(
        lambda kind, subject, data: Event("1", "/s", kind, subject, data=data, datacontenttype="application/json"),
        st.sampled_from("ab"),
        st.sampled_from([None, "a", "b"]),
        st.sampled_from([None, b"{}", b'{"n":1}', b'{"n":[1,2]}', b"nothing", b'{"n":"a"}']),
    )
)
def test_there_is_a_reason_exactly_if_it_does_not_match(everything: Explainer, event: Event) -> None:
    for found in everything.explain(event, "a"):
        assert found.matched != bool(found.why_not)
        assert (found.sent is not None) == (found.matched and found.rejected is None)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    """A config with a subscription in each language."""
    file = tmp_path_factory.mktemp("explain") / "a.yaml"
    file.write_text(
        "region: a\ndata: .\nsinks: {out: {file: {path: ./out}}}\nsubscriptions:\n"
        "  f: {filter: {any: [{exact: {subject: a}}, {match: {data: {n: [1]}}}]}, to: out}\n"
        "  m: {match: {data: {n: [1, {exists: false}]}, subject: [a, {exists: false}]}, to: out}\n"
        "  c: {cesql: subject = type OR NOT EXISTS subject, to: out}\n"
        "  l: {cel: 'data.n == 1 || type == subject', to: out}\n"
        "  s: {change: [{set: {subject: '{data.n}'}}], to: out}\n"
        "  r: {change: [{remove: [data.n, subject]}], match: {type: [a]}, to: out}\n"
    )
    return Explainer(load(file))


def test_rules_compiled_one_after_the_other_see_all_they_name(
    explain: Callable[..., Ended], isthmus: Callable[..., Ended], tmp_path: Path
) -> None:
    """The data is looked at anew when a later subscription names more of it; in `isthmus test` too."""
    rules = "match: {data: {n: [1.1]}}, to: out}\n  two: {match: {data: {card: ['4111']}}, to: out}\n"
    rules += "  three: {cel: 'data.list == [1, 2]'"

    ended = explain(rules, "--json")

    assert {name: one["matched"] for name, one in json.loads(ended.out).items()} == {
        "one": True,
        "two": True,
        "three": True,
        "other": False,
    }
    (tmp_path / "tests.yaml").write_text(
        "config: a.yaml\ntests:\n- {name: all, file: event.json, expect: {one: true, two: true, three: true}}\n"
    )
    assert isthmus("test", tmp_path / "tests.yaml").out.endswith("1 passed, 0 failed\n")


def test_a_paused_subscription_is_said_to_be_paused(explain: Callable[..., Ended]) -> None:
    assert "one: is paused; once it goes on:\n" in explain("paused: true").out
    assert json.loads(explain("paused: true", "--json").out)["one"]["paused"] is True
