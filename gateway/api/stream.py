"""One Publish stream: read ahead within a window, publish concurrently, answer in order.

    read ─▶ decode, validate ─▶ publish (a task a batch) ─▶ under way, in order ─▶ answer

One answer covers all batches at the head of the line that are durable by then.
A batch with an event that is not a CloudEvent is refused whole.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

from gateway.api import isthmus_pb2 as wire
from gateway.codec.frames import decode_events
from gateway.codec.json import decode_batch as decode_json
from gateway.codec.protobuf import decode_batch as decode_protobuf
from gateway.codec.validate import validate_all
from gateway.core import telemetry
from gateway.core.errors import InvalidEvent, Rejected, TooLarge, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import grpc.aio

    from gateway.api.limits import Limits
    from gateway.core.contracts import Publisher
    from gateway.core.event import Event

_refused = telemetry.refused_events.labels(via="grpc")
_answers = {
    outcome: telemetry.requests.labels(door="grpc", status=outcome) for outcome in ("ok", "refused", "unavailable")
}
_SHORT_ARRAY, _ARRAY_SIZES = range(0x90, 0xA0), {0xDC: 2, 0xDD: 4}
_SPACES = ("", "main")
"""What a client may name until there are others: a name no peer knows would stop their links."""
_NAMED = 20
"""The most events that a refusal names."""


class Host(Protocol):
    """The door, as its streams see it."""

    limits: Limits
    held: int


class _Batch:
    """A batch under way, and how it ended."""

    __slots__ = ("count", "is_done", "refused", "sequence", "size", "unavailable")

    def __init__(self, sequence: int, size: int) -> None:
        self.sequence = sequence
        self.size = size
        self.count = 0
        self.is_done = False
        self.refused: list[wire.Refused] = []
        self.unavailable: Unavailable | None = None


class PublishStream:
    """The serving side of one stream."""

    def __init__(
        self,
        host: Host,
        publisher: Publisher,
        context: grpc.aio.ServicerContext[wire.PublishRequest, wire.PublishResponse],
    ) -> None:
        self._host = host
        self._limits = host.limits
        self._publisher = publisher
        self._context = context
        self._line: deque[_Batch] = deque()
        self._size = 0
        self._last = -1
        self._is_ended = False
        """No more batches are taken from this stream."""
        self._is_turned_away = False
        """A batch was not taken; later ones are not tried, so that order survives sending again."""
        self._room: asyncio.Future[None] | None = None
        self._news: asyncio.Future[None] | None = None
        self._reading: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve until the client has ended the stream and everything is answered."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._reading = tasks.create_task(self._read(tasks))
                await self._answer()
        finally:
            self._host.held -= self._size

    def stop(self) -> None:
        """Take no more; answer what is under way, then end the stream."""
        self._is_ended = True
        if self._reading is not None:
            self._reading.cancel()
        _wake(self._news)

    # in

    async def _read(self, tasks: asyncio.TaskGroup) -> None:
        limits = self._limits
        try:
            while isinstance(message := await self._context.read(), wire.PublishRequest):
                self._take(message, tasks)
                del message
                while len(self._line) >= limits.batches or self._size > limits.window:
                    self._room = asyncio.get_running_loop().create_future()
                    await self._room
        finally:
            self._is_ended = True
            _wake(self._news)

    def _take(self, message: wire.PublishRequest, tasks: asyncio.TaskGroup) -> None:
        kind = message.WhichOneof("body")
        content = getattr(message, kind) if kind else b""
        batch = _Batch(message.sequence, len(content))
        self._line.append(batch)
        self._size += batch.size
        self._host.held += batch.size
        events: list[Event] = []
        try:
            self._check(message.sequence)
            if message.space not in _SPACES:
                raise InvalidEvent(f"space {message.space[:80]!r}: there is only main")
            events = _decode(kind, content, self._limits)
        except Unavailable as problem:
            batch.unavailable = problem
            self._is_turned_away = True
        except Rejected as problem:
            batch.refused = [_refusal(problem)]
        else:
            batch.count = len(events)
            batch.refused = _judge(events, self._limits.event) if kind == "packed" else []
        if batch.refused or batch.unavailable or not events:
            self._finish(batch)
            return
        packed = content if kind == "packed" else None
        tasks.create_task(self._publish(batch, message.space or "main", events, packed))

    def _check(self, sequence: int) -> None:
        if sequence <= self._last:
            raise InvalidEvent(f"sequence {sequence} is not greater than {self._last}, the one before")
        self._last = sequence
        if self._host.held > self._limits.held:
            raise Unavailable("the door holds too many batches of all streams", after=1.0)

    async def _publish(self, batch: _Batch, space: str, events: Sequence[Event], packed: bytes | None) -> None:
        if self._is_turned_away:
            batch.unavailable = Unavailable("an earlier batch of this stream was not taken")
        else:
            try:
                publishing = self._publisher.publish("anonymous", space, events, packed=packed, via="grpc")
                del events  # else they would be held until they are durable
                await publishing
            except Unavailable as problem:
                batch.unavailable = problem
                self._is_turned_away = True
        self._finish(batch)

    def _finish(self, batch: _Batch) -> None:
        batch.is_done = True
        if self._line[0] is batch:
            _wake(self._news)

    # out

    async def _answer(self) -> None:
        """Answer what is done at the head of the line until the stream has ended and the line is empty."""
        line = self._line
        while line or not self._is_ended:
            if not (line and line[0].is_done):
                self._news = asyncio.get_running_loop().create_future()
                await self._news
                continue
            response = self._cover()
            if len(line) < self._limits.batches and self._size <= self._limits.window:
                _wake(self._room)
            await self._context.write(response)
            if response.HasField("unavailable"):
                self.stop()
                return

    def _cover(self) -> wire.PublishResponse:
        """One response for all that is done at the head of the line, up to the first that was not taken."""
        line = self._line
        accepted = 0
        while line and line[0].is_done:
            batch = line.popleft()
            self._size -= batch.size
            self._host.held -= batch.size
            if batch.refused:
                _refused.inc(len(batch.refused))
                _answers["refused"].inc()
                return wire.PublishResponse(sequence=batch.sequence, accepted=accepted, refused=batch.refused)
            if batch.unavailable is not None:
                _answers["unavailable"].inc()
                told = wire.Unavailable(reason=str(batch.unavailable), after=batch.unavailable.after or 0.0)
                return wire.PublishResponse(sequence=batch.sequence, accepted=accepted, unavailable=told)
            accepted += batch.count
            _answers["ok"].inc()
        return wire.PublishResponse(sequence=batch.sequence, accepted=accepted)


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


def _decode(kind: str | None, content: bytes, limits: Limits) -> list[Event]:
    match kind:
        case "packed":
            limits.check_count(_packed_count(content))
            events = decode_events(content)
        case "cloudevents":
            events = decode_protobuf(content)
            limits.check_sizes(events, len(content))
        case "json_batch":
            events = decode_json(content)
            limits.check_sizes(events, len(content))
        case _:
            raise InvalidEvent("the request has no body: one of cloudevents, json_batch and packed")
    limits.check_count(len(events))
    return events


def _packed_count(packed: bytes) -> int:
    """How many elements the header of a msgpack array announces; 0 if it is none."""
    first = packed[0] if packed else 0
    if first in _SHORT_ARRAY:
        return first - _SHORT_ARRAY.start
    size = _ARRAY_SIZES.get(first, 0)
    return int.from_bytes(packed[1 : 1 + size], "big")


def _judge(events: Sequence[Event], limit: int) -> list[wire.Refused]:
    """What is wrong with a batch; nothing when it is good."""
    try:
        validate_all(events, limit=limit)
    except (InvalidEvent, TooLarge):
        return _name_all(events, limit)
    return []


def _name_all(events: Sequence[Event], limit: int) -> list[wire.Refused]:
    refused: list[wire.Refused] = []
    for index, event in enumerate(events):
        try:
            validate_all((event,), limit=limit)
        except Rejected as problem:
            refused.append(wire.Refused(index=index, reason=_reason(problem)))
            if len(refused) == _NAMED:
                break
    return refused


def _refusal(problem: Rejected) -> wire.Refused:
    if isinstance(problem, InvalidEvent) and problem.index is not None:
        return wire.Refused(index=problem.index, reason=problem.reason)
    return wire.Refused(reason=_reason(problem))


def _reason(problem: Rejected) -> str:
    return problem.reason if isinstance(problem, InvalidEvent) else str(problem).removeprefix("event 0: ")
