"""The position never passes an open offset, and a restart knows what is settled behind it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.cursor import Cursor, Failing


def taken(*offsets: int) -> Cursor:
    cursor = Cursor()
    for offset in offsets:
        cursor.take(offset)
    return cursor


@pytest.mark.parametrize(("settled", "position"), [([], 0), ([2, 3], 0), ([1], 1), ([1, 3], 1), ([3, 1, 2], 3)])
def test_position_stops_before_the_first_open_offset(settled: list[int], position: int) -> None:
    """A restart never skips an event that was read but not settled."""
    cursor = taken(1, 2, 3)

    for offset in settled:
        cursor.settle(offset)

    assert cursor.position == position


def test_what_was_looked_at_and_not_taken_is_settled() -> None:
    cursor = Cursor()

    cursor.look(500)

    assert (cursor.position, cursor.open) == (500, 0)


def test_an_offset_settles_with_its_last_part() -> None:
    cursor = Cursor()
    cursor.take(1, parts=3)

    cursor.settle(1)
    cursor.settle_all([1])
    assert cursor.position == 0
    cursor.settle_all([1])

    assert cursor.position == 1


def test_settling_twice_changes_nothing() -> None:
    cursor = taken(1, 2)

    cursor.settle_all([2, 2, 7])

    assert (cursor.position, cursor.open) == (0, 1)


def test_what_the_log_lost_is_counted_once() -> None:
    """Open before the restart, or never read; not what is in memory, nor what was settled."""
    cursor = taken(1, 2, 3, 4)
    cursor.settle(2)
    restored = Cursor.load(cursor.dump())

    lost = restored.lose(0, 6)

    assert lost == 3 + 2
    assert restored.position == 6


def test_what_is_in_memory_is_not_lost_to_trimming() -> None:
    cursor = taken(1, 2, 3)

    assert cursor.lose(3, 10) == 7
    assert cursor.position == 0


def test_a_dump_keeps_log_hash_and_failures() -> None:
    cursor = Cursor(10, log="eu/n1@00")
    cursor.take(12)
    failing = Failing(12, 3, 7.5, 1.7e9)

    restored = Cursor.load(cursor.dump(hash=b"12345678", failing=[failing]))

    assert (restored.log, restored.hash, restored.position) == ("eu/n1@00", b"12345678", 11)
    assert restored.failing == {12: failing}


def test_a_dump_is_small_however_many_are_settled() -> None:
    cursor = taken(*range(1, 50_001))
    for offset in range(2, 50_001):
        cursor.settle(offset)

    assert len(cursor.dump()) < 40


@given(
    position=st.integers(0, 1000),
    looked=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60),
    after=st.integers(0, 5),
)
def test_a_restart_takes_exactly_what_was_open(position: int, looked: list[tuple[bool, bool]], after: int) -> None:
    cursor = Cursor(position)
    opened = set()
    for offset, (is_taken, is_settled) in enumerate(looked, position + 1):
        cursor.look(offset)
        if is_taken:
            cursor.take(offset)
            if is_settled:
                cursor.settle(offset)
            else:
                opened.add(offset)
    end = position + len(looked)

    restored = Cursor.load(cursor.dump())

    assert restored.position == cursor.position == min(opened, default=end + 1) - 1
    wanted = {offset for offset in range(restored.position + 1, end + after + 1) if restored.wants(offset)}
    assert wanted == opened | set(range(end + 1, end + after + 1))
    assert Cursor.load(restored.dump()).dump() == restored.dump() == cursor.dump()
