"""SQS and HTTP → A → link → B → webhook under kills, for seconds here and for minutes in `make soak`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.crossing import Plan, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


@pytest.mark.parametrize("filtered", [False, True])
async def test_nothing_is_lost_while_every_process_is_killed(*, filtered: bool, tmp_path: Path) -> None:
    """Every acknowledged event arrives, in order per key, once over the link; by filters in both regions, too."""
    plan = Plan(seconds=20.0, rate=1000, seed=11, shortest=1.5, longest=5.0, filtered=filtered)

    outcome = await run(plan, tmp_path)

    print(outcome)
    assert outcome.verdict.acknowledged > 5000
    assert all(kills >= 2 for kills in outcome.kills.values()), outcome
    assert outcome.holds, outcome


async def test_a_build_that_acknowledges_early_is_caught(tmp_path: Path) -> None:
    """The same run must fail when events are acknowledged before their commit, or it proves nothing."""
    plan = Plan(seconds=15.0, rate=1000, seed=12, shortest=1.5, longest=4.0, early=True, patience=15.0)

    outcome = await run(plan, tmp_path)

    print(outcome)
    assert outcome.verdict.lost
    assert not outcome.holds
