"""The checker itself must be able to fail."""

from __future__ import annotations

import pytest

from tests.e2e.history import History


def history(seen: list[str]) -> History:
    ids = {f"k{key}:{number}" for key in (1, 2) for number in range(3)}
    return History(published=ids, acknowledged=ids, seen=seen)


ALL = ["k1:0", "k2:0", "k1:1", "k1:2", "k2:1", "k2:2"]


def test_everything_once_and_in_order_holds() -> None:
    assert history(ALL).check().holds(repeats_allowed=0)


def test_a_repeated_suffix_holds_only_as_far_as_repeats_are_allowed() -> None:
    verdict = history([*ALL[:4], *ALL[2:]]).check()

    assert verdict.holds(repeats_allowed=2)
    assert not verdict.holds(repeats_allowed=1)


@pytest.mark.parametrize(
    "seen",
    [ALL[:-1], ["k1:1", "k1:0", *ALL[1:]], [*ALL, "k3:0"]],
    ids=["lost", "reordered", "never published"],
)
def test_a_broken_contract_is_seen(seen: list[str]) -> None:
    assert not history(seen).check().holds(repeats_allowed=1000)
