from __future__ import annotations

import pytest

from gateway.log.memory import MemoryLog
from tests.log.arrange import StillClock
from tests.log.conformance import LogConformance


class TestMemoryLog(LogConformance):
    @pytest.fixture
    def log(self, clock: StillClock) -> MemoryLog:
        return MemoryLog("eu", clock=clock)
