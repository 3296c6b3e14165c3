"""Lanes: what is read and not yet being sent, for so many senders at a time.

With an order key, a key always goes to the same lane, so that its events are
sent one after the other. Without, any free lane takes the next batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.flow.parcel import Parcel


class Lanes:
    """Queues of parcels; whoever puts asks for `has_room` first."""

    def __init__(self, count: int, limit: int, *, ordered: bool) -> None:
        self.limit = limit
        """The most events of one batch."""
        self.queued = 0
        self._queues: list[deque[Parcel]] = [deque() for _ in range(count if ordered else 1)]
        self._idle: list[deque[asyncio.Future[None]]] = [deque() for _ in self._queues]
        self._turn = 0
        self._count = count

    def put(self, parcel: Parcel) -> None:
        """Queue it; `wake` after the last."""
        queues = self._queues
        if len(queues) == 1:
            queues[0].append(parcel)
        elif parcel.key is not None:
            queues[hash(parcel.key) % len(queues)].append(parcel)
        else:
            self._turn += 1
            queues[self._turn % len(queues)].append(parcel)
        self.queued += 1

    def wake(self) -> None:
        """Let idle lanes take what was put."""
        for queue, idle in zip(self._queues, self._idle, strict=True):
            batches = -(-len(queue) // self.limit)
            while idle and batches > 0:
                waiter = idle.popleft()
                if not waiter.done():
                    waiter.set_result(None)
                    batches -= 1

    async def take(self, lane: int) -> list[Parcel]:
        """Wait for the next batch of a lane. Cancelling leaves everything queued."""
        index = lane % len(self._queues)
        queue = self._queues[index]
        while not queue:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle[index].append(waiter)
            await waiter
        size = min(self.limit, len(queue))
        batch = [queue.popleft() for _ in range(size)]
        self.queued -= size
        return batch

    @property
    def is_hungry(self) -> bool:
        """Whether some lane has less than its next batch queued."""
        ahead = self.limit * self._count if len(self._queues) == 1 else self.limit
        return any(len(queue) < ahead for queue in self._queues)
