"""What the log cannot give any more is told, never skipped in silence; the rest is delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.core import telemetry
from gateway.core.records import Page
from gateway.log.memory import MemoryLog
from tests.flow.delivering import REGION, Scene, make

if TYPE_CHECKING:
    from gateway.core.records import Position


class HoledLog(MemoryLog):
    """A MemoryLog some of whose frames are damaged."""

    holes: frozenset[int] = frozenset()

    async def read(self, *, after: Position, limit: int) -> Page:
        """Leave the holes out and name them, as LmdbLog does."""
        page = await super().read(after=after, limit=limit)
        gaps = tuple((hole, hole) for hole in sorted(self.holes) if after.offset < hole <= page.upto)
        return Page(tuple(stored for stored in page.frames if stored.first not in self.holes), page.upto, gaps)


@pytest.mark.parametrize("holes", [{2}, {1, 2}, {3, 4, 5}, {1, 2, 3, 4, 5}])
async def test_damaged_records_are_counted_and_the_others_arrive(
    holes: set[int], caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    scene.log = HoledLog(REGION, clock=scene.clock)
    scene.log.holes = frozenset(holes)
    counter = telemetry.log_gap_events.labels("orders")
    before = counter._value.get()

    delivery = scene.delivery(name="orders", lanes=1)
    async with scene.running(delivery):
        for number in range(1, 6):
            await scene.publish(make(number))
        await scene.until(lambda: delivery.status.position == 5)

    assert scene.sink.ids == [str(number) for number in range(1, 6) if number not in holes]
    assert counter._value.get() - before == len(holes)
    assert "damaged" in caplog.text
