"""Pauses are jittered over their full length, grow, and have a limit."""

from __future__ import annotations

from random import Random

import pytest

from gateway.core.retry import Retry


@pytest.mark.parametrize(
    ("attempt", "bound"), [(1, 0.2), (2, 0.2), (3, 0.4), (4, 0.8), (9, 25.6), (10, 30.0), (10_000, 30.0)]
)
def test_a_pause_is_anywhere_between_nothing_and_its_bound(attempt: int, bound: float) -> None:
    random = Random(1)
    pauses = [Retry().pause(attempt, random) for _ in range(2000)]

    assert 0 <= min(pauses) < bound * 0.05
    assert bound * 0.95 < max(pauses) <= bound


def test_the_first_pause_may_be_the_longest() -> None:
    assert Retry(first=5.0, longest=1.0).pause(2, Random(1)) <= 1.0
