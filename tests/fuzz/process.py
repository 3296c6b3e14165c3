"""One target in a process of its own: `python -m tests.fuzz.process NAME ...`, started by `runs.py`.

atheris drives it (libFuzzer, guided by what of our code an input reaches);
where atheris cannot be had, hypothesis does, with bytes at random. What a check
raises is kept with its input, once for each place that raises, and fuzzing goes
on. What never returns, or takes too much memory, ends the process: libFuzzer
writes the input down itself; for hypothesis it stands in the file `current`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import mmap
import os
import random
import resource
import signal
import sys
import traceback
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tests.fuzz.target import Target

LONGEST = 4096
"""Bytes of an input; what it stands for may be larger."""
SLOW = 1.0
"""Seconds after which an input is kept as slow; it is no failure yet."""
HANG = 5
"""Seconds after which an input hangs, on a machine that does much else."""
MEMORY = 1024
"""MiB of memory that the process may have."""
MOST_KEPT = 20
"""Different failures of one run that are kept."""
PACKAGES = ["gateway", "federation", "connectors"]
"""What guides the fuzzer."""
_EVERY = 0.5
_ROUND = 200


@dataclass(slots=True)
class Tally:
    """What happened so far, written to `stats.json` twice a second."""

    folder: Path
    lasts: float
    """Seconds that the run is to take."""
    began: float = field(default_factory=perf_counter)
    runs: int = 0
    passed: int = 0
    slowest: float = 0.0
    half: int = 0
    """KiB of memory when half of the time was over."""
    failures: dict[str, str] = field(default_factory=dict)
    """Place that raised → the file with the input."""
    _written: float = 0.0

    def note(self, took: float, data: bytes, *, passed: bool) -> None:
        """Count an input."""
        self.runs += 1
        self.passed += passed
        if took > self.slowest:
            self.slowest = took
            if took > SLOW:
                self.keep("slow", data)
        now = perf_counter()
        if now - self._written > _EVERY:
            self._written = now
            self.write()

    def keep(self, kind: str, data: bytes) -> str:
        """Write an input down."""
        file = self.folder / f"{kind}-{sha256(data).hexdigest()[:16]}"
        file.write_bytes(data)
        return str(file)

    def fail(self, data: bytes, problem: BaseException) -> None:
        """Keep an input that broke the law, unless one did in the same way."""
        frames = [one for one in traceback.extract_tb(problem.__traceback__) if one.name != "demand"]
        law = f" {str(problem).partition(':')[0]}," if isinstance(problem, AssertionError) else ""
        where = f"{type(problem).__name__}{law} {Path(frames[-1].filename).name}:{frames[-1].lineno}"
        if where in self.failures or len(self.failures) >= MOST_KEPT:
            return
        self.failures[where] = self.keep("failed", data)
        text = "".join(traceback.format_exception(problem))
        Path(f"{self.failures[where]}.txt").write_text(text, encoding="utf-8", errors="backslashreplace")
        self.write()

    def write(self) -> None:
        """Write what happened so far."""
        took = perf_counter() - self.began
        if took > self.lasts / 2 and not self.half:
            self.half = _resident()
        told = {
            "runs": self.runs,
            "passed": self.passed,
            "seconds": took,
            "slowest": self.slowest,
            "failures": self.failures,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            "growth": _resident() - self.half if self.half else 0,
        }
        file = self.folder / "stats.json"
        file.with_suffix(".new").write_text(json.dumps(told), encoding="utf-8")
        file.with_suffix(".new").replace(file)


def _resident() -> int:
    """KiB of memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * (os.sysconf("SC_PAGE_SIZE") // 1024)


def checked(target: Target, tally: Tally, data: bytes) -> None:
    """Hold one input to the law, and count it."""
    began, passed = perf_counter(), False
    try:
        passed = target.check(data)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as problem:  # noqa: BLE001  whatever comes out is what we look for; some panics are no Exception
        tally.fail(data, problem)
    tally.note(perf_counter() - began, data, passed=passed)


def has_atheris() -> bool:
    """Whether atheris can be had on this machine."""
    return importlib.util.find_spec("atheris") is not None


def main() -> None:
    """Run one target until its time is over."""
    asked = argparse.ArgumentParser()
    asked.add_argument("target")
    asked.add_argument("--folder", type=Path, required=True)
    asked.add_argument("--seconds", type=float, required=True)
    asked.add_argument("--seed", type=int, required=True)
    asked.add_argument("--by", choices=("atheris", "hypothesis"), required=True)
    options = asked.parse_args()
    drive = _by_atheris if options.by == "atheris" else _by_hypothesis
    drive(options.target, options.folder, options.seconds, options.seed)


def _by_atheris(name: str, folder: Path, lasts: float, seed: int) -> NoReturn:
    import atheris  # noqa: PLC0415  not there on every machine

    with atheris.instrument_imports(include=PACKAGES):
        from tests.fuzz.targets import known  # noqa: PLC0415  what is imported here is watched
    target = known(name)
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    _sow(target, corpus, seed)
    words = folder / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in (*target.words, "\0")), encoding="ascii")
    tally = Tally(folder, lasts)
    options = {
        "max_total_time": max(1, round(lasts)), "timeout": HANG, "rss_limit_mb": MEMORY, "max_len": LONGEST,
        "artifact_prefix": f"{folder}/", "dict": words, "seed": seed, "print_final_stats": 0, "report_slow_units": HANG,
    }  # fmt: skip
    arguments = [sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), str(corpus)]
    atheris.Setup(arguments, lambda data: checked(target, tally, data))
    atheris.Fuzz()
    sys.exit()


def _by_hypothesis(name: str, folder: Path, lasts: float, seed: int) -> None:
    from hypothesis import HealthCheck, Phase, given, settings  # noqa: PLC0415  not beside atheris
    from hypothesis import seed as seeded  # noqa: PLC0415  the same
    from hypothesis import strategies as st  # noqa: PLC0415  the same

    from tests.fuzz.targets import known  # noqa: PLC0415  the same

    target, tally = known(name), Tally(folder, lasts)
    current = folder / "current"
    current.write_bytes(bytes(LONGEST + 2))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY << 20, MEMORY << 20))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # a hang ends the process, even inside a library
    with current.open("r+b") as file, mmap.mmap(file.fileno(), LONGEST + 2) as shared:

        def one(data: bytes) -> None:
            shared[: 2 + len(data)] = len(data).to_bytes(2, "big") + data
            signal.setitimer(signal.ITIMER_REAL, HANG)
            checked(target, tally, data)

        for data in target.seeds():
            one(data[:LONGEST])
        turn = 0
        while perf_counter() - tally.began < lasts:
            turn += 1
            unbounded = settings(
                max_examples=_ROUND,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            seeded(seed + turn)(unbounded(given(st.binary(min_size=1, max_size=LONGEST))(one)))()
        signal.setitimer(signal.ITIMER_REAL, 0)
    current.unlink()
    tally.write()


def _sow(target: Target, corpus: Path, seed: int) -> None:
    """Put seeds into the corpus: those of the target, and rows of choices at random."""
    chance = random.Random(seed)
    rows = [b"\x00" + chance.randbytes(chance.choice((8, 32, 128, 512))) for _ in range(100)]
    for data in (*target.seeds(), *rows):
        if len(data) <= LONGEST:
            (corpus / sha256(data).hexdigest()[:16]).write_bytes(data)


def _escaped(word: str) -> str:
    """A word as libFuzzer's dictionaries have it."""
    return "".join(f"\\x{byte:02x}" for byte in word.encode("utf-8", "surrogatepass"))


if __name__ == "__main__":
    main()
