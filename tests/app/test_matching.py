"""`isthmus match`: a grep for events, and the cases it answers."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from gateway.app import cases, documents
from tests.app.test_cli import isthmus
from tests.codec.corpora import text_of
from tests.rules.test_cesql import FULL, conformance
from tests.rules.test_pattern import DIFFERENCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.app.test_cli import Ended

__all__ = ["isthmus"]

ISTHMUS = (sys.executable, "-m", "gateway.app.cli")
MARK = b"\xef\xbb\xbf"
HEAD = '"specversion":"1.0","source":"/s"'
A = f'{{{HEAD},"id":"1","type":"a","data":{{"n":1.10}}}}'
B = f'{{{HEAD},"id":"2","type":"b","data":{{"n":2}}}}'
PRETTY = f'{{{HEAD},\n  "id":"1",\r\n "type":"a",\n\n"data":{{"n": 1.10 }}}}'


def shell(*arguments: object, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command line as a process."""
    command = [*ISTHMUS, *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, timeout=60, check=False)


def answered(folder: Path, lines: Iterable[object]) -> list[Any]:
    file = folder / "cases.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ended = shell("match", "--cases", file)
    assert (ended.returncode, ended.stderr) == (0, b"")
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (f"{A}\n{B}\n{A}\n".encode(), [A, A]),
        (f"{A}\r\n\r\n \t\r\n{A}\r\n".encode(), [A, A]),
        (MARK + f"{A}\n{B}".encode(), [A]),
        (MARK + f"\r\n{PRETTY}".encode(), [A]),
        (f"[{A}]\n{A}\n[]\n".encode(), [A, A]),
        (f"[\n{PRETTY},\n{B}]\n{PRETTY}{A}".encode(), [A, A, A]),
        (f"{PRETTY}\n{B}\n{A}\n".encode(), [A, A]),
        (f"{A} {A}{B}".encode(), [A, A]),
        (A.replace(",", ",\r").encode(), [A]),
        (f'{{{HEAD},"id":"1","type":"a","data":"{"x" * 5_000_000}"}}\n{A}'.encode(), 2),
    ],
)
def test_documents_come_as_people_have_them(
    content: bytes, found: list[str] | int, tmp_path: Path, isthmus: Callable[..., Ended]
) -> None:
    """One line for each that matches, every number and string as it stood."""
    (tmp_path / "events").write_bytes(content)

    ended = isthmus("match", "--cesql", "type = 'a'", tmp_path / "events")

    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert len(lines) == found if isinstance(found, int) else lines == found


@pytest.mark.parametrize(
    ("option", "text", "ids"),
    [
        ("--pattern", '{"data": {"n": [{"numeric": [">", 1.5]}]}}', ["2"]),
        ("--cesql", "type = 'a' AND source LIKE '/%'", ["1"]),
        ("--filter", '{"not": {"exact": {"type": "a"}}}', ["2"]),
        ("--filter", '[{"match": {"data": {"n": [2]}}}, {"sql": "TRUE"}]', ["2"]),
        ("--cel", "data.n > 1.5", ["2"]),
    ],
)
def test_every_language_chooses_and_its_inverse_is_the_rest(
    option: str, text: str, ids: list[str], tmp_path: Path, isthmus: Callable[..., Ended]
) -> None:
    (tmp_path / "events").write_text(f"{A}\n{B}\n")
    (tmp_path / "asked").write_bytes(MARK + text.encode() + b"\n")
    rest = [one for one in ("1", "2") if one not in ids]

    for asked in (text, f"@{tmp_path / 'asked'}"):
        for more, expected in (((), ids), (("--invert",), rest)):
            ended = isthmus("match", option, asked, tmp_path / "events", *more)
            counted = isthmus("match", option, asked, tmp_path / "events", "--count", *more)

            assert [json.loads(line)["id"] for line in ended.out.splitlines()] == expected
            assert counted.out == f"{len(expected)}\n"
            assert ended.code == counted.code == (0 if expected else 1)


def test_files_are_read_one_after_the_other_and_standard_input_is_a_dash(
    tmp_path: Path, isthmus: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text(A)
    (tmp_path / "empty").touch()

    for files in (["-", tmp_path / "a", tmp_path / "empty"], []):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{B}\n{A}".encode())))
        ended = isthmus("match", "--cesql", "TRUE", *files)
        assert ended.out.splitlines() == [B, A, A][: 3 if files else 2]

    assert isthmus("match", "--cesql", "TRUE", tmp_path / "empty") == (1, "", "")
    assert isthmus("match", "--cesql", "TRUE", tmp_path / "empty", "-c") == (1, "0\n", "")


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        (f'{A}\n{A}\n{{"a":\n{A}\n'.encode(), 3, "not JSON: "),
        (f"{A}\n{A}\nnothing\n".encode(), 3, "not JSON: "),
        (f"{PRETTY}\n{A}\n\nnothing\n".encode(), 8, "not JSON: "),
        (b"\n\n{\n\n1:2}", 5, "not JSON: "),
        (f"{PRETTY}".encode() + b'{"\xff":1}', 5, "not JSON: not UTF-8"),
        (A.encode("utf-16"), 1, "not JSON: not UTF-8"),
        (b"[" * 100_000, 1, "not JSON: nested too deeply"),
        (b'{"a":\n' * 100_000, 1, "not JSON: nested too deeply"),
        (b"{}\n" + b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 2, "not JSON: nested too deeply"),
    ],
)
def test_what_is_not_json_is_named_by_file_and_line(
    content: bytes, line: int, what: str, tmp_path: Path, isthmus: Callable[..., Ended]
) -> None:
    """What came before it is printed."""
    (tmp_path / "events").write_bytes(content)

    ended = isthmus("match", "--pattern", '{"type": ["a"]}', tmp_path / "events")

    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert ended.err.startswith(f"{tmp_path / 'events'}:{line}: {what}")
    assert set(ended.out.splitlines()) <= {A}


def test_a_line_has_a_bound(tmp_path: Path, isthmus: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_BYTES", 1000)
    for text in (f"{A}\n{A}{' ' * 1000}\n", f"{PRETTY}{' ' * 1000}\n"):
        (tmp_path / "events").write_text(text)

        ended = isthmus("match", "--cesql", "TRUE", tmp_path / "events")

        assert ended.code == 2
        assert "1000 bytes" in ended.err


def test_many_documents_in_one_file_take_time_in_proportion(tmp_path: Path, isthmus: Callable[..., Ended]) -> None:
    (tmp_path / "events").write_text(f"{PRETTY}\n" + f"{A}\n" * 250_000)

    assert isthmus("match", "--pattern", '{"type": ["z"]}', "--count", tmp_path / "events").out == "0\n"


def test_what_is_no_event_is_told_and_the_others_are_found(tmp_path: Path, isthmus: Callable[..., Ended]) -> None:
    (tmp_path / "events").write_text(f'{A}\n[1, {{"type": "a"}}]\n{A}\n')

    ended = isthmus("match", "--cesql", "type = 'a'", tmp_path / "events")
    asked = isthmus("match", "--pattern", '{"type": ["a"]}', tmp_path / "events")

    assert (ended.code, ended.out) == (1, f"{A}\n{A}\n")
    assert [line.partition(": not a CloudEvent: ")[0] for line in ended.err.splitlines()] == [
        f"{tmp_path / 'events'}:2[{index}]" for index in (0, 1)
    ]
    assert (asked.code, asked.out.splitlines(), asked.err) == (0, [A, '{"type": "a"}', A], "")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "what to match?"),
        (["--cesql", "TRUE", "--pattern", "{}"], "what to match?"),
        (["--cases", "x", "events"], "what to match?"),
        (["--pattern", '{"a":[1'], "--pattern: not a JSON text: "),
        (["--pattern", '{"a":1}'], "--pattern.a: "),
        (["--pattern", "[" * 100_000], "--pattern: "),
        (["--pattern", "@nope"], "--pattern: nope cannot be read: No such file"),
        (["--filter", "{"], "--filter: not a JSON text: "),
        (["--filter", "\udcff"], "--filter: not a JSON text: "),
        (["--filter", '{"exact": {"q-q": "x"}}'], "--filter.exact: 'q-q' is not an attribute's name"),
        (["--cesql", "type ="], "--cesql: line 1, column 7: "),
        (["--cel", "type =="], "--cel: does not compile: "),
        (["--cesql", "TRUE", "nope"], "nope: cannot be read: No such file"),
        (["--cesql", "TRUE", "."], ".: cannot be read: Is a directory"),
        (["--cases", "nope"], "nope: cannot be read: No such file"),
        (["--cases", "."], ".: cannot be read: Is a directory"),
    ],
)
def test_a_wrong_question_is_exit_code_2(arguments: list[str], what: str, isthmus: Callable[..., Ended]) -> None:
    ended = isthmus("match", *arguments)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(what)
    assert len(ended.err) < 500


@pytest.mark.parametrize("question", ["--cesql", "--cases"])
def test_who_reads_no_further_is_not_complained_about(question: str, tmp_path: Path) -> None:
    line = A if question == "--cesql" else f'{{"cesql": "TRUE", "event": {A}}}'
    (tmp_path / "lines").write_text(f"{line}\n" * 20_000)
    asked = ["--cesql", "TRUE", tmp_path / "lines"] if question == "--cesql" else ["--cases", tmp_path / "lines"]

    command = [*ISTHMUS, "match", *map(str, asked)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        complained = process.stderr.read()

    assert complained == b""
    assert process.returncode in {0, 1}


CASES = [
    ({"pattern": {"a": [1]}, "event": {"a": 1, "b": 2}}, True),
    ({"pattern": {"a": [1]}, "event": [1]}, False),
    ({"pattern_text": '{"a":[1]}', "event_text": '{"a":1.0}', "id": "more", "expect": 5}, True),
    ({"pattern": {"a": [2]}, "pattern_text": '{"a":[1]}', "event": {"a": 2}, "event_text": '{"a":1}'}, True),
    ({"filter": {"exact": {"type": "a"}}, "event": json.loads(A)}, True),
    ({"filter": [], "event": json.loads(A)}, True),
    ({"filter": None, "event": json.loads(A)}, True),
    ({"filter": {"match": {"data": {"n": [1.1]}}}, "event": json.loads(A)}, True),
    ({"cel": "data.n > 2.0", "event": json.loads(A)}, False),
    ({"cesql": "type", "event": json.loads(A)}, {"value": "a", "error": None}),
    ({"cesql": "1 + 1", "event_text": A}, {"value": 2, "error": None}),
    ({"cesql": "subject", "event": json.loads(A)}, {"value": False, "error": "missingAttribute"}),
    ({"cesql": "1 +", "event": json.loads(A)}, {"value": None, "error": "parse"}),
]


def test_a_case_is_answered_in_its_language(tmp_path: Path) -> None:
    assert answered(tmp_path, [case for case, _ in CASES]) == [answer for _, answer in CASES]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"nothing", "not a case: "),
        (b"[]", "not a case: "),
        (b'{"pattern":{"a":[1]}}', "not a case: expected an event"),
        (b'{"event":{}}', "not a case: expected an event"),
        (b'{"event":{},"cesql":"TRUE","cel":"true"}', "not a case: expected an event"),
        (b'{"event":{},"cesql":5}', "not a case: Expected `str`"),
        (b'{"event":{},"cesql":"\xff"}', "not a case: "),
        (b'{"event":{},"pattern_text":"\\ud800"}', "not a case: "),
        (b'{"event":{},"pattern":' + b"[" * 100_000, "not a case: nested too deeply"),
        (b'{"event":' + b"[" * 5000 + b"]" * 5000 + b',"pattern":{"a":[1]}}', "not a case: nested too deeply"),
        (b'{"event":{},"pattern":{"a":1}}', "pattern.a: "),
        (b'{"event":{},"pattern_text":"{"}', "not a JSON text: "),
        (b'{"event":{},"filter":{"exact":{}}}', "filter.exact: "),
        (b'{"event":{},"filter":{"exact":{"type":"a"}}}', "event: specversion: missing"),
        (b'{"event":5,"cel":"true"}', "event: "),
        (b'{"event_text":"","pattern":{"a":[1]}}', "event: not a JSON text"),
    ],
)
def test_a_wrong_case_is_answered_with_what_is_wrong(line: bytes, what: str) -> None:
    answer = cases.answer(line)

    assert isinstance(answer, dict)
    assert str(answer["error"]).startswith(what)


def test_an_answer_about_cesql_has_a_value_and_an_error_also_when_there_is_no_event() -> None:
    answer = cases.answer(b'{"cesql":"TRUE","event":{}}')

    assert answer == {"value": None, "error": 'event: specversion: missing; expected "1.0"'}


def test_lines_may_end_as_they_like(tmp_path: Path) -> None:
    line = b'{"pattern":{"a":[1]},"event":{"a":1}}'
    given = MARK + line + b"\r\n\r\n \t\n" + line + b"\nno case\n" + line

    ended = shell("match", "--cases", "-", given=given)

    assert [json.loads(one) is True for one in ended.stdout.splitlines()] == [True, True, False, True]
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert shell("match", "--cases", "-").stdout == b""


def test_a_line_that_is_too_long_is_one_wrong_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is, no more than a chunk beyond the bound is kept."""
    monkeypatch.setattr(cases, "MAX_LINE", 1000)
    monkeypatch.setattr(cases, "CHUNK", 300)
    monkeypatch.setattr(cases, "MOST_HELPERS", 1)
    line = b'{"pattern":{"a":[1]},"event":{"a":1}}\n'
    given = line * 3 + b"x" * 100_000 + b"\n" + line * 20 + b"y" * 1001

    found = b"".join(cases.answers(io.BytesIO(given)))  # type: ignore[arg-type]  # as much of a stream as is needed

    long = b'{"error":"not a case: longer than 1000 bytes"}\n'
    assert found == b"true\n" * 3 + long + b"true\n" * 20 + long


def test_a_case_is_answered_before_the_next_one_comes() -> None:
    """So that another program can hold a conversation."""
    command = [*ISTHMUS, "match", "--cases", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(20):
            case = {"pattern": {"a": [number]}, "event": {"a": number % 3}}
            process.stdin.write(json.dumps(case).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) is (number < 3)
        process.stdin.close()

    assert process.returncode == 0


def fresh(language: str, count: int) -> list[dict[str, object]]:
    """Cases with another question each; half of them pass."""
    rnd = random.Random(3)
    event = {**json.loads(A), "subject": "s", "datacontenttype": "application/json"}
    asked: dict[str, Callable[[int, str], object]] = {
        "pattern": lambda n, t: {
            "type": [{"prefix": f"x{n}"}, t],
            "data": {"n": [{"numeric": ["<", n + 5]}], "zone": [{"exists": False}, f"z{n}"]},
        },
        "filter": lambda n, t: {"all": [{"exact": {"type": t}}, {"not": {"suffix": {"source": f"/{n}"}}}]},
        "cesql": lambda n, t: f"type = '{t}' AND (subject LIKE 's%' OR LENGTH(source) > {n})",
        "cel": lambda n, t: f"type == '{t}' && data.n < {n + 5}.0",
    }
    return [
        {language: asked[language](number, rnd.choice("ab")), "event": {**event, "id": str(number)}}
        for number in range(count)
    ]


@pytest.mark.integration
@pytest.mark.parametrize("language", ["pattern", "filter", "cesql", "cel"])
def test_twenty_thousand_questions_are_answered_in_order(language: str, tmp_path: Path) -> None:
    given = fresh(language, 20_000)

    began = time.monotonic()
    found = answered(tmp_path, given)

    print(f"{language}: {len(given) / (time.monotonic() - began):.0f} lines a second, with the start of the process")
    passed = [answer["value"] if language == "cesql" else answer for answer in found]
    assert passed == [any(sign in json.dumps(case[language]) for sign in ('"a"', "'a'")) for case in given]


def test_the_corpora_of_patterns_are_answered_as_they_expect(tmp_path: Path) -> None:
    """All of both files, but for the differences that tests/rules/test_pattern.py gives reasons for."""
    lines = [json.loads(line) for line in text_of("event-patterns/event-ruler.jsonl").splitlines()]
    lines += json.loads(text_of("event-patterns/aws-recorded.json"))
    expected = {"match": True, "no-match": False, "error": "error"}

    found = answered(tmp_path, lines)

    said = ["error" if isinstance(answer, dict) else answer for answer in found]
    different = {
        case.get("id") or case["name"]
        for case, answer in zip(lines, said, strict=True)
        if answer != expected.get(case["expect"], case["expect"])
    }
    assert different <= DIFFERENCES.keys()


def test_the_corpus_of_cesql_is_answered_as_it_expects(tmp_path: Path) -> None:
    given = [case.values[0] for case in conformance() if isinstance(case.values[0], dict)]  # type: ignore[attr-defined]
    if not given:
        pytest.skip("no corpus cesql")
    lines = [
        {
            "cesql": str(case["expression"]),
            "event": {"specversion": "1.0", **case.get("event", FULL), **case.get("eventOverrides", {})},
        }
        for case in given
    ]

    found = answered(tmp_path, lines)

    different = [
        (case["name"], answer)
        for case, answer in zip(given, found, strict=True)
        if (answer["error"], answer["value"])
        != (case.get("error"), None if case.get("error") == "parse" else case["result"])
    ]
    assert not different
    assert len(found) == len(given)


def test_the_corpus_of_filters_is_answered_as_it_expects(tmp_path: Path) -> None:
    """Names that no attribute can have never pass there; here they are told, so they do not pass either."""
    given = json.loads(text_of("subscription-filters/exact-prefix-suffix.json"))

    found = answered(tmp_path, given)

    assert [answer is True for answer in found] == [case["expect"] != "FailFilter" for case in given]
