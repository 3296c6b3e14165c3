"""The demo's count must be able to fail, or it proves nothing."""

from __future__ import annotations

import asyncio
import json as text
import sys
from importlib.resources import files
from io import StringIO
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from gateway.app.showcase.ledger import Ledger, Watch
from gateway.app.showcase.regions import AWS, AZURE, GCP, NAMES, WANTS, Region, crosses
from gateway.app.showcase.screen import LiveScreen
from gateway.app.showcase.traffic import queue_settings, samples, stream
from gateway.codec import json
from gateway.codec.frames import pack
from gateway.core.records import Position
from gateway.log.memory import MemoryLog

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.core.event import Event
    from gateway.core.frame import Frame


class Stage:
    """Three logs; events of one region, carried to the others by hand."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.logs = {name: MemoryLog(name) for name in NAMES}

    async def publish(self, origin: str, events: list[Event]) -> None:
        self.ledger.acknowledged.update(self.ledger.offer(origin, event) for event in events)
        await self.logs[origin].append(pack("main", events))

    async def carry(self, origin: str, region: str) -> None:
        """What a link does."""
        await self.logs[region].append(await self.frames(origin))

    async def frames(self, origin: str) -> list[Frame]:
        log = self.logs[origin]
        page = await log.read(after=Position(log.log_id, 0), limit=1 << 20)
        return [stored.frame for stored in page.frames if stored.frame.header.origin == log.log_id]

    def deliver(self, origin: str, events: list[Event]) -> None:
        for want in WANTS:
            for event in events:
                if want.takes(origin, event.type):
                    self.ledger.deliver(want.name, event)

    async def count(self) -> None:
        for name, log in self.logs.items():
            await Watch(name, log, self.ledger).catch_up(log.end)


def orders(count: int) -> list[Event]:
    """The same events at every call."""
    return [event for event in islice(stream("test"), 400) if event.type.startswith("com.acme.order.")][:count]


@pytest.fixture(name="stage")
async def _stage() -> Stage:
    """Three orders of AWS, which only GCP wants, all where they should be."""
    stage = Stage()
    events = orders(3)
    await stage.publish(AWS, events)
    await stage.carry(AWS, GCP)
    stage.deliver(AWS, events)
    return stage


async def test_a_whole_run_holds(stage: Stage) -> None:
    await stage.count()

    verdict = stage.ledger.verdict()

    assert verdict.holds
    assert (verdict.published, verdict.crossed, verdict.delivered, verdict.repeated) == (3, 3, 3, 0)


async def test_an_event_missing_from_its_log_its_link_and_its_sink_is_three_times_missing(stage: Stage) -> None:
    await stage.count()
    stage.ledger.acknowledged.add(stage.ledger.offer(AWS, orders(4)[3]))

    verdict = stage.ledger.verdict()

    assert verdict.missing == 3
    assert not verdict.holds


async def test_a_record_that_crossed_twice_shows(stage: Stage) -> None:
    await stage.carry(AWS, GCP)
    await stage.count()

    verdict = stage.ledger.verdict()

    assert verdict.twice == 3
    assert not verdict.holds


async def test_a_repeat_at_a_sink_is_counted_and_allowed(stage: Stage) -> None:
    await stage.count()
    stage.ledger.deliver("analytics", orders(1)[0])

    verdict = stage.ledger.verdict()

    assert verdict.holds
    assert (verdict.delivered, verdict.repeated) == (3, 1)


async def test_a_changed_byte_shows(stage: Stage) -> None:
    await stage.count()
    event = orders(1)[0]

    stage.ledger.deliver("analytics", event.but(data=(event.data or b"") + b" "))

    assert stage.ledger.verdict().strange == 1


async def test_what_nobody_wanted_shows(stage: Stage) -> None:
    await stage.carry(AWS, AZURE)
    await stage.count()

    assert stage.ledger.verdict().strange == 3


def test_the_samples_are_varied_and_leave_as_they_came() -> None:
    lines = (files("gateway.app.showcase") / "events.jsonl").read_text().splitlines()

    events = samples()

    assert len(events) == len(lines) >= 40
    assert len({event.type for event in events}) >= 30
    assert any(event.data is None for event in events)
    assert [text.loads(json.encode(event)) for event in events] == [text.loads(line) for line in lines]
    assert all(any(crosses(a, b, event.type) for a in NAMES for b in NAMES) for event in events)


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/1/q", {"region": "eu-west-1"}),
        ("http://127.0.0.1:4566/0/q", {"region": "us-east-1", "endpoint": "http://127.0.0.1:4566"}),
    ],
)
def test_a_queue_that_is_not_amazons_is_an_endpoint(url: str, settings: dict[str, str]) -> None:
    assert queue_settings(url) == {"url": url, **settings}


@pytest.mark.parametrize(
    ("program", "state"),
    [("pass", "stopped"), ("import os; os.abort()", "killed"), ("exit(3)", "exit code 3")],
)
async def test_a_region_that_was_stopped_is_not_shown_as_killed(tmp_path: Path, program: str, state: str) -> None:
    region = Region(AWS, tmp_path, http=1, link=2)
    region.process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    await region.process.wait()
    console = Console(file=StringIO(), width=100, force_terminal=True)

    with LiveScreen(console) as shown:
        shown.show([region], Ledger())

    assert state in console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO
