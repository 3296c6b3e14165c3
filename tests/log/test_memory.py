from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.log.memory import MemoryLog
from tests.log.conformance import LogConformance

if TYPE_CHECKING:
    from tests.log.arrange import StillClock


class TestMemoryLog(LogConformance):
    @pytest.fixture
    def log(self, clock: StillClock) -> MemoryLog:
        return MemoryLog("eu", clock=clock)
