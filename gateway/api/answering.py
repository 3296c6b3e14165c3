"""Answering: work behind an answer that takes longer than the turn of the loop its request came in.

    post ─┐
    post ─┼─▶ one publish ─▶ an answer for each
    post ─┘

Posts that came in during one turn are published together, in the order they
came in: at the log they would share a commit anyway, and one joint acceptance
costs a fraction of one for each. Nobody waits for company, since a turn ends
when what has come in is read. What the publish was told, all of them are told.
"""

from __future__ import annotations

import asyncio
import logging
from math import ceil
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gateway.api.answers import ACCEPTED, FAILED, Answer, problem
from gateway.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Sequence

    from gateway.api.limits import Limits
    from gateway.core.contracts import Publisher
    from gateway.core.event import Event

log = logging.getLogger(__name__)

_TOGETHER = 1024 * 1024
"""Bytes of posts beyond which no more are added: one joint publish is one request of the log."""


class Asker(Protocol):
    """Who waits for an answer."""

    def answered(self, answer: Answer) -> None:
        """Take it."""
        ...


class _Post(NamedTuple):
    asker: Asker
    events: list[Event]


class Answering:
    """Answers each asker once, within `answer_timeout`, unless it is cancelled."""

    def __init__(self, publisher: Publisher, limits: Limits, tasks: asyncio.TaskGroup) -> None:
        self._publisher = publisher
        self._limits = limits
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()
        self._posts: list[_Post] = []
        self._size = 0

    def post(self, asker: Asker, events: list[Event], size: int) -> None:
        """Publish these validated events, of so many bytes, with what else comes in during this turn."""
        if not self._posts:
            asyncio.get_running_loop().call_soon(self._publish_all)
        self._posts.append(_Post(asker, events))
        self._size += size
        if self._size > _TOGETHER:
            self._publish_all()

    def ask(self, asker: Asker, work: Awaitable[Answer]) -> None:
        """Give the asker the answer that comes of this work."""
        self._start(self._settle(asker, work))

    def cancel(self) -> None:
        """Stop what is under way; events may become durable nevertheless."""
        for task in self._running:
            task.cancel()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _publish_all(self) -> None:
        posts, self._posts, self._size = self._posts, [], 0
        if posts:
            self._start(self._publish(posts))

    async def _publish(self, posts: Sequence[_Post]) -> None:
        events = [event for post in posts for event in post.events]
        answer = await self._outcome(self._accept(events))
        if answer is FAILED and len(posts) > 1:  # one of them meets a bug of ours: the others need not
            for post in posts:
                await self._publish([post])
            return
        for post in posts:
            post.asker.answered(answer)

    async def _accept(self, events: Sequence[Event]) -> Answer:
        try:
            await self._publisher.publish("anonymous", "main", events, via="http")
        except Unavailable as wrong:
            return problem(503, str(wrong), headers=(("Retry-After", str(max(1, ceil(wrong.after or 1)))),))
        return ACCEPTED

    async def _settle(self, asker: Asker, work: Awaitable[Answer]) -> None:
        asker.answered(await self._outcome(work))

    async def _outcome(self, work: Awaitable[Answer]) -> Answer:
        limit = self._limits.answer_timeout
        try:
            async with asyncio.timeout(limit):
                return await work
        except TimeoutError:
            reason = f"not durable within {limit:g} s; it may still become so"
            return problem(503, reason, headers=(("Retry-After", "1"),), keep=False)
        except Exception:  # the third place again: as in `Connection`, a bug that one request meets stops nobody
            log.exception("request failed")
            return FAILED
