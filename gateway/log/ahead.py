"""Ahead: full frames are compressed while an earlier commit is still on its way to the disk.

    append ─▶ Together ─ full ─▶ sealer thread ─ Content ─▶ I/O thread
                 └─────── what is not full when its commit begins ──▶ ┘

Only what is full is compressed ahead, so frames are the same with and without.
The I/O thread cuts a group into frames as they were cut here; a content that it
does not find, or finds waiting, it makes itself. A group may be taken while its
last batches are noted: then a content is made for nothing, and never used.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from operator import is_not
from typing import TYPE_CHECKING

from gateway.codec.frames import compress
from gateway.core.frame import MAX_COUNT, MAX_RAW, Batch, Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gateway.codec.frames import Content
    from gateway.log.writing import Request


class Together:
    """Neighbouring batches of one space, as far as one frame holds them."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self._count = self._raw = 0

    def add(self, batch: Batch) -> list[Batch] | None:
        """Add one; the batches before it when it does not fit to them."""
        full = self.batches and (
            batch.space != self.batches[0].space
            or self._count + batch.count > MAX_COUNT
            or self._raw + len(batch.body) > MAX_RAW
        )
        done = self.end() if full else None
        self.batches.append(batch)
        self._count, self._raw = self._count + batch.count, self._raw + len(batch.body)
        return done

    def end(self) -> list[Batch] | None:
        """The batches so far, and begin again; None: there are none."""
        done = self.batches or None
        self.batches, self._count, self._raw = [], 0, 0
        return done


def cut(requests: Sequence[Request]) -> Iterator[Frame | list[Batch]]:
    """The items of these in order, neighbouring batches together as far as one frame holds them."""
    together = Together()
    for request in requests:
        for item in request.items:
            done = together.end() if isinstance(item, Frame) else together.add(item)
            if done:
                yield done
            if isinstance(item, Frame):
                yield item
    if done := together.end():
        yield done


def made_for(requests: Sequence[Request]) -> Callable[[Sequence[Batch]], Content | None]:
    """Gives the content of such batches, if it was made ahead; waits for one that is being made."""
    made = {id(batches[0]): (batches, content) for request in requests for batches, content in request.made}

    def content_of(batches: Sequence[Batch]) -> Content | None:
        found, content = made.get(id(batches[0]), ((), None))
        if content is None or len(found) != len(batches) or any(map(is_not, found, batches)):
            return None  # not full when its commit began, or a neighbour was refused
        return None if content.cancel() else content.result()

    return content_of


class Ahead:
    """Has the frames compressed that are full, and leaves them with the request that each begins with."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="log sealer")
        self._together = Together()
        self._first: Request | None = None
        """The request that `_together` begins with."""
        self._begun = self._taken = 0
        """Groups that had been taken when `_together` began, and by now."""

    def note(self, request: Request) -> None:
        """See what is queued for the next commit. On the loop."""
        if self._begun != self._taken:
            self._begun = self._taken
            self._together.end()
        for item in request.items:
            done = self._together.end() if isinstance(item, Frame) else self._together.add(item)
            if done and self._first is not None:
                self._first.made.append((done, self._executor.submit(compress, done)))
            if len(self._together.batches) <= 1:
                self._first = request

    def taken(self) -> None:
        """Note that a commit takes what is queued: the next frame begins with what comes then. In the I/O thread."""
        self._taken += 1

    def close(self) -> None:
        """Make no more."""
        self._executor.shutdown(wait=False, cancel_futures=True)
