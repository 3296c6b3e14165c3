"""`isthmus import` as a user types it, and the guide about it."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest

from gateway.app.config import load
from gateway.app.foreign_fragment import NO_SINK
from gateway.app.foreign_reading import MAX_BYTES
from tests.app.guides import Guide, printed
from tests.app.test_cli import isthmus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.app.test_cli import Ended

__all__ = ["isthmus"]

GUIDE = Guide("import-filters.md")
RULE = '{"Name": "stopped", "EventPattern": "{\\"source\\": [\\"aws.ec2\\"], \\"resources\\": [\\"a\\"]}"}'
CONFIG = "region: eu\ndata: ./data\nsinks: {out: {file: {path: ./out.jsonl}}}\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a file to import."""
    monkeypatch.chdir(tmp_path)

    def file(text: str) -> Path:
        path = tmp_path / "Old_rule.json"
        path.write_text(text, encoding="utf-8")
        return path

    return file


@pytest.mark.parametrize("command", ["eventmesh-filter", "sns-filter-policy", "eventbridge-rule"])
def test_every_import_explains_itself(command: str, isthmus: Callable[..., Ended]) -> None:
    ended = isthmus("import", command, "--help")

    assert ended.code == 0
    assert f"isthmus import {command} [OPTIONS] FILE" in " ".join(ended.out.split())


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("eventmesh-filter", '{"type": [{"prefix": "order"}], "data": {"total": [{"numeric": [">", 5, "!=", 7]}]}}'),
        ("sns-filter-policy", '{"Attributes": {"FilterPolicy": "{\\"a\\": [\\"${x}\\", {\\"prefix\\": \\"NO\\"}]}"}}'),
        (
            "sns-filter-policy",
            '{"FilterPolicyScope": "MessageBody", "FilterPolicy": {"$or": [{"a": [1]}, {"b": [null]}]}}',
        ),
        ("sns-filter-policy", "{}"),
        ("eventbridge-rule", RULE),
        ("eventbridge-rule", f'[{RULE}, {{"EventPattern": {{"detail": {{"a.b": [1.5, "1.5", true]}}}}}}]'),
    ],
)
def test_check_takes_what_is_printed(
    command: str, text: str, isthmus: Callable[..., Ended], file: Callable[[str], Path], tmp_path: Path
) -> None:
    """The fragment after a config without subscriptions is a config whose patterns are those of --pattern."""
    old = file(text)
    printed = isthmus("import", command, old, "--to", "out")
    patterns = isthmus("import", command, old, "--pattern").out.splitlines()
    config = tmp_path / "node.yaml"
    config.write_text(CONFIG + printed.out, encoding="utf-8")

    ended = isthmus("check", config)

    assert (printed.code, ended.code, ended.err) == (0, 0, "")
    assert [one.match for one in load(config).subscriptions.values()] == [json.loads(line) for line in patterns]


def test_the_sink_that_was_not_named_is_asked_for(
    isthmus: Callable[..., Ended], file: Callable[[str], Path], tmp_path: Path
) -> None:
    config = tmp_path / "node.yaml"
    config.write_text(CONFIG + isthmus("import", "eventbridge-rule", file(RULE)).out, encoding="utf-8")

    ended = isthmus("check", config)

    assert ended.code == 2
    assert f"subscriptions.stopped.to: unknown sink '{NO_SINK}'" in ended.err


def test_what_there_is_to_say_goes_to_standard_error(
    isthmus: Callable[..., Ended], file: Callable[[str], Path]
) -> None:
    """With --json it is in the document; of several filters each says its name."""
    ended = isthmus("import", "eventbridge-rule", file(RULE))
    assert ended.err.startswith("warning: EventPattern.resources: compared with subject")
    assert "warning" not in ended.out

    ended = isthmus("import", "eventbridge-rule", file(RULE), "--json")
    found = json.loads(ended.out)
    assert ended.err == ""
    assert found == {
        "name": "stopped",
        "pattern": {"source": ["aws.ec2"], "subject": ["a"]},
        "notes": [],
        "warnings": [found["warnings"][0]],
    }

    several = isthmus("import", "eventbridge-rule", file(f"[{RULE}, {RULE}]"))
    assert [line.split(": [")[0] for line in several.err.splitlines() if line.startswith("warning")] == [
        "warning: stopped",
        "warning: stopped-2",
    ]
    assert [
        one["name"] for one in json.loads(isthmus("import", "eventbridge-rule", "Old_rule.json", "--json").out)
    ] == [
        "stopped",
        "stopped-2",
    ]


def test_names_come_from_the_file_or_the_user(isthmus: Callable[..., Ended], file: Callable[[str], Path]) -> None:
    bare = file('{"source": ["a"]}')

    assert "\n  old-rule:\n" in isthmus("import", "eventbridge-rule", bare).out
    assert "\n  mine:\n" in isthmus("import", "eventbridge-rule", bare, "--name", "mine").out
    assert isthmus("import", "eventbridge-rule", bare, "--name", "Mine").code == 2
    assert isthmus("import", "eventbridge-rule", bare, "--to", "no sink").code == 2
    assert isthmus("import", "eventbridge-rule", file(f"[{RULE}, {RULE}]"), "--name", "mine").code == 2


def test_standard_input_is_read(isthmus: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"source": ["a"]}')))

    assert "\n  imported:\n" in isthmus("import", "eventmesh-filter", "-").out


def test_a_file_is_written_but_never_over_another(
    isthmus: Callable[..., Ended], file: Callable[[str], Path], tmp_path: Path
) -> None:
    old = file(RULE)
    printed = isthmus("import", "eventbridge-rule", old)

    written = isthmus("import", "eventbridge-rule", old, "--output", tmp_path / "new.yaml")
    again = isthmus("import", "eventbridge-rule", old, "-o", tmp_path / "new.yaml", "--pattern")
    nowhere = isthmus("import", "eventbridge-rule", old, "-o", tmp_path / "no" / "new.yaml")

    assert (written.out, written.err) == ("", printed.err)
    assert (tmp_path / "new.yaml").read_text(encoding="utf-8") == printed.out
    assert (again.code, again.err) == (
        2,
        f"{tmp_path / 'new.yaml'}: is there already, expected the name of a new file\n",
    )
    assert nowhere.code == 2


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("{", ["not a JSON text: "]),
        ('{"source": ["a"], "source": ["b"]}', ["source: stands here twice"]),
        (
            '{"source": "a", "detail": {"b": [{"c\\n": 1}]}}',
            ["source: expected", "detail.b[0]: 'c\\n' is not an operator"],
        ),
        (" " * (MAX_BYTES + 1), ["larger than"]),
    ],
)
def test_all_that_is_wrong_is_told_with_file_and_place(
    text: str, problems: list[str], isthmus: Callable[..., Ended], file: Callable[[str], Path]
) -> None:
    """Exit code 2, nothing on standard output."""
    path = file(text)

    ended = isthmus("import", "eventbridge-rule", path)

    assert (ended.code, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == len(problems)
    for line, problem in zip(ended.err.splitlines(), problems, strict=True):
        assert line.startswith(f"{path}: {problem}")


def test_a_wrong_command_line_is_exit_code_2(isthmus: Callable[..., Ended], file: Callable[[str], Path]) -> None:
    old = file(RULE)

    assert isthmus("import", "eventbridge-rule", old, "--pattern", "--json").code == 2
    assert isthmus("import", "eventbridge-rule", old, "--extension", "source=x").code == 2
    assert (
        isthmus("import", "eventbridge-rule", "no-such.json").err
        == "no-such.json: cannot be read: No such file or directory\n"
    )
    assert isthmus("import", "eventbridge-rule", ".").code == 2
    assert isthmus("import", "sns-filter-policy", old, "--attributes", "nowhere").code == 2
    assert isthmus("import", "eventbridge-rule").code == 2


@pytest.mark.parametrize("console", GUIDE.consoles)
def test_the_guide_shows_what_is_printed(
    console: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isthmus: Callable[..., Ended]
) -> None:
    GUIDE.write(tmp_path)
    monkeypatch.chdir(tmp_path)

    assert printed(console, isthmus) == console


def test_the_guide_has_files_and_commands() -> None:
    assert len(GUIDE.files) >= 4
    assert len(GUIDE.consoles) >= 4
