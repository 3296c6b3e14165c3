"""`isthmus test`: unit tests of a config, which pass exactly if the config does what they expect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

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
keys: {pii: {"1": "${KEY}", "0": "${file:/run/nowhere/key}"}}
sinks: {out: {file: {path: ./out.jsonl}}}
subscriptions:
  orders:
    match: {type: [{prefix: order.}]}
    change: [{mask: {data.card: {hash: pii}}}, {set: {subject: "{data.id}", rush: true}}, {remove: [data.note]}]
    to: out
  far: {from: [b], to: out}
"""
HEAD = """
config: a.yaml
env: {KEY: made-up-for-tests}
files: {/run/nowhere/key: another made-up one}
tests:
"""
EVENT = (
    '{type: order.made, data: {id: "7", net: 120.0, list: [1, {n: 2}], "x.y": true, card: "41", note: n, nil: null}}'
)


@pytest.fixture
def run(tmp_path: Path, isthmus: Callable[..., Ended]) -> Callable[..., Ended]:
    """Run a file of tests, by default of this config."""

    def run(tests: str, *options: object, head: str = HEAD, config: str = CONFIG) -> Ended:
        (tmp_path / "a.yaml").write_text(config)
        (tmp_path / "tests.yaml").write_text(head + tests, encoding="utf-8")
        return isthmus("test", tmp_path / "tests.yaml", *options)

    return run


def one(expect: str, more: str = "", event: str = EVENT) -> str:
    return f"  - {{name: it, event: {event}, expect: {{{expect}}}{more}}}\n"


@pytest.mark.parametrize(
    "expect",
    [
        "orders: true",
        "orders: true, far: false",
        "orders: {}",
        "orders: {subject: '7', rush: true, type: order.made, source: /isthmus/test, id: '1', specversion: '1.0'}",
        "orders: {data.net: 120, data.list: [1, {n: 2.0}], data.list.0: 1, data.list.1.n: 2, data.x.y: true}",
        "orders: {data.note: null, data.nil: null, data.nil.x: null, data.list.2: null, partitionkey: null}",
        f"orders: {{? data.list.{'9' * 5000} : null, data.list.-1: null, data.list.x: null, data.id.0: null}}",
        "orders: {datacontenttype: application/json}",
    ],
)
def test_what_is_as_expected_passes(expect: str, run: Callable[..., Ended]) -> None:
    ended = run(one(expect))

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[-1] == "1 passed, 0 failed"


@pytest.mark.parametrize(
    ("expect", "problem"),
    [
        ("", "orders: matches, and is not expected to (say `others: allowed` if it may)"),
        ("orders: false", "orders: matches, expected it not to"),
        ("orders: true, far: true", "far: does not match: subscriptions.far.from: expected an event that came in at b"),
        ("orders: {subject: 7}", 'orders: subject: expected 7, sent "7"'),
        ("orders: {rush: 1}", "orders: rush: expected 1, sent true"),
        ("orders: {data.list.0: true}", "orders: data.list.0: expected true, sent 1"),
        ("orders: {data.list: [true, {n: 2}]}", "orders: data.list: expected [true, "),
        ("orders: {data.list: [1]}", "orders: data.list: expected [1], sent [1, "),
        ("orders: {data.list: [1, {n: 2, m: 3}]}", "orders: data.list: expected [1, "),
        ("orders: {data.note: n}", 'orders: data.note: expected "n", sent nothing'),
        ("orders: {data.net: null}", "orders: data.net: expected nothing, sent 120.0"),
        ("orders: {data.gone: 1, subject: '8'}", "orders: data.gone: expected 1, sent nothing"),
        ("orders: 5", "orders: expected true, false or a mapping in the test, got 5"),
        ("orders: null", "orders: expected true, false or a mapping in the test, got nothing"),
        ("orders: {rejected: data.id}", "orders: is sent, expected a change to fail with 'data.id'"),
    ],
)
def test_what_is_not_as_expected_fails_with_what_was_sent(expect: str, problem: str, run: Callable[..., Ended]) -> None:
    ended = run(one(expect))

    head, first, *_, last = ended.out.splitlines()
    assert (ended.code, head.startswith("FAILED "), last) == (1, True, "0 passed, 1 failed")
    assert first.startswith(f"  {problem}")


REFUSED = "{type: order.made, data: {card: '41'}}"


@pytest.mark.parametrize(
    ("expect", "passes"),
    [
        ("orders: {rejected: data.id is not there}", True),
        ("orders: {rejected: ''}", True),
        ("orders: {rejected: data.name}", False),
        ("orders: true", False),
        ("orders: {subject: null}", False),
        ("orders: false", False),
    ],
)
def test_a_change_may_be_expected_to_fail(expect: str, passes: bool, run: Callable[..., Ended]) -> None:
    assert run(one(expect, event=REFUSED)).code == (0 if passes else 1)


def test_others_may_match_if_the_test_says_so(run: Callable[..., Ended]) -> None:
    assert run(one("far: false")).code == 1
    assert run(one("far: false", ", others: allowed")).code == 0
    assert run(one("", ", others: allowed")).code == 0


def test_an_event_came_in_at_a_region(run: Callable[..., Ended]) -> None:
    assert run(one("far: true, orders: false", ", from: b")).code == 0
    assert run(one("far: true", ", from: b", "{}")).code == 0
    assert run(one("far: true", ", from: a", "{}")).code == 1


def test_references_get_made_up_values(run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    """`env` stands before the process's environment, `files` before the disk; a mask hashes with what they say."""
    monkeypatch.setenv("KEY", "not-this-secret-one")
    hashed = one("orders: {data.card: 'x'}")

    masked = [
        run(hashed, head=HEAD.replace(text, instead)).out.splitlines()[1]
        for text, instead in (("", ""), ("made-up-for-tests", "another-made-up-one"), ("another made-up one", "y" * 20))
    ]

    assert masked[0] != masked[1]
    assert masked[0] == masked[2], "the key of files is not the current one"
    without = run(hashed, head=HEAD.replace("files: {/run/nowhere/key: another made-up one}\n", ""))
    assert (without.code, "file /run/nowhere/key cannot be read" in without.err) == (2, True)
    assert run(hashed, head=HEAD.replace("env: {KEY: made-up-for-tests}\n", "")).code == 1


@pytest.mark.parametrize("content", ["{event}", "\ufeff{event}\r\n", "[\n{event}\n]"])
def test_an_event_may_stand_in_a_file(content: str, run: Callable[..., Ended], tmp_path: Path) -> None:
    event = '{"specversion":"1.0","id":"f","source":"/s","type":"order.made","data":{"id":"8"}}'
    (tmp_path / "event.json").write_text(content.replace("{event}", event), encoding="utf-8")

    assert run("  - {name: it, file: event.json, expect: {orders: {id: f, subject: '8'}}}\n").code == 0


WRONG = """  - name: first
    event: {type: order.made, data: {id: 7}}
    from: c
    expect:
      orders: {rejected: subject}
      order: true
  - {name: second, expect: {}}
  - {name: third, event: {}, file: x, expect: {}}
  - name: fourth
    event: {type: 5}
    expect: {}
  - name: fifth
    file: nope.json
    expect: {}
  - name: sixth
    event: {subject: 5}
    expect: {}
  - name: seventh
    event: {Type: x}
    expect: {}
"""


def test_all_that_is_wrong_with_a_file_is_told_with_its_lines_before_anything_runs(
    run: Callable[..., Ended], tmp_path: Path
) -> None:
    ended = run(WRONG, "--junit", tmp_path / "report.xml")

    begin = HEAD.count("\n")
    assert (ended.code, ended.out) == (2, "")
    told = [line.removeprefix(f"{tmp_path / 'tests.yaml'}:") for line in ended.err.splitlines()]
    for line, (number, what) in zip(
        told,
        [
            (3, "tests[0].from: unknown region 'c', expected one of a, b"),
            (6, "tests[0].expect.order: unknown subscription 'order', expected one of far, orders; did you mean"),
            (7, "tests[1]: expected either event: or file:"),
            (8, "tests[2]: expected either event: or file:"),
            (10, "tests[3].event: not a CloudEvent: type: "),
            (13, f"tests[4].file: {tmp_path / 'nope.json'}: cannot be read"),
            (16, "tests[5].event: "),
            (19, "tests[6].event: not a CloudEvent: "),
        ],
        strict=True,
    ):
        assert line.startswith(f"{begin + number}: {what}")
    assert not (tmp_path / "report.xml").exists()


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "expected a mapping"),
        ("[]", 1, "expected a mapping"),
        (
            'config: a.yaml\ntests:\n  - {name: "\\ud800", event: {}, expect: {}}\n',
            3,
            "tests[0].name: '\\ud800' has half",
        ),
        ("config: a.yaml\n", 1, "tests: missing"),
        ("config: a.yaml\ntests: []\n", 2, "tests: expected at least 1"),
        ("config: a.yaml\n\ntests:\n  - {}\n", 4, "tests[0].name: missing"),
        ("config: a.yaml\ntests:\n  - {name: x, evnt: {}, expect: {}}\n", 3, "tests[0].evnt: unknown key 'evnt'"),
        ("config: a.yaml\ntests:\n  - {name: x, event: 5, expect: {}}\n", 3, "tests[0].event: expected a mapping"),
        ("config: a.yaml\ntests:\n  - {name: x, event: {}, expect: []}\n", 3, "tests[0].expect: expected a mapping"),
        ("config: a.yaml\ntests:\n  - {name: x, event: {}, expect: {}, others: no}\n", 3, "tests[0].others: expected"),
        ("config: a.yaml\nenv: {A: 5}\ntests:\n  - {name: x, event: {}, expect: {}}\n", 2, "env.A: expected a string"),
        ("config: a.yaml\ntests:\n  - {name: x\n", 4, "not YAML: "),
    ],
)
def test_a_file_that_is_no_suite_is_told_with_its_line(
    text: str, line: int, what: str, run: Callable[..., Ended], tmp_path: Path
) -> None:
    ended = run("", head=text)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"{tmp_path / 'tests.yaml'}:{line}: {what}")


def test_a_config_that_is_wrong_or_absent_is_told(run: Callable[..., Ended], tmp_path: Path) -> None:
    wrong = run(one("orders: true"), config=CONFIG.replace("[{prefix: order.}]", "x"))
    absent = run(one("orders: true"), head=HEAD.replace("a.yaml", "b.yaml"))

    assert (wrong.code, absent.code) == (2, 2)
    assert wrong.err.startswith(f"{tmp_path / 'a.yaml'}:9: subscriptions.orders.match.type: ")
    assert absent.err == f"{tmp_path / 'b.yaml'}: cannot be read: No such file or directory\n"


def test_quiet_prints_failures_only(run: Callable[..., Ended]) -> None:
    tests = one("orders: true") + one("orders: false")

    assert [line.split()[0] for line in run(tests).out.splitlines()] == ["passed", "FAILED", "orders:", "1"]
    assert [line.split()[0] for line in run(tests, "--quiet").out.splitlines()] == ["FAILED", "orders:", "1"]


HOSTILE = r"\e[31m<red>&\"' \x9b \u202e \uFFFE ]]>"


def test_the_report_is_what_ci_systems_read(run: Callable[..., Ended], tmp_path: Path) -> None:
    """A suite a file, a case a test, a failure with its place; valid XML, whatever the tests are called."""
    tests = one("orders: true") + one("orders: false, far: true") + one("orders: true").replace("it", f'"{HOSTILE}"', 1)

    ended = run(tests, "--junit", tmp_path / "report.xml")

    root = ET.parse(tmp_path / "report.xml").getroot()
    (suite,) = root
    cases = list(suite)
    failures = [case.find("failure") for case in cases]
    assert (root.tag, suite.tag, [case.tag for case in cases]) == ("testsuites", "testsuite", ["testcase"] * 3)
    assert {name: suite.get(name) for name in ("name", "tests", "failures", "errors", "skipped")} == {
        "name": str(tmp_path / "tests.yaml"),
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "0",
    }
    assert sum(float(case.get("time", "-1")) for case in cases) == pytest.approx(
        float(suite.get("time", "-1")), abs=1e-5
    )
    assert [failure is None for failure in failures] == [True, False, True]
    assert failures[1] is not None
    assert failures[1].get("message") == "orders: matches, expected it not to"
    assert str(failures[1].text).splitlines()[0] == f"{tmp_path / 'tests.yaml'}:{HEAD.count(chr(10)) + 2}"
    assert len(str(failures[1].text).splitlines()) == 3
    assert all(line.isprintable() for line in ended.out.splitlines())
    assert "<red>&\"'" in str(cases[2].get("name"))


def test_several_files_are_several_suites(
    run: Callable[..., Ended], tmp_path: Path, isthmus: Callable[..., Ended]
) -> None:
    run(one("orders: true"))
    (tmp_path / "more.yaml").write_text(HEAD + one("orders: false"))

    ended = isthmus("test", tmp_path / "tests.yaml", tmp_path / "more.yaml", "--junit", tmp_path / "report.xml")

    assert (ended.code, ended.out.splitlines()[-1]) == (1, "1 passed, 1 failed")
    assert [suite.get("failures") for suite in ET.parse(tmp_path / "report.xml").getroot()] == ["0", "1"]


def test_a_report_that_cannot_be_written_is_exit_code_1(run: Callable[..., Ended], tmp_path: Path) -> None:
    ended = run(one("orders: true"), "--junit", tmp_path / "nowhere" / "report.xml")

    assert ended.code == 1
    assert "report.xml" in ended.err


def test_it_says_what_explain_says(run: Callable[..., Ended], tmp_path: Path, isthmus: Callable[..., Ended]) -> None:
    """Of an event that does not match, the same reasons."""
    event = {"specversion": "1.0", "id": "1", "source": "/isthmus/test", "type": "x"}
    (tmp_path / "event.json").write_text(json.dumps(event))
    config = CONFIG.replace("${KEY}", "0123456789abcdef").replace("${file:/run/nowhere/key}", "0123456789abcdef")
    ended = run(one("orders: true", event="{type: x}"), config=config)

    explained = isthmus("explain", tmp_path / "event.json", "-c", tmp_path / "a.yaml", "-s", "orders", "--json")

    (reason,) = json.loads(explained.out)["orders"]["why_not"]
    assert f"  orders: does not match: {reason}" in ended.out.splitlines()
