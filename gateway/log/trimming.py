"""Trimming: how far the log may be dropped, and who loses something by it.

    first ──── settled by all ──── lowest hold ──── end
          └ older than `keep`: goes
          └ at `at_most`: goes, young or not     └ only with `full: drop_oldest`

A hold is a name (a subscription, a reading region) and the lowest offset it still needs.
What a reader lost is said here when it goes; the reader itself counts it (`log_gap_events`)
when it comes there, once, and only what it had not settled.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)


class Trimming:
    """Asks for the holds, and tells each reader once what it lost."""

    def __init__(self) -> None:
        self.holds: Callable[[], Mapping[str, int]] = dict
        self.on_gap: Callable[[str, int, int, int], None] = _nobody
        self._told: dict[str, int] = {}
        """Reader → the last offset it was told to have lost."""

    def floor(self, end: int) -> int:
        """The lowest offset that somebody still needs; end + 1 when nobody does."""
        return min([end + 1, *self.holds().values()])

    def moved(self, first: int) -> None:
        """Tell the readers that the log now begins at `first`."""
        holds = self.holds()
        self._told = {reader: last for reader, last in self._told.items() if holds.get(reader, first) <= last}
        for reader, needed in holds.items():
            lost_from = max(needed, self._told.get(reader, 0) + 1)
            if lost_from >= first:
                continue
            if reader not in self._told:
                log.error("a reader loses events", extra={"reader": reader, "first": lost_from, "last": first - 1})
            self._told[reader] = first - 1
            self.on_gap(reader, lost_from, first - 1, first - lost_from)


def _nobody(reader: str, first: int, last: int, count: int) -> None:
    """What happens on a gap until somebody wants to know."""
