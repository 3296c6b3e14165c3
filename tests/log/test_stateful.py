"""Any sequence of operations leaves LmdbLog and MemoryLog telling the same story, restarts included."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.core.errors import Moved
from gateway.core.records import Row
from gateway.log.memory import MemoryLog
from tests.log.arrange import LogAndStore, StillClock, batch, everything, link_frame, lmdb_log

if TYPE_CHECKING:
    from gateway.core.frame import Batch, Frame
    from gateway.log.lmdb import LmdbLog

NAMES = st.sampled_from(["a", "b", "ab"])
VALUES = st.none() | st.binary(max_size=3)
ROWS = st.lists(st.builds(Row, st.sampled_from(["t", "tt"]), st.binary(min_size=1, max_size=3), VALUES), max_size=4)


class SameStory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.clock = StillClock()
        self.model = MemoryLog("eu", clock=self.clock)
        self.log = self._open()
        self.number = 0
        self.trimmed = 0

    def _open(self) -> LmdbLog:
        return self.runner.run(lmdb_log(self.directory, clock=self.clock, tail=20_000).__aenter__())

    def teardown(self) -> None:
        self.runner.run(self.log.__aexit__(None, None, None))
        self.runner.close()
        shutil.rmtree(self.directory)

    @rule(
        counts=st.lists(st.integers(1, 120), max_size=4),
        own=st.booleans(),
        size=st.sampled_from([0, 300]),
        name=NAMES,
        new=VALUES,
        stale=st.booleans(),
        rows=ROWS,
    )
    def append(
        self, *, counts: list[int], own: bool, size: int, name: str, new: bytes | None, stale: bool, rows: list[Row]
    ) -> None:
        items: list[Batch | Frame] = []
        for count in counts:
            numbers = range(self.number, self.number + count)
            items.append(batch(*numbers, size=size) if own else link_frame(self.number + 1, *numbers))
            self.number += count
        expected = b"never" if stale else self.model.position(name)

        async def append(log: LogAndStore) -> object:
            try:
                return await log.append(items, positions={name: (expected, new)}, rows=rows)
            except Moved:
                return Moved

        assert self.runner.run(append(self.log)) == self.runner.run(append(self.model))

    @rule(rows=ROWS)
    def write(self, rows: list[Row]) -> None:
        self.runner.run(self.log.write(rows))
        self.runner.run(self.model.write(rows))

    @rule(part=st.floats(0, 1.2))
    def trim(self, part: float) -> None:
        before = int(self.log.end * part)
        self.trimmed = max(self.trimmed, min(before, self.log.end + 1))
        self.runner.run(self.log.trim(before))
        self.runner.run(self.model.trim(before))

    @rule()
    def restart(self) -> None:
        self.runner.run(self.log.__aexit__(None, None, None))
        self.log = self._open()

    @rule(seconds=st.integers(-5, 5))
    def clock_moves(self, seconds: int) -> None:
        self.clock.time += seconds

    @invariant()
    def both_say_the_same(self) -> None:
        assert self.log.end == self.model.end
        assert self.log.positions() == self.model.positions()
        for table in ("t", "tt"):
            assert self.log.rows(table) == self.model.rows(table)
        mine, its = self.runner.run(everything(self.log, limit=30_000)), self.runner.run(everything(self.model))
        both = min(len(mine), len(its))
        assert mine[len(mine) - both :] == its[len(its) - both :]
        assert self.log.first == self.log.end + 1 - len(mine)
        assert self.log.first <= max(self.trimmed, 1)


SameStory.TestCase.settings = settings(
    max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
test_any_sequence_tells_the_same_story = SameStory.TestCase
