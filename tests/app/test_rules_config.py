"""Filters, changes and keys in a config: every mistake has its line, no secret is ever shown, and editors know them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from gateway.app import yaml
from gateway.app.config import load
from gateway.app.schema import json_schema
from gateway.core.errors import ConfigError
from tests.app.test_cli import isthmus

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.app.test_cli import Ended

__all__ = ["isthmus"]

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
SECRET = "6b1f0e2c94a7d85310fe2b7c6a9d4e8150c3f7a2b9e6d4018c5a3f7e2d1b0946"
CONFIG = """region: a
data: ./data
federation: {{peers: {{b: [127.0.0.1:9]}}}}
keys: {keys}
sinks: {{out: {{file: {{path: ./out.jsonl}}}}}}
subscriptions:
  one:
    to: out
{more}"""
KEYS = '{pii: {"2": "${file:key}", "1": "${file:old}"}}'


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """A config file whose subscription `one` has these lines too, and files with secrets beside it."""

    def config(*lines: str, keys: str = KEYS) -> Path:
        (tmp_path / "key").write_text(f"{SECRET}\n")
        (tmp_path / "old").write_text("an older secret of it")
        (tmp_path / "short").write_text("sh0rt-secret")
        (tmp_path / "number").write_text("4711")
        (tmp_path / "a.yaml").write_text(CONFIG.format(keys=keys, more="".join(f"    {line}\n" for line in lines)))
        return tmp_path / "a.yaml"

    return config


def problems(file: Path) -> list[str]:
    """What is wrong with the file, `LINE: path: what`."""
    with pytest.raises(ConfigError) as caught:
        load(file)
    begin = f"{file}:"
    assert all(problem.startswith(begin) for problem in caught.value.problems)
    return [problem.removeprefix(begin) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "line",
    [
        "filter: []",
        "filter: null",
        "filter:",
        "filter: {exact: {type: a}}",
        "filter: [{any: [{prefix: {type: a}}, {not: {sql: EXISTS x}}]}, {match: {data: {a: [1]}}}, {cel: 'true'}]",
        "match: {type: [a]}",
        "match: null",
        "cesql: 'TRUE'",
        "cesql: null",
        "cel: type == 'a'",
        "change: []",
        "change: [{mask: {data.a: {hash: pii}}}, {mask: {data.b: {hash: pii@1}, data.c: redact}}, {remove: [data.d]}]",
    ],
)
def test_what_is_right_is_taken_by_load_and_by_the_schema(line: str, config: Callable[..., Path]) -> None:
    file = config(line)

    assert load(file).subscriptions["one"].to == "out"
    if not line.endswith(("null", ":")):  # as for any other key, editors ask to leave out what says nothing
        assert not list(Draft202012Validator(json_schema()).iter_errors(yaml.read(file).value))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["match: {type: [a]}", "cesql: 'TRUE'"], ["10: one.cesql: match is here too, expected at most one of filter"]),
        (
            ["cel: 'true'", "cesql: 'TRUE'", "match: {type: [a]}", "filter: []"],
            [
                "9: one.cel: filter is here too",
                "10: one.cesql: ",
                "11: one.match: filter is here too",
            ],
        ),
        (["cesql: 5"], ["9: one.cesql: expected a CESQL expression, a string, got 5"]),
        (["cesql: []"], ["9: one.cesql: expected a CESQL expression"]),
        (["cesql: ''"], ["9: one.cesql: "]),
        (["cel: 5"], ["9: one.cel: expected a CEL expression, got 5"]),
        (["cel: type =="], ["9: one.cel: does not compile: "]),
        (["cesql: type = 'a' AND"], ["9: one.cesql: line 1, column 15: expected a value"]),
        (
            ["cesql: |", "  type = 'a'", "  AND NOPE(type)"],
            ["9: one.cesql: line 2, column 5: there is no function NOPE"],
        ),
        (["match: []"], ["9: one.match: expected a mapping of fields"]),
        (["match: {}"], ["9: one.match: expected at least one field"]),
        (["match: true"], ["9: one.match: "]),
        (["match: {type: a}"], ["9: one.match.type: "]),
        (
            ["match:", "  type:", "    - a", "    - {prefx: b}", "  data:", "    n: 5", "    m: [{numeric: [x]}]"],
            [
                "12: one.match.type[1]: 'prefx' is not an operator",
                "14: one.match.data.n: ",
                "15: one.match.data.m[0]: ",
            ],
        ),
        (["filter: true"], ["9: one.filter: expected a mapping with one dialect"]),
        (["filter: {}"], ["9: one.filter: expected a mapping with one dialect"]),
        (["filter: ''"], ["9: one.filter: expected a mapping with one dialect"]),
        (
            [
                "filter:",
                "  - exact: {type: a}",
                "  - any:",
                "      - prefix: {type: 5}",
                "      - not:",
                "          exakt: {type: a}",
                "      - all: []",
                "      - sql: type =",
                "      - match:",
                "          type: [a, {cidr: b}]",
            ],
            [
                "12: one.filter[1].any[0].prefix.type: expected a string that is not empty, got 5",
                "13: one.filter[1].any[1].not: 'exakt' is not a dialect",
                "15: one.filter[1].any[2].all: expected a list of at least one filter",
                "16: one.filter[1].any[3].sql: line 1, column 7: expected a value",
                "18: one.filter[1].any[4].match.type[1]: cidr: ",
            ],
        ),
        (["change: {set: {}}"], ["9: one.change: "]),
        (
            ["change:", "  - set: {id: null}", "  - sett: {}", "  - 5"],
            ["10: ", "11: one.change[1]: ", "12: one.change[2]"],
        ),
        (
            ["change:", "  - mask:", "      data.a: {hash: pi}"],
            ["11: one.change[0].mask.data.a.hash: 'pi' is not a key"],
        ),
        (
            ["change: [{mask: {data.a: {hash: pii@3}}}]"],
            ["9: one.change[0].mask.data.a.hash: '3' is not a version of pii"],
        ),
    ],
)
def test_every_mistake_is_named_with_its_line(
    lines: list[str], expected: list[str], config: Callable[..., Path]
) -> None:
    """Also those far inside, all in one run, and each once."""
    found = [problem.replace(": subscriptions.one", ": one") for problem in problems(config(*lines))]

    assert len(found) == len(expected), found
    for problem, begin in zip(found, expected, strict=True):
        assert problem.startswith(begin), found


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ('{pii: {"1": "${file:short}"}}', ["4: keys.pii.1: a secret of 12 bytes, expected 16 to 65536 bytes"]),
        ('{pii: {"1": "${file:number}"}}', ["4: keys.pii.1: a secret of 4 bytes, expected 16 to 65536 bytes"]),
        ("{pii: {}}", ["4: keys.pii: expected a mapping of 1 to 100 versions"]),
        ("{pii: sh0rt-secret}", ["4: keys.pii: expected a mapping of 1 to 100 versions"]),
        ('{pii: {"1": 4711}}', ["4: keys.pii.1: expected a string"]),
        ("{pii: {'1': [sh0rt-secret]}}", ["4: keys.pii.1: expected a string"]),
        ('{pii: {"1": "${file:none}"}}', ["4: keys.pii.1: file none cannot be read: No such file or directory"]),
        ('{pii: {"a b": "${file:key}"}}', ["4: keys.pii: 'a b' is not a version"]),
        ("[sh0rt-secret]", ["4: keys: ", "9: subscriptions.one.change[0].mask.data.a.hash: no key 'pii'"]),
        ("sh0rt-secret", ["4: keys: ", "9: subscriptions.one.change[0].mask.data.a.hash: no key 'pii'"]),
    ],
)
def test_a_wrong_key_is_told_and_who_names_it_is_not_blamed(
    keys: str, expected: list[str], config: Callable[..., Path]
) -> None:
    found = problems(config("change: [{mask: {data.a: {hash: pii}}}]", keys=keys))

    assert len(found) == len(expected), found
    assert [problem for problem, begin in zip(found, expected, strict=True) if not problem.startswith(begin)] == []
    assert not any("sh0rt-secret" in problem or "4711" in problem for problem in found)


def test_the_other_keys_are_known_beside_a_wrong_one(config: Callable[..., Path]) -> None:
    keys = '{bad: {"1": x}, pii: {"1": "${file:key}"}}'
    file = config("change: [{mask: {data.a: {hash: pii}, data.b: {hash: pii@2}, data.c: {hash: bad}}}]", keys=keys)

    first, second = problems(file)

    assert first.startswith("4: keys.bad.1: a secret of 1 bytes")
    assert second.startswith("9: subscriptions.one.change[0].mask.data.b.hash: '2' is not a version of pii")


def test_a_number_from_a_file_is_a_secret_and_no_number(config: Callable[..., Path], tmp_path: Path) -> None:
    file = config()
    (tmp_path / "key").write_text("1234567890123456")

    assert load(file).keys["pii"]["2"].get_secret_value() == "1234567890123456"


@pytest.mark.parametrize(
    "line",
    [
        "cesql: ${file:key} = =",
        "cesql: '${file:key}",
        "match: {type: '${file:key}'}",
        "match: {type: [{prefix: ['${file:key}']}]}",
        "match: {data: {a: {b: '${file:key}'}}}",
        "match: {type: [{wildcard: '${file:key}**'}]}",
        "filter: '${file:key}'",
        "filter: {exact: '${file:key}'}",
        "filter: {exact: {type: ['${file:key}']}}",
        "filter: {sql: '${file:key} ??'}",
        "cel: '${file:key} =='",
        'cel: "\'${file:key}"',
        "change: '${file:key}'",
        "change: ['${file:key}']",
        "change: [{mask: '${file:key}'}]",
        "change: [{mask: {data.a: '${file:key}'}}]",
        "change: [{mask: {data.a: {hash: '${file:key}'}}}]",
        "change: [{mask: {data.a: {hash: 'pii@${file:key}'}}}]",
        "change: [{mask: {data.a: {truncate: '${file:key}'}}}]",
        "change: [{set: {subject: '{${file:key}'}}]",
        "change: [{set: {id: ['${file:key}']}}]",
        "change: [{remove: ['${file:key} x']}]",
        "change: [{rename: {data.a: '${file:key} x'}}]",
        "change: [{template: '{${file:key}'}]",
    ],
)
def test_no_message_shows_a_secret_nor_a_part_of_it(
    line: str, config: Callable[..., Path], isthmus: Callable[..., Ended]
) -> None:
    """Also where somebody writes the secret in place of the key's name, and where a message shortens what it quotes."""
    file = config(line)

    said = [isthmus(command, file) for command in ("check", "lint", "run")]

    shown = "".join(ended.out + ended.err for ended in said)
    assert [ended.code for ended in said] == [2, 2, 2]
    assert not [SECRET[at : at + 8] for at in range(len(SECRET) - 8) if SECRET[at : at + 8] in shown]


def test_check_shows_keys_without_their_secrets(config: Callable[..., Path], isthmus: Callable[..., Ended]) -> None:
    file = config("change: [{mask: {data.a: {hash: pii}}}]")

    for ended in (isthmus("check", file), isthmus("check", file, "--json"), isthmus("lint", file)):
        assert ended.err == ""
        assert SECRET not in ended.out + ended.err
        assert "older" not in ended.out + ended.err
    assert SECRET not in repr(load(file))


def guide_configs() -> list[object]:
    """The configs that stand whole in the guides."""
    found = []
    for guide in sorted(GUIDES.glob("*.md")):
        files = re.findall(r"^`([\w.-]+\.yaml)`\n\n```yaml\n(.*?)^```", guide.read_text(), re.MULTILINE | re.DOTALL)
        for name, text in files:
            if "wrong" not in name and "sinks:" in text:
                found.append(pytest.param(text, id=f"{guide.stem}: {name}"))
    return found


@pytest.mark.parametrize("text", guide_configs())
def test_the_schema_takes_the_configs_of_the_guides(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)

    assert not list(Draft202012Validator(json_schema()).iter_errors(yaml.read(tmp_path / "a.yaml").value))


@pytest.mark.parametrize(
    "line", ["cesql: 5", "cesql: [TRUE]", "cel: {}", "change: {set: {a: b}}", "change: x", "matches: {type: [a]}"]
)
def test_the_schema_refuses_other_types(line: str, config: Callable[..., Path]) -> None:
    assert list(Draft202012Validator(json_schema()).iter_errors(yaml.read(config(line)).value))


def test_a_config_of_many_wrong_filters_is_told_in_time(config: Callable[..., Path]) -> None:
    """In proportion to its size."""
    file = config()
    file.write_text(
        file.read_text()
        + "".join(f"  s{number}: {{to: out, match: {{type: [a, b, {{x: c}}]}}}}\n" for number in range(2000))
    )

    assert len(problems(file)) == 2000


def test_check_shows_filters_and_changes_as_they_are_written(
    config: Callable[..., Path], isthmus: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a reference in them gave may be a secret."""
    monkeypatch.setenv("SECRET", "supersecretfile1234")
    file = config("cesql: type = '${SECRET}'", 'change: [{set: {data.token: "${SECRET}"}}]')

    shown = isthmus("check", file, "--json").out

    assert "supersecret" not in shown
    assert shown.count("${SECRET}") == 2


@pytest.mark.parametrize(
    "line", ['match: {type: ["\\ud800", b]}', 'filter: {exact: {subject: "a\\udfff"}}', '"\\ud800": 1']
)
def test_half_a_character_is_refused(line: str, config: Callable[..., Path]) -> None:
    """It could be neither printed nor sent to another region."""
    found = problems(config(line))

    assert any(problem.startswith("9: ") and "has half a character, expected text" in problem for problem in found)
