"""Retry: how long to pause between attempts, and when to give up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


@dataclass(frozen=True, slots=True)
class Retry:
    """Exponential pauses with full jitter, in seconds."""

    first: float = 0.2
    """The longest pause before the first repeat."""
    longest: float = 30.0
    """No pause is longer."""
    give_up: float = 86400.0
    """An event that failed this long, while its destination was up, becomes a dead letter."""

    def pause(self, attempt: int, random: Random) -> float:
        """Seconds to wait before `attempt` (2 is the first repeat), full jitter.

        Never longer than `longest`. The sum is not bounded here: the caller gives
        up by the clock, because a sink may also ask for longer waits.
        """
        return random.uniform(0, min(self.longest, self.first * 2.0 ** min(max(attempt - 2, 0), 30)))
