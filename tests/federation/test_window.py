"""The window lets a fast line far away run full, and a thin one breathe."""

from __future__ import annotations

import asyncio

import pytest

from federation.window import LARGEST_PAGE, LARGEST_WINDOW, SMALLEST_PAGE, Window

MEGABYTE = 1024 * 1024


class HandClock:
    """A clock the test moves."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


def run_line(window: Window, clock: HandClock, *, round_trip: float, rate: float, seconds: float) -> tuple[float, int]:
    """Send as much as the window allows over such a line; return bytes a second at the end, and the most in flight."""
    acknowledgements: list[tuple[float, int, int]] = []
    upto = arrived = most = 0
    line_free = 0.0
    step = 0.001
    while clock.time < seconds:
        while not window.in_flight or window.in_flight + window.page <= window.allowed:
            window._held_back = True
            upto += 1
            line_free = max(line_free, clock.time) + window.page / rate
            acknowledgements.append((line_free + round_trip, upto, window.page))
            window.sent(upto, window.page)
        most = max(most, window.in_flight)
        clock.time += step
        while acknowledgements and acknowledgements[0][0] <= clock.time:
            _, offset, size = acknowledgements.pop(0)
            window.acknowledge(offset)
            arrived += size if clock.time > seconds / 2 else 0
    return arrived / (seconds / 2), most


def test_a_round_trip_of_100_ms_does_not_throttle() -> None:
    clock = HandClock()
    window = Window(16 * MEGABYTE, clock)

    reached, _ = run_line(window, clock, round_trip=0.1, rate=100 * MEGABYTE, seconds=4.0)

    assert reached > 80 * MEGABYTE


def test_a_thin_line_never_has_much_more_than_a_second_on_it() -> None:
    """50 kbit/s: beats must still pass."""
    clock = HandClock()
    window = Window(16 * MEGABYTE, clock)
    rate = 6250.0

    run_line(window, clock, round_trip=0.05, rate=rate, seconds=300.0)
    _, most = run_line(window, clock, round_trip=0.05, rate=rate, seconds=600.0)

    assert window.page == SMALLEST_PAGE
    assert most <= 2 * SMALLEST_PAGE + rate


@pytest.mark.parametrize("asked", [0, SMALLEST_PAGE, 1 << 40])
def test_whatever_is_asked_for_the_window_is_bounded(asked: int) -> None:
    window = Window(asked, HandClock())
    for offset in range(1, 100):
        window.sent(offset, MEGABYTE)
        window.acknowledge(offset)

    assert SMALLEST_PAGE <= window.allowed <= LARGEST_WINDOW
    assert SMALLEST_PAGE <= window.page <= LARGEST_PAGE


async def test_a_page_always_fits_when_nothing_is_on_the_way() -> None:
    window = Window(0, HandClock())
    await window.room()
    window.sent(1, 10 * MEGABYTE)

    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(window.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        window.acknowledge(1)

    assert window.in_flight == 0


def test_an_acknowledgement_counts_once() -> None:
    window = Window(MEGABYTE, HandClock())
    window.sent(10, 500)
    window.sent(20, 700)

    for _ in range(3):
        window.acknowledge(10)
    window.acknowledge(5)

    assert window.in_flight == 700
