"""The window of recent duplicates."""

from __future__ import annotations

import os

from gateway.flow.duplicates import Window, split


def test_an_event_is_known_for_as_long_as_the_window_lasts() -> None:
    window = Window(lasting=10.0, at_most=100)

    window.add([(1, 7)], 0.0)
    window.add([(2, 7)], 9.0)

    assert window.what(1) == 7
    window.add([(3, 7)], 10.5)
    assert window.what(1) is None
    assert window.what(2) == 7


def test_no_more_than_at_most_events_are_remembered() -> None:
    window = Window(lasting=1e9, at_most=1000)

    for number in range(5000):
        window.add([(number, 0)], 0.0)

    assert len(window) == 1000
    assert sum(window.what(number) is not None for number in range(5000)) == 1000
    assert window.what(4999) is not None


def test_a_failed_commit_is_forgotten() -> None:
    window = Window(lasting=10.0, at_most=100)
    window.add([(1, 7), (2, 8)], 0.0)

    window.remove([(1, 7)])

    assert window.what(1) is None
    assert window.what(2) == 8


def test_forgetting_an_old_arrival_keeps_a_newer_one_with_other_data() -> None:
    window = Window(lasting=10.0, at_most=100)
    window.add([(1, 7)], 0.0)
    window.add([(1, 9)], 5.0)

    window.add([(2, 0)], 11.0)

    assert window.what(1) == 9


def test_hashes_split_into_halves_that_differ() -> None:
    hashes = os.urandom(16 * 50)

    halves = list(split(hashes))

    assert len(halves) == 50
    assert len(set(halves)) == 50
    assert all(0 <= half < 2**60 for pair in halves for half in pair)
