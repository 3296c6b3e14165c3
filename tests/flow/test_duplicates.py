"""The window of recent duplicates."""

from __future__ import annotations

import os

from gateway.flow.duplicates import Arrivals, Window, split


def arrived(*arrivals: tuple[int, int]) -> Arrivals:
    """Events whose footer hashes have these halves."""
    return split(b"".join((half << 4).to_bytes(8, "little") for arrival in arrivals for half in arrival))


def what(window: Window, who: int) -> int | None:
    """What that one carried."""
    return window.look([who])[0]


def test_an_event_is_known_for_as_long_as_the_window_lasts() -> None:
    window = Window(lasting=10.0, at_most=100)

    window.add(arrived((1, 7)), 0.0)
    window.add(arrived((2, 7)), 9.0)

    assert what(window, 1) == 7
    window.add(arrived((3, 7)), 10.5)
    assert what(window, 1) is None
    assert what(window, 2) == 7


def test_no_more_than_at_most_events_are_remembered() -> None:
    window = Window(lasting=1e9, at_most=1000)

    for number in range(5000):
        window.add(arrived((number, 0)), 0.0)

    assert len(window) == 1000
    assert sum(what(window, number) is not None for number in range(5000)) == 1000
    assert what(window, 4999) is not None


def test_a_failed_commit_is_forgotten() -> None:
    window = Window(lasting=10.0, at_most=100)
    window.add(arrived((1, 7), (2, 8)), 0.0)

    window.remove(arrived((1, 7)))

    assert what(window, 1) is None
    assert what(window, 2) == 8


def test_forgetting_an_old_arrival_keeps_a_newer_one_with_other_data() -> None:
    window = Window(lasting=10.0, at_most=100)
    window.add(arrived((1, 7)), 0.0)
    window.add(arrived((1, 9)), 5.0)

    window.add(arrived((2, 0)), 11.0)

    assert what(window, 1) == 9


def test_hashes_split_into_halves_that_differ() -> None:
    arrivals = split(os.urandom(16 * 50))
    halves = list(zip(arrivals.who, arrivals.what, strict=True))

    assert len(halves) == 50
    assert len(set(halves)) == 50
    assert all(0 <= half < 2**60 for pair in halves for half in pair)
