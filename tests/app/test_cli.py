"""The command line as a user types it, against real files and a real admin socket."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from gateway.app import cli
from gateway.codec.frames import pack
from gateway.core.event import Event
from gateway.log.lmdb import LmdbLog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str], Path]


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def isthmus(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a command in this process."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")

    def isthmus(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["isthmus", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as left:
            code = int(left.code or 0)
        return Ended(code, *capsys.readouterr())

    return isthmus


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A data directory with 30 events, not in use."""
    folder = tmp_path / "data"

    async def fill() -> None:
        async with LmdbLog(folder, region="eu", at_most=2**30) as log:
            for number in range(30):
                event = Event(
                    id=str(number), source="/s", type="t", data=b'{"price": 1.10}', datacontenttype="application/json"
                )
                await log.append(pack("main", [event]))

    asyncio.run(fill())
    return folder


def test_every_command_explains_itself(isthmus: Callable[..., Ended]) -> None:
    commands = [
        [],
        ["run"],
        ["check"],
        ["send"],
        ["status"],
        ["log"],
        ["log", "show"],
        ["log", "verify"],
        ["connectors"],
    ]
    commands += [["dead-letters", verb] for verb in ("list", "show", "resend", "drop")]
    commands += [["subscriptions", "resume"], ["schema"], ["demo"]]
    commands += [["match"], ["explain"], ["test"], ["lint"], ["import"]]
    commands += [["import", kind] for kind in ("eventmesh-filter", "sns-filter-policy", "eventbridge-rule")]

    for command in commands:
        ended = isthmus(*command, "--help")
        assert ended.code == 0
        assert f"isthmus {' '.join(command)}".strip() in " ".join(ended.out.split())
        assert "{" not in ended.out  # a placeholder nobody filled


def test_the_version_is_printed(isthmus: Callable[..., Ended]) -> None:
    assert isthmus("--version").out.startswith("isthmus 0.")


def test_a_wrong_command_line_is_exit_code_2(isthmus: Callable[..., Ended]) -> None:
    assert isthmus("rnu").code == 2
    assert isthmus("check").code == 2
    assert isthmus("dead-letters", "resend", "--data", "/tmp").code == 2
    assert isthmus("send").code == 2


def test_check_prints_all_mistakes_and_exits_2(isthmus: Callable[..., Ended], write: Write) -> None:
    path = write("regio: eu\ndata: x\nlog: {keep: 3}\n")

    ended = isthmus("check", path)

    assert ended.code == 2
    assert [line.partition(": ")[0] for line in ended.err.splitlines()] == [f"{path}:{line}" for line in (1, 1, 3)]


@pytest.mark.usefixtures("installed")
def test_check_sums_up_a_right_config_without_secrets(
    isthmus: Callable[..., Ended], write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2-5a1e")
    path = write(
        "region: eu\ndata: x\nsinks: {v: {acme.vault: {address: 'x${TOKEN}', token: '${TOKEN}'}}}\n"
        "subscriptions: {bill: {to: v}}\n"
    )

    for ended in (isthmus("check", path), isthmus("check", path, "--json")):
        assert (ended.code, ended.err) == (0, "")
        assert "bill" in ended.out
        assert "hunter2" not in ended.out


def test_what_check_prints_as_json_is_a_config_again(isthmus: Callable[..., Ended], write: Write) -> None:
    """JSON is YAML, durations keep their units."""
    text = "region: eu\ndata: /x\nlog: {keep: 1d 2h}\ndedupe: {for: 90s}\napi: {http: 127.0.0.1:80}\n"
    first = isthmus("check", write(text), "--json").out

    again = isthmus("check", write(first), "--json").out

    assert first == again
    assert json.loads(first)["log"]["keep"] == "1d 2h"


def test_run_refuses_a_wrong_config(isthmus: Callable[..., Ended], write: Write) -> None:
    assert isthmus("run", write("region: eu\n")).code == 2


def test_the_log_shows_its_newest_events(isthmus: Callable[..., Ended], filled: Path) -> None:
    lines = isthmus("log", "show", filled, "--limit", 3).out.splitlines()

    assert [line.split()[0] for line in lines] == ["28", "29", "30"]
    assert '{"price": 1.10}' in lines[0]


def test_the_log_shows_everything_as_json_lines(isthmus: Callable[..., Ended], filled: Path) -> None:
    ended = isthmus("log", "show", "--data", filled, "--json", "--since", "1h")

    records = [json.loads(line) for line in ended.out.splitlines()]
    assert [record["offset"] for record in records] == list(range(1, 31))
    assert '"price": 1.10' in ended.out
    assert records[0]["event"]["id"] == "0"


@pytest.mark.parametrize("since", ["2100-01-01T00:00:00Z", "0s"])
def test_nothing_is_shown_of_before_since(isthmus: Callable[..., Ended], filled: Path, since: str) -> None:
    assert isthmus("log", "show", filled, "--since", since) == (0, "", "")


def test_a_since_that_is_no_time_is_explained(isthmus: Callable[..., Ended], filled: Path) -> None:
    ended = isthmus("log", "show", filled, "--since", "yesterday")

    assert (ended.code, "expected a duration such as 10m, or an RFC 3339 time" in ended.err) == (2, True)


def test_the_log_of_a_config_is_found_without_its_secrets(
    isthmus: Callable[..., Ended], filled: Path, write: Write
) -> None:
    path = write("region: eu\ndata: ${file:none-is-needed}\nsinks: {a: {http: {url: '${NOT_HERE}'}}}\n")
    path.write_text(path.read_text().replace("${file:none-is-needed}", filled.name))

    assert len(isthmus("log", "show", path, "-n", 2).out.splitlines()) == 2


def test_a_whole_log_is_said_to_be_whole(isthmus: Callable[..., Ended], filled: Path) -> None:
    ended = isthmus("log", "verify", filled)

    assert (ended.code, ended.out.splitlines()[-1]) == (0, "whole")
    assert "30 events, offsets 1 to 30" in ended.out


def test_a_damaged_log_is_exit_code_1_with_offsets(isthmus: Callable[..., Ended], filled: Path) -> None:
    file = next(path for path in filled.iterdir() if b"ISF" in path.read_bytes())
    content = bytearray(file.read_bytes())
    at = content.find(b"ISF")
    while at >= 0:
        content[at + 60] ^= 1
        at = content.find(b"ISF", at + 1)
    file.write_bytes(content)

    ended = isthmus("log", "verify", filled)

    assert ended.code == 1
    assert "offsets " in ended.err


def test_no_log_is_a_mistake_of_the_command_line(isthmus: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert isthmus("log", "show", tmp_path / "empty").code == 2
    assert isthmus("log", "verify", tmp_path / "none").code == 2


@pytest.mark.parametrize(
    "command", [["status"], ["dead-letters", "list"], ["dead-letters", "show", "a/b", "--data"]], ids=" ".join
)
def test_without_a_node_the_exit_code_is_3(isthmus: Callable[..., Ended], tmp_path: Path, command: list[str]) -> None:
    ended = isthmus(*command, tmp_path)

    assert ended.code == 3
    assert ended.err.startswith("isthmus: no node answers on ")


def test_connectors_are_listed_even_when_some_are_broken(isthmus: Callable[..., Ended], installed: None) -> None:
    lines = {line.split("\t")[0]: line for line in isthmus("connectors").out.splitlines()}

    assert "sink" in lines["acme.vault"]
    assert "cannot be imported" in lines["acme.broken"]


def test_what_a_connector_is_about_does_not_repeat_its_name(isthmus: Callable[..., Ended]) -> None:
    rows = json.loads(isthmus("connectors", "--json").out)

    assert {row["name"]: row["about"] for row in rows}["http"] == "CloudEvents by POST, to a webhook."


def test_a_connector_shows_its_settings(isthmus: Callable[..., Ended], installed: None) -> None:
    lines = isthmus("connectors", "acme.vault").out.splitlines()

    assert "timeout\tduration, more than 0s\t10s\tHow long a call may take." in lines
    assert "address\tstring\trequired\tWhere it is." in lines
    assert any(line.startswith("inner.depth\twhole number\t1") for line in lines)
    assert any(line.startswith("token\tsecret") for line in lines)


def test_the_schema_is_printed(isthmus: Callable[..., Ended]) -> None:
    assert json.loads(isthmus("schema").out)["required"] == ["region", "data"]


async def test_follow_shows_what_comes_in_from_another_process(tmp_path: Path) -> None:
    async with LmdbLog(tmp_path, region="eu", at_most=2**30) as log:
        await log.append(pack("main", [Event(id="1", source="/s", type="t")]))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.app.cli", "log", "show", str(tmp_path), "--follow", "--json"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            first = json.loads(await process.stdout.readline())
            await log.append(pack("main", [Event(id="2", source="/s", type="t")]))
            second = json.loads(await process.stdout.readline())
            process.send_signal(signal.SIGINT)

            assert (first["event"]["id"], second["event"]["id"]) == ("1", "2")
            assert await process.wait() == 130
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_a_reader_that_stops_early_is_no_error(tmp_path: Path) -> None:
    async with LmdbLog(tmp_path, region="eu", at_most=2**30) as log:
        await log.append(pack("main", [Event(id=str(n), source="/s", type="t", data=b"x" * 2000) for n in range(100)]))
        process = await asyncio.create_subprocess_shell(
            f"{sys.executable} -m gateway.app.cli log show {tmp_path} -n 0 --json | head -n 1",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()

    assert (out.count(b"\n"), err) == (1, b"")
