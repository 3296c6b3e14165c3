"""Runs: all targets, two processes at a time, and what came of each."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.fuzz.process import HANG, LONGEST, MEMORY, has_atheris

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

AT_A_TIME: Final = 2
"""Processes: as many as the smallest machine of ours has cores."""
START: Final = 120
"""Seconds that a process may take beside its fuzzing: to start, on a machine that does much else."""
GROWTH: Final = 64 * 1024
"""KiB that the second half of a run may add to memory: the fuzzer's own corpus, and caches of ours, with bounds."""
ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "build" / "fuzz"
_ARTIFACTS = {
    "timeout-": f"an input takes longer than {HANG} s",
    "oom-": f"more than {MEMORY} MiB",
    "crash-": "the process died",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One target, fuzzed for a while."""

    name: str
    seed: int
    runs: int
    passed: int
    """Inputs that got past the parser."""
    seconds: float
    slowest: float
    peak: int
    """KiB."""
    growth: int
    """KiB in the second half of the time."""
    problems: tuple[str, ...]
    """None: the law held."""

    def summary(self) -> str:
        """One line of a table."""
        rate, share = self.runs / max(self.seconds, 0.001), 100 * self.passed / max(self.runs, 1)
        return (
            f"{self.name:13}{self.runs:>10,}{rate:>9,.0f}/s{share:>8.1f} %{self.slowest:>9.3f} s"
            f"{self.peak // 1024:>7} MiB{self.growth // 1024:>+6} MiB  {'failed' if self.problems else 'ok'}"
        )


HEADING = f"{'target':13}{'runs':>10}{'rate':>11}{'compiled':>10}{'slowest':>11}{'peak':>11}{'growth':>10}"


def by() -> str:
    """What drives the fuzzing on this machine."""
    return "atheris" if has_atheris() else "hypothesis"


def run_all(names: Iterable[str], seconds: float, *, driver: str, folder: Path = FOLDER) -> Iterator[Run]:
    """Fuzz these targets for so many seconds each, two at a time; runs come in the order of the names."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        yield from pool.map(lambda name: run_one(name, seconds, driver=driver, folder=folder), names)


def run_one(name: str, seconds: float, *, driver: str, folder: Path = FOLDER) -> Run:
    """Fuzz one target in a process of its own; what it keeps is under `folder`/NAME."""
    own = folder / name
    shutil.rmtree(own / "corpus", ignore_errors=True)
    own.mkdir(parents=True, exist_ok=True)
    for old in own.iterdir():
        if old.is_file():
            old.unlink()
    seed = random.SystemRandom().randrange(1, 2**31)
    options = ["--folder", str(own), "--seconds", str(seconds), "--seed", str(seed), "--by", driver]
    command = [sys.executable, "-m", "tests.fuzz.process", name, *options]
    with (own / "log").open("wb") as log:
        try:
            ended = subprocess.run(
                command,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                timeout=seconds + START,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            ended = None
    return _run(name, seed, own, ended)


def _run(name: str, seed: int, own: Path, ended: int | None) -> Run:
    stats = own / "stats.json"
    told = json.loads(stats.read_text(encoding="utf-8")) if stats.exists() else {}
    problems = [f"{where}: {file}" for where, file in told.get("failures", {}).items()]
    for file in sorted(own.iterdir()):
        problems += [f"{what}: {file}" for prefix, what in _ARTIFACTS.items() if file.name.startswith(prefix)]
    if (current := own / "current").exists():
        data = current.read_bytes()
        (own / "crash-current").write_bytes(data[2 : 2 + int.from_bytes(data[:2], "big")][:LONGEST])
        problems.append(f"the process died, or an input takes longer than {HANG} s: {own / 'crash-current'}")
    if ended != 0 and not problems:
        problems.append(f"the process ended with {ended}, see {own / 'log'}")
    if told.get("growth", 0) > GROWTH:
        problems.append(f"memory grew by {told['growth'] // 1024} MiB in the second half of the run")
    if not told.get("runs"):
        problems.append(f"nothing ran, see {own / 'log'}")
    return Run(
        name, seed, told.get("runs", 0), told.get("passed", 0), told.get("seconds", 0.0), told.get("slowest", 0.0),
        told.get("peak", 0), told.get("growth", 0), tuple(problems),
    )  # fmt: skip
