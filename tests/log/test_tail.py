from __future__ import annotations

import pytest

from gateway.codec.frames import seal
from gateway.core.records import Stored
from gateway.log.tail import Tail
from tests.log.arrange import ORIGIN, batch


def stored(first: int, count: int = 10) -> Stored:
    events = batch(*range(first, first + count), size=500)
    decided = {"a": [(0, events.events[0])]} if events.events else {}
    return Stored(first, seal([events], origin=ORIGIN, first=first, accepted=1.0), events.events, decided=decided)


def filled(limit: int, frames: int = 50) -> Tail:
    tail = Tail(0, limit=limit)
    for number in range(frames):
        tail.extend([stored(number * 10 + 1)], end=number * 10 + 10)
    return tail


def test_memory_stays_within_its_limit() -> None:
    tail = filled(200_000, frames=500)

    kept = tail.page(tail.first - 1, 1 << 30)

    assert kept is not None
    assert sum(len(one.frame.data) for one in kept.frames) <= 200_000
    assert kept.upto == tail.end == 5000


def test_old_events_go_before_old_frames() -> None:
    tail = filled(200_000)

    kept = tail.page(tail.first - 1, 1 << 30)

    assert kept is not None
    opened = [one.opened is not None for one in kept.frames]
    assert opened == sorted(opened)
    assert set(opened) == {False, True}
    assert [one.decided is not None for one in kept.frames] == opened  # it holds events, too


@pytest.mark.parametrize("before", [1, 95, 301, 501])
def test_what_was_trimmed_is_not_in_memory(before: int) -> None:
    tail = filled(1 << 20)

    tail.drop_before(before)

    assert tail.first == (before - 1) // 10 * 10 + 1
    assert tail.page(before - 12, 1 << 20) is None


def test_a_tail_that_missed_something_begins_anew() -> None:
    """A commit that failed halfway may be there after all: then the gap is read from disk."""
    tail = filled(1 << 20)

    tail.extend([stored(521)], end=530)

    assert (tail.first, tail.end) == (521, 530)
    assert tail.page(500, 1) is None
