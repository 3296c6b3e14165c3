"""Tail: the newest frames in memory, shared by all readers, and the bell that wakes them.

What batches came with, events or who wants them, stays beside the frame, so that
nobody who is up to date decodes anything. When memory says so the events go first, then the frames.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import TYPE_CHECKING

from gateway.core.records import Page

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.core.records import Stored

_EVENT = 600
"""Bytes of Python objects around one decoded event, about."""

_SLACK = 64
"""Frames forgotten before the list is cut."""


class Tail:
    """Frames with consecutive offsets up to the end of the log, within a bound of bytes."""

    def __init__(self, end: int, *, limit: int) -> None:
        self.end = end
        self._limit = limit
        self._frames: list[Stored] = []
        self._start = 0
        self._opened = 0
        """Index of the oldest frame whose events are kept."""
        self._size = 0
        self._opened_size = 0
        self._bell = asyncio.Event()

    @property
    def first(self) -> int:
        """The lowest offset held; end + 1 while nothing is."""
        return self._frames[self._start].first if self._start < len(self._frames) else self.end + 1

    def extend(self, stored: Iterable[Stored], *, end: int) -> None:
        """Add what was committed and wake everybody who waits."""
        for one in stored:
            if one.first != self.end + 1:
                self._clear()
            one.is_shared = True
            self._frames.append(one)
            self.end = one.last
            self._size += len(one.frame.data)
            self._opened_size += _opened_size(one)
        if self.end != end:
            self._clear()
            self.end = end
        self._shrink()
        self.ring()

    def ring(self) -> None:
        """Wake everybody who waits; they look again."""
        self._bell.set()
        self._bell = asyncio.Event()

    async def grown(self) -> None:
        """Wait for the next bell."""
        await self._bell.wait()

    def drop_before(self, offset: int) -> None:
        """Forget the frames that end before that offset."""
        while self._start < len(self._frames) and self._frames[self._start].last < offset:
            self._drop_oldest()
        self._compact()

    def page(self, after: int, limit: int) -> Page | None:
        """Frames after an offset, at least one and about `limit` bytes; None when they are not all here."""
        if after + 1 < self.first or after >= self.end:
            return None
        at = self._index(after + 1)
        upto = at + 1
        size = len(self._frames[at].frame.data)
        while upto < len(self._frames):
            size += len(self._frames[upto].frame.data)
            if size > limit:
                break
            upto += 1
        frames = tuple(self._frames[at:upto])
        return Page(frames, frames[-1].last)

    def hash_at(self, offset: int) -> bytes | None:
        """The first 8 bytes of the record's hash there; None when it is not here."""
        if not self.first <= offset <= self.end:
            return None
        stored = self._frames[self._index(offset)]
        return stored.frame.hash_at(offset - stored.first)[:8]

    def _index(self, offset: int) -> int:
        """The frame that holds an offset which is here."""
        last = self._frames[-1]
        if offset >= last.first:
            return len(self._frames) - 1
        return bisect_right(self._frames, offset, lo=self._start, key=lambda stored: stored.first) - 1

    def _shrink(self) -> None:
        while self._opened_size > self._limit // 2 and self._opened < len(self._frames) - 1:
            stored = self._frames[self._opened]
            self._opened_size -= _opened_size(stored)
            stored.opened = stored.decided = None
            self._opened += 1
        while self._size + self._opened_size > self._limit and self._start < len(self._frames) - 1:
            self._drop_oldest()
        self._compact()

    def _drop_oldest(self) -> None:
        stored = self._frames[self._start]
        self._size -= len(stored.frame.data)
        if self._opened <= self._start:
            self._opened_size -= _opened_size(stored)
            self._opened = self._start + 1
        self._start += 1

    def _compact(self) -> None:
        if self._start > _SLACK and self._start * 2 > len(self._frames):
            del self._frames[: self._start]
            self._opened -= self._start
            self._start = 0

    def _clear(self) -> None:
        self._frames = []
        self._start = self._opened = self._size = self._opened_size = 0


def _opened_size(stored: Stored) -> int:
    """Bytes of a frame's events in memory; the same whether or not a reader opened it meanwhile."""
    return stored.frame.header.raw + _EVENT * stored.frame.count
