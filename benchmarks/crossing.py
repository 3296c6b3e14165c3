"""One case of the benchmark, in a process of its own: `python -m benchmarks.crossing --case grpc-100`.

client → durable in region A → durable in region B. Prints one line of JSON, and
with `--explain` where the CPU time went. `--hold` waits before the load and
prints the pids, for a profiler.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from benchmarks.cases import ALWAYS, CASES, OURS, Case
from benchmarks.events import samples
from benchmarks.isthmus_pair import IsthmusPair, isthmus_pair
from benchmarks.jetstream_pair import JetStreamPair, jetstream_pair
from benchmarks.load import Meter, Numbers, closed_loop, open_loop
from benchmarks.machine import cpu_seconds, memory, traffic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BUILD = Path("build")


@dataclass(frozen=True)
class Outcome:
    """What a case gave."""

    row: dict[str, object]
    """As in build/bench.json."""
    parts: dict[str, float]
    """CPU µs an event by process."""
    disk: float
    """Bytes an event of both ends' files."""


async def measure(case: Case, *, seconds: float, hold: float = 0.0, environment: dict[str, str]) -> Outcome:
    """Start both ends, warm up, measure, stop."""
    samples()
    (BUILD / "bench").mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{case.name}-", dir=BUILD / "bench")).absolute()
    try:
        async with _pair(case, folder, environment) as pair:
            return await _measure(case, pair, folder, seconds=seconds, hold=hold)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _pair(case: Case, folder: Path, environment: dict[str, str]) -> AsyncIterator[IsthmusPair | JetStreamPair]:
    if case.peer == OURS:
        async with isthmus_pair(folder, deliver=case.deliver, filters=case.filters, environment=environment) as ours:
            yield ours
    else:
        async with jetstream_pair(folder, always=case.peer == ALWAYS, compression=case.compression) as theirs:
            yield theirs


async def _measure(
    case: Case, pair: IsthmusPair | JetStreamPair, folder: Path, *, seconds: float, hold: float
) -> Outcome:
    # gRPC's client gathers by itself: with batches of the case's size it must not, unless the case says so
    batch = case.merge or case.batch
    pids = {**pair.pids, "client": os.getpid()}
    async with asyncio.TaskGroup() as tasks, pair.door(case.door, batch=batch, workers=case.workers):
        meter = Meter()
        numbers = Numbers(meter)
        following = tasks.create_task(pair.follow(meter))
        await asyncio.sleep(0.1)
        if hold:
            print(json.dumps(pids), file=sys.stderr, flush=True)
            await asyncio.sleep(hold)
        await _load(case, pair, meter, numbers, seconds=min(1.5, seconds / 3))
        meter.latencies.clear()
        before, carried, wire = (
            meter.durable,
            {name: cpu_seconds(pid) for name, pid in pids.items()},
            traffic(pair.link_port),
        )
        started = time.monotonic()
        await _load(case, pair, meter, numbers, seconds=seconds)
        ended = meter.last
        if case.deliver:
            while pair.delivered() < meter.published:
                await asyncio.sleep(0.02)
            ended = time.monotonic()
        count = meter.durable - before
        parts = {name: (cpu_seconds(pid) - carried[name]) * 1e6 / count for name, pid in pids.items()}
        row = {
            "case": case.name,
            "peer": case.peer,
            "batch": case.batch,
            "events_per_second": round(count / (ended - started)),
            "p50_ms": round(meter.percentile(0.50), 2),
            "p99_ms": round(meter.percentile(0.99), 2),
            "cpu_us_per_event": round(sum(parts.values()), 2),
            "wire_bytes_per_event": round((traffic(pair.link_port).both - wire.both) / count, 1),
            "rss_mb": round(sum(map(memory, pair.pids.values())) / 1e6, 1),
        }
        following.cancel()
    files = [file for file in folder.rglob("*") if file.is_file() and "out.jsonl" not in file.name]
    return Outcome(row, parts, sum(file.stat().st_blocks * 512 for file in files) / meter.durable)


async def _load(
    case: Case, pair: IsthmusPair | JetStreamPair, meter: Meter, numbers: Numbers, *, seconds: float
) -> None:
    if case.rate is None:
        await closed_loop(
            pair, meter, numbers, batch=case.batch, workers=case.workers, ahead=case.ahead, seconds=seconds
        )
    else:
        await open_loop(pair, meter, numbers, batch=case.batch, rate=case.rate, seconds=seconds)
    await meter.all_durable()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", required=True, choices=CASES, metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--hold", type=float, default=0.0, help="seconds to wait before the load")
    parser.add_argument("--explain", action="store_true")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="environment of our nodes")
    options = parser.parse_args()
    environment = dict(one.split("=", 1) for one in options.set)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(
            measure(CASES[options.case], seconds=options.seconds, hold=options.hold, environment=environment)
        )
    print(json.dumps(outcome.row), flush=True)
    if options.explain:
        parts = ", ".join(f"{name} {value:.2f}" for name, value in outcome.parts.items())
        print(f"CPU µs an event: {parts}; bytes on both disks an event: {outcome.disk:.0f}")


if __name__ == "__main__":
    main()
