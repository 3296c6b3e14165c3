"""`make bench`: every case beside its peer, interleaved; a table, and build/bench.json.

Each case runs in a process of its own, one after the other; what is compared
stands next to each other, because the machine's speed drifts. About four
minutes; `--quick` takes one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.cases import ALWAYS, CASES, DEFAULT, OURS, Case

BUILD = Path("build")

_LIMIT = 120.0
_QUICK = ("grpc-100", "nats-100", "nats-sync-100", "http-1", "nats-1", "grpc-open-50k")
_HEADINGS = ("case", "peer", "batch", "events/s", "p50 ms", "p99 ms", "CPU µs/event", "wire B/event", "RSS MB")


def main() -> None:
    """Run the cases, print, write, and fail if one of them could not run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few cases, two seconds each")
    parser.add_argument("--seconds", type=float, default=None, help="load of each case")
    parser.add_argument("--cases", nargs="*", default=None, metavar="NAME", help=", ".join(CASES))
    options = parser.parse_args()
    chosen = options.cases or (_QUICK if options.quick else [case.name for case in _in_order()])
    seconds = options.seconds or (2.0 if options.quick else 3.0)
    console = Console(width=None if sys.stdout.isatty() else 140)
    rows: list[dict[str, object]] = []
    failed: list[str] = []
    with console.status("") as status:
        for number, name in enumerate(chosen):
            status.update(f"{name} ({number + 1} of {len(chosen)})")
            row = _run(name, seconds)
            if row:
                rows.append(row)
            else:
                failed.append(name)
            if not console.is_terminal:
                console.print(json.dumps(row) if row else f"{name} failed", highlight=False, soft_wrap=True)
    console.print(_table(rows))
    for line in _ratios(rows):
        console.print(line, highlight=False)
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench.json").write_text(json.dumps(rows, indent=1) + "\n")
    if failed:
        sys.exit(f"could not be run: {', '.join(failed)}")


def _in_order() -> list[Case]:
    """What is compared next to each other: by kind of load and batch, then ours, then the peers."""
    peers = (OURS, DEFAULT, ALWAYS)
    return sorted(
        CASES.values(), key=lambda case: (case.rate or 0, case.batch, peers.index(case.peer), case.door, case.name)
    )


def _run(name: str, seconds: float) -> dict[str, object] | None:
    command = [sys.executable, "-m", "benchmarks.crossing", "--case", name, "--seconds", str(seconds)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        print(f"{name}: not done after {_LIMIT:.0f} s", file=sys.stderr)
        return None
    if done.returncode:
        print(f"{name}:\n{done.stderr[-3000:]}", file=sys.stderr)
        return None
    row: dict[str, object] = json.loads(done.stdout)
    return row


def _table(rows: list[dict[str, object]]) -> Table:
    table = Table(title="client → durable in region A → durable in region B, events of 1 KB")
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading in _HEADINGS[:2] else "right")
    last = None
    for row in rows:
        if last is not None and row["batch"] != last:
            table.add_section()
        last = row["batch"]
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
    return table


def _ratios(rows: list[dict[str, object]]) -> list[str]:
    """Our throughput over the peers', same batch, same run."""
    by_name = {str(row["case"]): row for row in rows}
    lines = []
    for batch in (1, 10, 100, 500):
        for door in ("grpc", "http"):
            ours = by_name.get(f"{door}-{batch}")
            ratios = [
                f"{_rate(ours) / _rate(theirs):.1f} × {theirs['peer']}"
                for short in ("nats", "nats-sync")
                if ours and (theirs := by_name.get(f"{short}-{batch}"))
            ]
            if ratios:
                lines.append(f"{door}, batches of {batch}: {', '.join(ratios)}")
    return lines


def _rate(row: dict[str, object]) -> float:
    return float(str(row["events_per_second"]))


if __name__ == "__main__":
    main()
