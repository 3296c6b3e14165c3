"""Fuzz the parsers: `make fuzz`, or `python -m tests.fuzz [--seconds N] [--targets NAME ...] [--list]`.

With `--input FILE` one input is tried again, as it was kept under build/fuzz/NAME.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter

from tests.fuzz.runs import HEADING, by, run_all
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Do what the command line says; 1 if a law did not hold."""
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    asked.add_argument("--seconds", type=float, default=60, help="for each target, two at a time; default 60")
    asked.add_argument("--targets", nargs="+", metavar="NAME", choices=tuple(TARGETS), default=tuple(TARGETS))
    asked.add_argument("--input", type=Path, metavar="FILE", help="try one input again, with the only target")
    asked.add_argument(
        "--by", choices=("atheris", "hypothesis"), default=by(), help="default: atheris where it can be had"
    )
    asked.add_argument("--list", action="store_true", help="the targets and their laws")
    options = asked.parse_args()
    if options.list:
        for target in TARGETS.values():
            print(f"{target.name:13}{target.law}")
        return 0
    if options.input is not None:
        return _again(options.targets, options.input.read_bytes())
    print(f"{len(options.targets)} targets by {options.by}, {options.seconds:g} s each\n{HEADING}", flush=True)
    began, sums, failed = perf_counter(), 0.0, False
    for run in run_all(options.targets, options.seconds, driver=options.by):
        print(run.summary(), *(f"  {problem} (seed {run.seed})" for problem in run.problems), sep="\n", flush=True)
        sums, failed = sums + run.seconds, failed or bool(run.problems)
    print(f"{sums:.0f} s of fuzzing in {perf_counter() - began:.0f} s")
    return 1 if failed else 0


def _again(names: tuple[str, ...], data: bytes) -> int:
    if len(names) != 1:
        sys.exit("--input wants one target: --targets NAME")
    began = perf_counter()
    passed = TARGETS[names[0]].check(data)
    print(f"the law holds; {'passed' if passed else 'refused'} in {perf_counter() - began:.3f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
