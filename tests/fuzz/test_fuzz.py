"""Every parser, fuzzed for a minute in sum; and that fuzzing finds what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fuzz.runs import HANG, by, run_all, run_one
from tests.fuzz.source import SEPARATOR, Source, written
from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

IN_SUM = 60.0
"""Seconds of fuzzing, on two processes."""
LEAST = 0.02
"""The share of inputs that get past the parser, where a minute is enough to tell."""

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def test_every_parser_keeps_its_law(tmp_path: Path) -> None:
    """No crash, no hang, no growth, whatever a user or a peer writes. By hypothesis where atheris cannot be had."""
    print(f"by {by()}")
    problems: list[str] = []

    for run in run_all(TARGETS, IN_SUM / len(TARGETS), driver=by(), folder=tmp_path):
        print(run.summary())
        problems += [f"{run.name} (seed {run.seed}): {problem}" for problem in run.problems]
        if run.runs > 1000 and run.passed < LEAST * run.runs:
            problems.append(f"{run.name}: only {run.passed} of {run.runs} inputs got past the parser")

    assert problems == []


def test_what_is_kept_can_be_tried_again(tmp_path: Path) -> None:
    run = run_one("breaks", 1, driver=by(), folder=tmp_path)

    (problem,) = run.problems
    _, _, file = problem.rpartition(": ")
    assert problem.startswith("Broken no input has an a, wrong.py")
    assert b"a" in (tmp_path / "breaks" / file.rpartition("/")[2]).read_bytes()


@pytest.mark.parametrize("driver", sorted({by(), "hypothesis"}))
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("breaks", "Broken no input has an a, wrong.py"),
        ("raises", "RecursionError wrong.py"),
        ("hangs", f"an input takes longer than {HANG} s"),
        ("leaks", "memory grew by"),
        ("disorders", "Broken offsets ascend, targets_link.py"),
    ],
)
def test_what_is_wrong_is_found(name: str, problem: str, driver: str, tmp_path: Path) -> None:
    run = run_one(name, 3, driver=driver, folder=tmp_path)

    assert any(problem in found for found in run.problems), run.problems


@pytest.mark.parametrize("name", ["pattern", "frames"])
def test_hypothesis_does_where_atheris_cannot_be_had(name: str, tmp_path: Path) -> None:
    run = run_one(name, 2, driver="hypothesis", folder=tmp_path)

    assert run.runs > 10
    assert run.passed > 0


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_taken(name: str) -> None:
    """Each is an input of its target, and most of them get past the parser."""
    target = TARGETS[name]
    seeds = list(target.seeds())

    passed = [target.check(seed) for seed in seeds]

    assert sum(passed) * 2 >= len(seeds)


def test_a_source_comes_to_its_end() -> None:
    source = Source(b"\x00\x05abc")

    assert not source.is_text
    assert [source.below(4), source.pick("xyz"), source.rarely(), source.text(4)] == [1, "y", False, ""]
    assert source.is_empty
    assert [source.byte(), source.pick("xyz"), source.rarely(2), source.text()] == [0, "x", False, ""]
    assert Source(written("a", b"b")).parts(3) == [b"a", b"b", b""]
    assert Source(written("a", b"b" + SEPARATOR)).parts(2) == [b"a", b"b" + SEPARATOR]
