"""Lookout: one look at what is new for all subscriptions that wait at the end of the log.

    log ─ page ─▶ Lookout ─▶ pass_over, pass_over, pass_over        the page has nothing for them: they sleep on
                        └──▶ wake                                    it has: they read on by themselves

Waking a task that then finds nothing costs ten times what asking it costs, and
with many filters most pages have nothing for most subscriptions.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias

from gateway.core.errors import Trimmed
from gateway.core.records import Position

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.records import EventLog, Page

PAGE: Final = 64 * 1024
"""Bytes of frames looked at between two turns of the loop."""

PassOver: TypeAlias = "Callable[[Page, Position], bool]"
"""Whether nothing on the page is wanted, and whoever was asked goes on behind it, at that position."""


class Lookout:
    """Reads the end of a log while it runs and somebody waits; without it everybody reads for themselves."""

    def __init__(self, event_log: EventLog) -> None:
        self._log = event_log
        self._runs = False
        self._position = Position(event_log.log_id, 0)
        """How far it has looked, while somebody waits."""
        self._waiting: dict[asyncio.Future[None], PassOver] = {}
        self._joined: asyncio.Future[None] | None = None
        """What it waits for itself while nobody does: with nobody to tell, it does not look."""

    async def wait(self, after: int, pass_over: PassOver) -> None:
        """Return when there may be something behind that offset that is not passed over.

        At once, without giving anybody a turn, if that is not the end of the log.
        It must be one of this log, up to which its reader has read: nothing is
        checked here. `pass_over` is asked about each page that comes, some of
        which may lie before `after`.
        """
        if not self._runs or after < self._log.end:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[woken] = pass_over
        if self._joined is not None and not self._joined.done():
            self._position = Position(self._log.log_id, after)
            self._joined.set_result(None)
        try:
            await woken
        finally:
            self._waiting.pop(woken, None)

    async def run(self) -> None:
        """Look until cancelled; whoever waits is woken when this ends."""
        self._runs = True
        try:
            while True:
                if not self._waiting:
                    self._joined = asyncio.get_running_loop().create_future()
                    await self._joined
                self._position = await self._look(self._position)
                await asyncio.sleep(0)  # a read that need not wait gives nobody else a turn
        finally:
            self._runs = False
            self._wake_all()

    async def _look(self, after: Position) -> Position:
        try:
            page = await self._log.read(after=after, limit=PAGE)
        except Trimmed as gap:
            self._wake_all()
            return Position(after.log, gap.first - 1)
        end = page.end_of(after.log)
        if page.gaps or not all(stored.is_shared for stored in page.frames):
            self._wake_all()  # each has to deal with that alone
            return end
        for woken, pass_over in tuple(self._waiting.items()):
            if not pass_over(page, end):
                self._wake(woken)
        return end

    def _wake_all(self) -> None:
        for woken in tuple(self._waiting):
            self._wake(woken)

    def _wake(self, woken: asyncio.Future[None]) -> None:
        del self._waiting[woken]
        if not woken.done():
            woken.set_result(None)
