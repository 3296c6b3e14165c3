"""F44, F8: one connector that does not work, or a slow disk, is no reason for the others to stop."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Self

import pytest

from gateway.api.http import HttpDoor
from gateway.api.limits import Limits
from gateway.core.clock import SystemClock
from gateway.flow.dead_letters import DeadLetters
from gateway.flow.ingest import Ingest
from tests.api import wire
from tests.e2e.alone import all_arrive, alone, hook_at, isthmus
from tests.e2e.processes import free_port, until
from tests.log.arrange import lmdb_log
from tests.services import MADE_UP

if TYPE_CHECKING:
    from pathlib import Path

    import lmdb

BROKEN = """
sources:
  nobody:
    aws.sqs: {{url: "http://127.0.0.1:{gone}/000000000000/orders", region: us-east-1, endpoint: "http://127.0.0.1:{gone}"}}
  nofile:
    file: {{path: {folder}/nowhere/orders.jsonl}}
sinks:
  hook:
    http: {{url: "http://127.0.0.1:{hook}/", timeout: 5s}}
  dead:
    http: {{url: "http://127.0.0.1:{gone}/", timeout: 1s}}
  queue:
    aws.sqs: {{url: "http://127.0.0.1:{gone}/000000000000/out", region: us-east-1, endpoint: "http://127.0.0.1:{gone}"}}
  unwritable:
    file: {{path: /proc/orders.jsonl}}
subscriptions:
  good: {{from: [a], to: hook, start: earliest}}
  dead: {{from: [a], to: dead, start: earliest}}
  queue: {{from: [a], to: queue, start: earliest}}
  unwritable: {{from: [a], to: unwritable, start: earliest}}
"""


@pytest.mark.integration
@pytest.mark.timeout(60)
async def test_a_connector_that_does_not_work_stops_nothing_else(tmp_path: Path) -> None:
    """The node starts, is ready and delivers; status says which loops wait and why; nothing is buried for it."""
    port = free_port()
    one = alone(tmp_path, BROKEN.format(hook=port, gone=free_port(), folder=tmp_path))
    one.node.environment |= MADE_UP
    async with hook_at(tmp_path, port) as notes:
        await one.node.start()
        try:
            await one.node.ready()
            await one.publish(200)
            await all_arrive(one.acknowledged, notes)
            code, status = await isthmus("status", one.data)
            metrics = await one.metrics()
        finally:
            stopped = await one.node.stop()

    print(status)
    assert (code, stopped) == (0, 0)
    assert metrics['isthmus_sink_up{sink="hook"}'] == 1
    assert metrics['isthmus_delivered_events_total{subscription="good"}'] == 200
    assert not [name for name, value in metrics.items() if name.startswith("isthmus_dead_letters_total{") and value]


class SlowDisk:
    """Holds up each commit of an LMDB environment as a disk does whose fsync takes that long."""

    def __init__(self, environment: lmdb.Environment, seconds: float) -> None:
        self._environment = environment
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.waits = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._environment.begin(write=True):  # the writer's commits wait for this one
                self.waits += 1
                self._stop.wait(self._seconds)
            self._stop.wait(0.02)


@pytest.mark.timeout(60)
async def test_a_slow_disk_slows_down_and_repeats_nothing(tmp_path: Path) -> None:
    """Commits that take 2 s: everybody waits, everybody is answered 202, each event is there once."""
    clock = SystemClock()
    async with lmdb_log(tmp_path) as log:
        letters = DeadLetters(log, clock)
        ingest = Ingest(log, log, bury=letters.bury_refused, clock=clock, limit=10_000)
        async with HttpDoor("127.0.0.1:0", ingest, Limits()) as door:
            with SlowDisk(log._environment, 2.0) as disk:
                await until(lambda: disk.waits)
                started = time.monotonic()
                answers = await asyncio.gather(
                    *(wire.ask(door.address, wire.event(number)) for number in range(100)),
                )
                took = time.monotonic() - started

        print(f"100 events in {took:.1f} s, {disk.waits} slow commits")
        assert {answer.status for answer in answers} == {202}
        assert log.end == 100
        assert 1.0 < took < 10.0, "commits are shared, not queued one by one"
