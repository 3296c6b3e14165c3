"""Burial: what delivery does with events that will never arrive: durable dead letters first, then settled."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gateway.core.errors import IsthmusError
from gateway.flow.dead_letters import EXCERPT, DeadLetter, DeadLetters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.clock import Clock
    from gateway.core.records import Stored
    from gateway.flow.parcel import Parcel
    from gateway.flow.progress import Progress

log = logging.getLogger(__name__)


class Burial:
    """Buries for one subscription. When it cannot, the events stay where they are."""

    def __init__(self, subscription: str, dead_letters: DeadLetters, progress: Progress, clock: Clock) -> None:
        self._name = subscription
        self._dead_letters = dead_letters
        self._progress = progress
        self._clock = clock
        self._troubled = False

    async def parcels(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Bury, then settle; return those that are to be buried later."""
        now = self._clock.now()
        if not await self._bury([self._letter(parcel, now) for parcel in parcels]):
            for parcel in parcels:
                parcel.doomed = True
            return list(parcels)
        self._progress.cursor.settle_all([parcel.offset for parcel in parcels if not parcel.sequence])
        return []

    async def frame(self, stored: Stored, reason: str) -> bool:
        """Bury a frame that cannot be opened; whether its dead letter, with its offsets, is durable."""
        header, now = stored.frame.header, self._clock.now()
        log.error("frame cannot be opened", extra={"subscription": self._name, "first": stored.first})
        return await self._bury(
            [DeadLetter(self._name, None, reason, 0, now, now, header.origin, header.first, stored.frame.count)]
        )

    def _letter(self, parcel: Parcel, now: float) -> DeadLetter:
        return DeadLetter(
            self._name,
            parcel.event,
            parcel.reason[:EXCERPT],
            parcel.attempts,
            parcel.first_at or now,
            now,
            parcel.origin,
            parcel.origin_offset,
            redrives=parcel.replay,
            is_raw=parcel.is_raw,
        )

    async def _bury(self, letters: Sequence[DeadLetter]) -> bool:
        try:
            await self._dead_letters.bury(letters)
        except IsthmusError as problem:
            if not self._troubled:
                log.error(  # noqa: TRY400  the trace says nothing
                    "dead letters cannot be written: their events stay",
                    extra={"subscription": self._name, "reason": str(problem)},
                )
            self._troubled = True
            return False
        self._troubled = False
        return True
