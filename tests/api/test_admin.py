"""The admin API over its real socket, as the command line uses it."""

from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from gateway.api.admin import Admin
from gateway.api.probes import Check, live, metrics, ready
from gateway.app.running import NotRunning, ask
from gateway.core import telemetry
from gateway.core.clock import SystemClock
from gateway.core.errors import IsthmusError
from gateway.core.event import Event
from gateway.flow.dead_letters import DeadLetter, DeadLetters
from gateway.log.memory import MemoryLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class ViewOfNothing:
    """A node that only has dead letters."""

    def __init__(self) -> None:
        self.dead_letters = DeadLetters(MemoryLog("eu"), SystemClock())
        for name in ("bill", "other"):
            self.dead_letters.on_resend(name, lambda: None)
        self.resumed: list[str] = []
        self.wrong: dict[str, str] = {}

    def status(self) -> dict[str, object]:
        return {"region": "eu", "loops": [{"name": "x", "state": "running"}]}

    def checks(self) -> list[Check]:
        return [
            Check("log", self.wrong.get("log")),
            Check("sink billing", self.wrong.get("sink"), is_critical=False),
        ]

    async def resume(self, subscription: str) -> None:
        if subscription != "bill":
            raise LookupError(f"no subscription {subscription!r}")
        self.resumed.append(subscription)


@pytest.fixture
def node() -> ViewOfNothing:
    return ViewOfNothing()


@pytest.fixture
async def folder(tmp_path: Path, node: ViewOfNothing) -> AsyncIterator[Path]:
    async with Admin(tmp_path, node):
        yield tmp_path


async def asked(folder: Path, method: str, path: str, body: dict[str, object] | None = None) -> object:
    return await asyncio.to_thread(ask, folder, method, path, body)


def letter(number: int, subscription: str = "bill") -> DeadLetter:
    event = Event(id=str(number), source="/s", type="t", datacontenttype="application/json", data=b'{"n": 1.10}')
    return DeadLetter(subscription, event, "422: no such customer", 1, 1.0, 2.0, "eu/n1@aa", number)


async def test_only_the_owner_may_open_the_socket(folder: Path) -> None:
    assert stat.S_IMODE((folder / "admin.sock").stat().st_mode) == 0o600


async def test_a_socket_that_a_dead_node_left_is_replaced(tmp_path: Path, node: ViewOfNothing) -> None:
    (tmp_path / "admin.sock").touch()

    async with Admin(tmp_path, node):
        found = await asked(tmp_path, "GET", "/status")

    assert isinstance(found, dict)
    assert not (tmp_path / "admin.sock").exists()


async def test_a_path_longer_than_a_socket_allows_works(tmp_path: Path, node: ViewOfNothing) -> None:
    long = tmp_path / ("long-" * 30)
    long.mkdir()

    async with Admin(long, node):
        found = await asked(long, "GET", "/status")

    assert found == node.status()


async def test_nobody_there_is_told_apart_from_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="no node answers on"):
        await asked(tmp_path, "GET", "/status")


async def test_dead_letters_are_listed_in_pages_with_their_event_unchanged(folder: Path, node: ViewOfNothing) -> None:
    await node.dead_letters.bury([letter(number) for number in range(5)])
    await node.dead_letters.bury([letter(9, "other")])

    first = await asked(folder, "GET", "/dead-letters?subscription=bill&limit=3")
    assert isinstance(first, list)
    rest = await asked(folder, "GET", f"/dead-letters?subscription=bill&after={quote(first[-1]['id'])}")

    assert isinstance(rest, list)
    assert [one["event"]["id"] for one in first + rest] == ["0", "1", "2", "3", "4"]
    assert first[0]["reason"] == "422: no such customer"


async def test_one_dead_letter_is_shown(folder: Path, node: ViewOfNothing) -> None:
    await node.dead_letters.bury([letter(1)])

    found = await asked(folder, "GET", f"/dead-letter?id={quote(letter(1).id)}")

    assert isinstance(found, dict)
    assert (found["id"], found["origin_offset"], found["event"]["data"]) == (letter(1).id, 1, {"n": 1.1})


@pytest.mark.parametrize("path", ["/dead-letter?id=bill/00", "/dead-letter", "/dead-letter?id=%00"])
async def test_a_dead_letter_that_is_not_there_is_said_so(folder: Path, path: str) -> None:
    with pytest.raises(IsthmusError, match="no such dead letter"):
        await asked(folder, "GET", path)


async def test_dead_letters_can_be_sent_again(folder: Path, node: ViewOfNothing) -> None:
    await node.dead_letters.bury([letter(1), letter(2)])

    found = await asked(folder, "POST", "/dead-letters/resend", {"ids": [letter(1).id, "bill/00"]})

    assert found == {"sent": 1, "refused": {"bill/00": "no such dead letter"}}
    assert [one.id for one in node.dead_letters.list()] == [letter(2).id]


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        ({"ids": [letter(1).id]}, 1200),
        ({"subscription": "bill"}, 1),
        ({"all": True}, 0),
    ],
)
async def test_dead_letters_are_dropped_as_chosen(
    folder: Path, node: ViewOfNothing, chosen: dict[str, object], left: int
) -> None:
    await node.dead_letters.bury([letter(number) for number in range(1200)] + [letter(1, "other")])

    found = await asked(folder, "POST", "/dead-letters/drop", chosen)

    assert found == {"dropped": 1201 - left}
    assert len(node.dead_letters.list(limit=5000)) == left


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": []},
        {"all": True, "subscription": "bill"},
        {"idz": ["x"]},
        {"ids": "x"},
        {"all": True, "rate": 0},
        {"all": True, "rate": 1e-320},
    ],
)
async def test_an_unclear_choice_touches_nothing(folder: Path, node: ViewOfNothing, body: dict[str, object]) -> None:
    await node.dead_letters.bury([letter(1)])

    for path in ("/dead-letters/drop", "/dead-letters/resend"):
        with pytest.raises(IsthmusError):
            await asked(folder, "POST", path, body)

    assert len(node.dead_letters.list()) == 1


@pytest.mark.parametrize(
    ("method", "path", "reason"),
    [("GET", "/nothing", "Not Found"), ("DELETE", "/dead-letters", "Method Not Allowed")],
)
async def test_what_is_not_served_is_refused_as_all_else(folder: Path, method: str, path: str, reason: str) -> None:
    """In JSON: a command line of another version asks for what this node does not have."""
    with pytest.raises(IsthmusError, match=f"{method} {path}: {reason}"):
        await asked(folder, method, path)


async def test_a_subscription_is_resumed_by_name(folder: Path, node: ViewOfNothing) -> None:
    await asked(folder, "POST", "/subscriptions/resume", {"name": "bill"})
    with pytest.raises(IsthmusError, match="no subscription 'bil'"):
        await asked(folder, "POST", "/subscriptions/resume", {"name": "bil"})

    assert node.resumed == ["bill"]


def test_metrics_name_every_metric_and_this_process() -> None:
    text = metrics().body.decode()

    for family in telemetry.registry.collect():
        assert f"# HELP {family.name}" in text
    assert "process_resident_memory_bytes" in text


def test_alive_is_whoever_answers() -> None:
    assert live().status == 200


def test_a_sink_that_is_away_is_named_but_the_node_stays_ready(node: ViewOfNothing) -> None:
    node.wrong = {"sink": "503: later"}

    answer = ready(node, "verbose")

    assert (answer.status, answer.body.decode()) == (200, "[+] log ok\n[!] sink billing: 503: later\nok\n")


def test_a_full_log_is_not_ready(node: ViewOfNothing) -> None:
    node.wrong = {"log": "at_most reached"}

    assert (ready(node).status, ready(node).body) == (503, b"[-] log: at_most reached\nnot ready\n")
