"""Commits: the I/O thread. Whatever arrived while the last commit ran is committed next.

    event loop ──requests──▶ I/O thread: one group, one transaction, one fsync
         ▲                                   │
         └──── one call_soon_threadsafe ◀────┘

There is no timer: on a quiet log a group is one request, on a busy or slow disk
it is many. Waking the loop costs 25 µs, so a group wakes it once. Frames that
become full in the queue are compressed there, by a thread of their own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Final

from gateway.core.errors import Unavailable
from gateway.log.ahead import Ahead

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.log.wake import Wakers
    from gateway.log.writing import Request, Writer, Written

GROUP: Final = 8 * 1024 * 1024
"""Bytes of requests in one transaction, about."""
QUEUE: Final = 32 * 1024 * 1024
"""Bytes of requests that wait for a commit; further callers wait before they begin."""


class Commits:
    """A queue of requests and the one thread that writes them."""

    def __init__(self, writer: Writer, wakers: Wakers, landed: Callable[[Written], None]) -> None:
        self._writer = writer
        self._wakers = wakers
        self._landed = landed
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
        self._queued = 0
        self._blocked: deque[tuple[asyncio.Future[None], int]] = deque()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._group: list[Request] = []
        self._ahead = Ahead()
        self._gone = self._loop.create_future()
        self._thread = Thread(target=self._run, name="log writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def close(self) -> None:
        """Commit what is queued, refuse the rest, end the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.shield(self._gone)
        self._thread.join()

    @property
    def is_running(self) -> bool:
        """Whether the thread lives and takes requests."""
        return self._thread.is_alive() and not self._closed

    async def submit(self, request: Request) -> int:
        """Wait until the request is durable; its outcome.

        Cancelled: it is either written wholly or never begun.
        """
        await self._admit(request.size)
        if self._closed or self._gone.done():
            self._release(request.size)
            raise Unavailable("the log is closed")
        self._ahead.note(request)
        self._queue.put(request)
        return await request.future

    async def _admit(self, size: int) -> None:
        """Take room in the queue, in order of arrival."""
        if not self._blocked and (not self._queued or self._queued + size <= QUEUE):
            self._queued += size
            return
        turn: asyncio.Future[None] = self._loop.create_future()
        self._blocked.append((turn, size))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._release(size)
            raise

    def _release(self, size: int) -> None:
        self._queued -= size
        while self._blocked and (not self._queued or self._queued + self._blocked[0][1] <= QUEUE):
            turn, wanted = self._blocked.popleft()
            if not turn.done():
                self._queued += wanted
                turn.set_result(None)

    def _run(self) -> None:
        """The thread. It ends when told to, or by a bug, and then refuses what is queued."""
        try:
            while (group := self._take()) is not None:
                self._group = group
                going = [request for request in group if not request.future.cancelled()]
                written = self._writer.write(going) if going else None
                self._loop.call_soon_threadsafe(self._land, group, written)
                if written is not None and written.stored:
                    self._wakers.ring()
        finally:
            self._loop.call_soon_threadsafe(self._end)

    def _take(self) -> list[Request] | None:
        """The next group, waiting for its first request; None: no more will come."""
        request = self._queue.get()
        if request is None:
            return None
        group = [request]
        size = request.size
        try:
            while size < GROUP:
                request = self._queue.get_nowait()
                if request is None:
                    self._queue.put(None)
                    break
                group.append(request)
                size += request.size
        except Empty:
            pass
        self._ahead.taken()
        return group

    def _land(self, group: list[Request], written: Written | None) -> None:
        """On the loop: tell each caller, make it visible before any of them runs, then let in who waited.

        Callers go first, so that answers are on their way while readers look at what is new.
        """
        if written is not None:
            for request, outcome in written.outcomes:
                if request.future.done():
                    continue
                if isinstance(outcome, Exception):
                    request.future.set_exception(outcome)
                else:
                    request.future.set_result(outcome)
            self._landed(written)
        self._release(sum(request.size for request in group))

    def _end(self) -> None:
        """On the loop: nobody may wait for ever for a thread that is gone."""
        self._closed = True
        self._ahead.close()
        left: list[Request | None] = list(self._group)
        while not self._queue.empty():
            left.append(self._queue.get_nowait())
        for request in left:
            if request is not None and not request.future.done():
                request.future.set_exception(Unavailable("the log is closed"))
        while self._blocked:
            turn, _ = self._blocked.popleft()
            if not turn.done():
                turn.set_exception(Unavailable("the log is closed"))
        self._gone.set_result(None)
