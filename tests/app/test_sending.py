"""`isthmus send` against the real doors."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from gateway.api.grpc import GrpcDoor
from gateway.api.http import HttpDoor
from gateway.api.limits import Limits
from gateway.core.errors import LogFull

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from gateway.core.event import Event


class Shelf:
    """A publisher that keeps what it is handed; full as long as it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.batches: list[int] = []
        self.full_for = 0

    async def publish(
        self, principal: str, space: str, events: Sequence[Event], *, packed: bytes | None = None, via: str
    ) -> None:
        if self.full_for:
            self.full_for -= 1
            raise LogFull("at_most reached", after=0.01)
        self.events += events
        self.batches.append(len(events))


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def doors(shelf: Shelf) -> AsyncIterator[dict[str, str]]:
    limits = Limits(event=10_000)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(HttpDoor("127.0.0.1:0", shelf, limits))
        grpc = await stack.enter_async_context(GrpcDoor("127.0.0.1:0", shelf, limits))
        yield {"http": http.address, "grpc": f"grpc://{grpc.address}"}


async def isthmus(*arguments: str, given: bytes = b"") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.app.cli", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(given)
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.parametrize("door", ["http", "grpc"])
async def test_one_event_is_made_of_options(doors: dict[str, str], shelf: Shelf, door: str) -> None:
    ended = await isthmus(
        *("send", "--to", doors[door], "--type", "t", "--source", "/s", "--id", "7", "--subject", "x"),
        *("--data", '{"price": 1.10}', "-a", "partitionkey=a=b"),
    )

    assert ended == (0, "1 sent\n", "")
    event = shelf.events[0]
    assert (event.id, event.source, event.type, event.subject, event.datacontenttype, event.data, event.extensions) == (
        *("7", "/s", "t", "x", "application/json", b'{"price": 1.10}'),
        {"partitionkey": "a=b"},
    )


async def test_text_that_is_not_json_is_sent_as_text(doors: dict[str, str], shelf: Shelf) -> None:
    await isthmus("send", "--to", doors["http"], "--type", "t", "--data", "hello")

    assert (shelf.events[0].datacontenttype, shelf.events[0].data) == ("text/plain", b"hello")


def line(number: int, size: int = 0) -> bytes:
    event = {"specversion": "1.0", "id": str(number), "source": "/s", "type": "t", "data": "x" * size}
    return json.dumps(event).encode() + b"\n"


@pytest.mark.parametrize("door", ["http", "grpc"])
async def test_a_file_is_sent_in_order_and_in_batches(
    doors: dict[str, str], shelf: Shelf, tmp_path: Path, door: str
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(line(number) for number in range(25)))

    ended = await isthmus("send", "--to", doors[door], "--file", str(file), "--batch", "10")

    assert ended == (0, "25 sent\n", "")
    assert [event.id for event in shelf.events] == [str(number) for number in range(25)]
    assert max(shelf.batches) <= 10


async def test_a_wrong_line_is_named_and_those_before_it_are_sent(doors: dict[str, str], shelf: Shelf) -> None:
    ended = await isthmus(
        "send", "--to", doors["http"], "--file", "-", given=line(0) + line(1) + b'{"id": "x"}\n' + line(3)
    )

    assert (ended[0], ended[1], len(shelf.events)) == (1, "2 sent\n", 2)
    assert "line 3: " in ended[2]


@pytest.mark.parametrize("door", ["http", "grpc"])
async def test_what_the_door_refuses_is_exit_code_1(doors: dict[str, str], door: str) -> None:
    code, out, err = await isthmus("send", "--to", doors[door], "--file", "-", given=line(1, 20_000))

    assert (code, out) == (1, "0 sent\n")
    assert "limit is 10000" in err


async def test_a_full_log_is_waited_for(doors: dict[str, str], shelf: Shelf) -> None:
    shelf.full_for = 1

    assert (await isthmus("send", "--to", doors["http"], "--type", "t"))[0] == 0
    assert len(shelf.events) == 1


async def test_nobody_there_is_told_after_patience(tmp_path: Path) -> None:
    code, out, err = await isthmus("send", "--to", "127.0.0.1:1", "--type", "t", "--patience", "0.5")

    assert (code, out) == (1, "0 sent\n")
    assert "not acknowledged within 0.5 s" in err


async def test_the_door_is_found_in_a_config(doors: dict[str, str], shelf: Shelf, tmp_path: Path) -> None:
    config = tmp_path / "node.yaml"
    config.write_text(
        f"region: eu\ndata: x\napi: {{http: {doors['http']}}}\nsinks: {{a: {{http: {{url: '${{NO}}'}}}}}}\n"
    )

    assert (await isthmus("send", str(config), "--type", "t"))[0] == 0
    assert len(shelf.events) == 1


@pytest.mark.parametrize("door", ["127.0.0.1", "localhost:port"])
async def test_a_door_that_is_no_address_is_explained(door: str) -> None:
    code, _, err = await isthmus("send", "--to", door, "--type", "t")

    assert (code, "expected host:port" in err) == (2, True)
