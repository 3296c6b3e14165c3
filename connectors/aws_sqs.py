"""`aws.sqs`: Amazon SQS, standard and FIFO queues.

    ReceiveMessage (20 s, several at a time) → door.accept → DeleteMessageBatch
    SendMessageBatch (10 entries, 1 MiB) → returned = the queue has them

How an event becomes a message and back: `_sqs_message.py` and
docs/reference/mapping-sqs.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from pydantic import Field

from connectors import _sqs_message
from connectors._aws import FAILURES, QueueSettings, failure, refusal, sqs_client
from connectors._parts import send_in_parts
from gateway.core import contracts
from gateway.core.clock import Clock, SystemClock
from gateway.core.errors import PartialFailure, Rejected, Unavailable
from gateway.core.quantities import Duration  # noqa: TC001  (pydantic reads it)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sqs.type_defs import (
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
        DeleteMessageBatchRequestEntryTypeDef,
        MessageTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

    from gateway.core.contracts import Door
    from gateway.core.event import Event, Outgoing

log = logging.getLogger(__name__)

_CALL = 15.0
"""Seconds one call may take, its repeat included; a long poll 20 more."""
_POLL = 20
_BATCH = 10
_LONGEST_PAUSE = 30.0
_GOODBYE = 2.0
"""Seconds that cleaning up after a cancellation may take."""


class SourceSettings(QueueSettings):
    """Where the messages come from."""

    polls: int = Field(default=4, ge=1, le=64)
    """Long polls at a time; each takes up to 10 messages."""
    visibility: Duration = Field(default=60.0, ge=1, le=43200)
    """How long a message stays hidden from others after it was received; renewed while the log takes longer."""


class SinkSettings(QueueSettings):
    """Where the messages go."""


class Source(contracts.Source):
    """Receives, hands over, deletes. While the door refuses, messages are held and stay hidden.

    They are not given back meanwhile: each time they were received again would
    count towards the queue's own dead-letter rule.
    """

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._visibility = round(settings.visibility)
        self._clock: Clock = SystemClock()
        self._open = AsyncExitStack()
        self._held: dict[str, float] = {}
        """Receipt → when it was last renewed, monotonic."""

    async def __aenter__(self) -> Self:
        self._client = await self._open.enter_async_context(
            sqs_client(self._settings, connections=self._settings.polls * 2 + 2)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def run(self, door: Door) -> None:
        """Receive until cancelled; what was not accepted then is visible to others again at once.

        :raises Unavailable: the queue cannot be reached, or does not exist, or refuses our credentials.
        """
        problems: list[Unavailable] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_hidden(), name="keep hidden")
                for number in range(self._settings.polls):
                    tasks.create_task(self._poll(door), name=f"poll {number}")
        except* Unavailable as group:
            problems += _leaves(group)
        if problems:
            raise problems[0]

    async def _poll(self, door: Door) -> None:
        while True:
            messages = await self._receive()
            if messages:
                await self._take(door, messages)

    async def _take(self, door: Door, messages: Sequence[MessageTypeDef]) -> None:
        """Hand the messages over, then delete them."""
        receipts = [message["ReceiptHandle"] for message in messages]
        events = [event for message in messages for event in _sqs_message.read(message, self._settings.arn)]
        self._held.update(dict.fromkeys(receipts, self._clock.monotonic()))
        is_accepted = False
        try:
            if events:
                await self._hand_over(door, events)
            is_accepted = True
            await self._delete(receipts)
        except asyncio.CancelledError:
            with contextlib.suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(_GOODBYE):
                    await (self._delete(receipts) if is_accepted else self._hide(receipts, 0))
            raise
        finally:
            for receipt in receipts:
                del self._held[receipt]

    async def _hand_over(self, door: Door, events: Sequence[Event]) -> None:
        pause = 1.0
        while True:
            try:
                return await door.accept(events)
            except Unavailable as problem:
                await self._clock.sleep(pause if problem.after is None else problem.after)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _receive(self) -> Sequence[MessageTypeDef]:
        try:
            async with asyncio.timeout(_POLL + _CALL):
                answer = await self._client.receive_message(
                    QueueUrl=self._settings.url,
                    MaxNumberOfMessages=_BATCH,
                    WaitTimeSeconds=_POLL,
                    VisibilityTimeout=self._visibility,
                    MessageAttributeNames=["All"],
                    MessageSystemAttributeNames=_sqs_message.SYSTEM_ATTRIBUTES,
                )
        except FAILURES as problem:
            raise self._failure(problem, "receive from") from problem
        return answer.get("Messages", [])

    async def _delete(self, receipts: Sequence[str]) -> None:
        """Delete these; what cannot be deleted after three attempts comes again, and is a duplicate then."""
        for _ in range(3):
            entries: list[DeleteMessageBatchRequestEntryTypeDef] = [
                {"Id": str(index), "ReceiptHandle": receipt} for index, receipt in enumerate(receipts)
            ]
            try:
                async with asyncio.timeout(_CALL):
                    answer = await self._client.delete_message_batch(QueueUrl=self._settings.url, Entries=entries)
            except FAILURES as problem:
                raise self._failure(problem, "delete from") from problem
            receipts = [receipts[int(entry["Id"])] for entry in answer.get("Failed", []) if not entry["SenderFault"]]
            if not receipts:
                return

    async def _keep_hidden(self) -> None:
        """Renew what is held for long, before others see it (F24)."""
        while True:
            await self._clock.sleep(self._visibility / 3)
            now = self._clock.monotonic()
            due = [receipt for receipt, since in self._held.items() if now - since >= self._visibility / 3]
            for start in range(0, len(due), _BATCH):
                try:
                    await self._hide(due[start : start + _BATCH], self._visibility)
                except Unavailable as problem:
                    log.warning("messages could not be kept hidden", extra={"reason": str(problem)})
            self._held.update({receipt: now for receipt in due if receipt in self._held})

    async def _hide(self, receipts: Sequence[str], seconds: int) -> None:
        entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
            {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for index, receipt in enumerate(receipts)
        ]
        try:
            async with asyncio.timeout(_CALL):
                await self._client.change_message_visibility_batch(QueueUrl=self._settings.url, Entries=entries)
        except FAILURES as problem:
            raise self._failure(problem, "keep hidden in") from problem

    def _failure(self, problem: Exception, what: str) -> Unavailable:
        """For a source nothing is final: a call that is refused today is tried again."""
        found = failure(problem, f"{what} {self._settings.url}")
        return found if isinstance(found, Unavailable) else Unavailable(str(found))


class Sink(contracts.Sink):
    """Sends up to 10 events a call.

    A FIFO queue keeps the order of a group's events within a call unless SQS
    fails one of them alone (InternalError): that one then comes after the others.
    """

    max_batch = _BATCH

    def __init__(self, settings: SinkSettings) -> None:
        self._settings = settings
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._client: SQSClient = await self._open.enter_async_context(sqs_client(self._settings, connections=64))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def send(self, events: Sequence[Outgoing]) -> None:
        """Return once the queue has them; more than 1 MiB goes in several calls."""
        entries = [
            _sqs_message.entry(index, event, is_fifo=self._settings.is_fifo) for index, event in enumerate(events)
        ]
        await send_in_parts(entries, self._send, _sqs_message.parts(entries))

    async def _send(self, entries: Sequence[SendMessageBatchRequestEntryTypeDef]) -> None:
        what = f"send to {self._settings.url}"
        if len(entries) == 1 and (size := _sqs_message.size(entries[0])) > _sqs_message.LARGEST:
            raise Rejected(f"{what}: {size} bytes as a message, SQS takes {_sqs_message.LARGEST}")
        try:
            async with asyncio.timeout(_CALL):
                answer = await self._client.send_message_batch(QueueUrl=self._settings.url, Entries=entries)
        except FAILURES as problem:
            raise failure(problem, what) from problem
        failures: dict[int, Unavailable | Rejected] = {}
        places = {entry["Id"]: place for place, entry in enumerate(entries)}
        for entry in answer.get("Failed", []):
            failures[places[entry["Id"]]] = refusal(
                entry["Code"], entry.get("Message", ""), what, is_fault_of_sender=entry["SenderFault"]
            )
        if failures:
            raise PartialFailure(failures)


def _leaves(group: BaseExceptionGroup[Unavailable]) -> list[Unavailable]:
    """The failures in a group of groups."""
    found: list[Unavailable] = []
    for problem in group.exceptions:
        found += _leaves(problem) if isinstance(problem, BaseExceptionGroup) else [problem]
    return found
