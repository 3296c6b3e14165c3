"""The batching Python client of the gRPC door.

    async with Client("127.0.0.1:7070") as client:
        await client.publish(event)          # durable when it returns

There is no timer: whatever was published while the last batch was on its way
goes into the next. One stream carries all batches; when it breaks, those
without an answer are sent again on a new one (the gateway drops recent
duplicates), so an event arrives at least once and, as a rule, once.

Events of one client are appended in the order in which `publish` was called,
except that events which shared a batch with a refused one are sent again after
the batches that were under way.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from random import Random
from typing import TYPE_CHECKING, Self

import grpc
import grpc.aio

from gateway.api import isthmus_pb2 as wire
from gateway.codec.frames import encode_events
from gateway.core.clock import Clock, SystemClock
from gateway.core.errors import Rejected, Unavailable
from gateway.core.event import Event
from gateway.core.frame import MAX_EVENT
from gateway.core.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

log = logging.getLogger(__name__)

_PUBLISH = "/isthmus.v1.Isthmus/Publish"
_MAX_MESSAGE = 2 * 1024 * 1024
"""A batch that packs to more bytes is split; the door takes messages of 4 MiB."""
_SLACK = 512 * 1024
"""Bytes that a lone event may pack to beyond MAX_EVENT, and still fit into a message."""
_FEW = 2
"""Batches under way beyond which only full ones are sent: the next gathers more events meanwhile."""
_RETRY = Retry(first=0.1, longest=5.0)
_OPTIONS = [
    ("grpc.enable_retries", 0),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]


class Refused(Rejected):
    """The gateway refused some events of one `publish`; those not named in `reasons` are durable."""

    def __init__(self, reasons: Mapping[int, str]) -> None:
        index, reason = next(iter(reasons.items()))
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        super().__init__(f"event {index}: {reason}{more}")
        self.reasons = dict(reasons)
        """Index in the call → why."""


class _Call:
    """One `publish` that waits."""

    __slots__ = ("done", "events", "left", "reasons")

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.left = len(events)
        self.reasons: dict[int, str] = {}
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, count: int) -> None:
        """So many of its events have their answer."""
        self.left -= count
        if self.left == 0 and not self.done.done():
            if self.reasons:
                self.done.set_exception(Refused(self.reasons))
            else:
                self.done.set_result(None)


class _Stretch:
    """Consecutive events of a call."""

    __slots__ = ("call", "start", "stop")

    def __init__(self, call: _Call, start: int, stop: int) -> None:
        self.call = call
        self.start = start
        self.stop = stop


class _Batch:
    """Stretches that travel together."""

    __slots__ = ("packed", "sequence", "stretches")

    def __init__(self, stretches: list[_Stretch], packed: bytes) -> None:
        self.stretches = stretches
        self.packed = packed
        self.sequence = 0


class Client:
    """Publishes to one gateway. Use it in the loop it was entered in, from as many tasks as you like."""

    def __init__(
        self,
        address: str,
        *,
        space: str = "main",
        batch: int = 500,
        in_flight: int = 16,
        deadline: float = 60.0,
        clock: Clock | None = None,
    ) -> None:
        """`address` is `host:port`; `batch` the most events that travel together, `in_flight` the most batches.

        `deadline` is how many seconds a `publish` waits before it raises Unavailable.
        """
        self.address = address
        self._space = space
        self._most = batch
        self._in_flight = in_flight
        self._deadline = deadline
        self._clock = clock or SystemClock()
        self._waiting: deque[_Stretch] = deque()
        self._waiting_events = 0
        self._again: deque[_Batch] = deque()
        self._sent: deque[_Batch] = deque()
        self._sequence = 0
        self._attempt = 0
        self._random = Random()  # noqa: S311 # spreads attempts, guards nothing
        self._trouble = "no answer yet"
        self._news: asyncio.Future[None] | None = None
        self._tasks = asyncio.TaskGroup()
        self._channel: grpc.aio.Channel
        self._running: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        """Begin to connect. A gateway that is away is no error here: `publish` waits for it."""
        self._channel = grpc.aio.insecure_channel(self.address, options=_OPTIONS)
        await self._tasks.__aenter__()
        self._running = self._tasks.create_task(self._run(), name=f"publish to {self.address}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close. A `publish` that still waits raises Unavailable; its events may be durable or not."""
        self._running.cancel()
        try:
            await self._tasks.__aexit__(None, None, None)
        finally:
            for stretch in self._stretches():
                if not stretch.call.done.done():
                    stretch.call.done.set_exception(Unavailable("the client was closed"))
            await self._channel.close()

    def _stretches(self) -> list[_Stretch]:
        batches = (*self._sent, *self._again)
        return [*self._waiting, *(stretch for batch in batches for stretch in batch.stretches)]

    async def publish(self, events: Event | Sequence[Event]) -> None:
        """Return once every event is durable in the gateway's log, or was there already.

        After Unavailable or a cancellation the events may be durable or not;
        publishing them again is safe while the gateway remembers duplicates.

        :raises Refused: some are not CloudEvents or are too large; the others are durable.
        :raises Unavailable: not acknowledged within the deadline.
        """
        call = _Call((events,) if isinstance(events, Event) else events)
        if not call.events:
            return
        self._waiting.append(_Stretch(call, 0, len(call.events)))
        self._waiting_events += call.left
        self._wake()
        try:
            async with asyncio.timeout(self._deadline):
                await call.done
        except TimeoutError as problem:
            raise Unavailable(
                f"{self.address}: not acknowledged within {self._deadline:g} s: {self._trouble}"
            ) from problem

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    # the stream

    async def _run(self) -> None:
        """Keep one stream open while there is something to send."""
        stub: grpc.aio.StreamStreamMultiCallable[wire.PublishRequest, wire.PublishResponse] = (
            self._channel.stream_stream(
                _PUBLISH,
                request_serializer=wire.PublishRequest.SerializeToString,
                response_deserializer=wire.PublishResponse.FromString,
            )
        )
        while True:
            while not self._has_work():
                await self._wait()
            after = await self._converse(stub(wait_for_ready=True))
            self._again.extendleft(reversed(self._sent))
            self._sent.clear()
            self._attempt += 1
            await self._clock.sleep(after + _RETRY.pause(self._attempt + 1, self._random))

    async def _converse(self, stream: grpc.aio.StreamStreamCall[wire.PublishRequest, wire.PublishResponse]) -> float:
        """Send and read answers until the stream ends; return how many seconds the gateway asks to wait."""
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._send(stream))
                after = await self._read(stream)
                sending.cancel()
        finally:
            stream.cancel()
        return after

    async def _read(self, stream: grpc.aio.StreamStreamCall[wire.PublishRequest, wire.PublishResponse]) -> float:
        try:
            while isinstance(response := await stream.read(), wire.PublishResponse):
                self._settle(response)
                self._wake()
                if response.HasField("unavailable"):
                    self._trouble = response.unavailable.reason
                    return response.unavailable.after
                self._attempt = 0
            self._trouble = "the gateway ended the stream"
        except grpc.aio.AioRpcError as problem:
            self._trouble = f"{problem.code().name}: {problem.details()}"
        return 0.0

    async def _send(self, stream: grpc.aio.StreamStreamCall[wire.PublishRequest, wire.PublishResponse]) -> None:
        try:
            while True:
                batch = self._next()
                if batch is None:
                    await self._wait()
                    continue
                self._sequence += 1
                batch.sequence = self._sequence
                self._sent.append(batch)
                await stream.write(wire.PublishRequest(sequence=batch.sequence, space=self._space, packed=batch.packed))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the stream is over: the reading side learns why

    async def _wait(self) -> None:
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    # batches

    def _has_work(self) -> bool:
        return bool(self._waiting or self._again)

    def _next(self) -> _Batch | None:
        """The next batch to send; None while there is none, or it is better to wait."""
        if len(self._sent) >= self._in_flight:
            return None
        while self._again:
            batch = self._again.popleft()
            if any(not stretch.call.done.done() for stretch in batch.stretches):
                return batch
        if len(self._sent) >= _FEW and self._waiting_events < self._most:
            return None
        return self._gather()

    def _gather(self) -> _Batch | None:
        """Take up to `batch` events of those that wait, in order."""
        stretches: list[_Stretch] = []
        events: list[Event] = []
        while self._waiting and len(events) < self._most:
            stretch = self._waiting.popleft()
            call, start, stop = stretch.call, stretch.start, stretch.stop
            self._waiting_events -= stop - start
            if call.done.done():  # its caller has given up
                continue
            if stop - start > self._most - len(events):
                middle = start + self._most - len(events)
                self._put_back([_Stretch(call, middle, stop)])
                stretch.stop = stop = middle
            events += call.events[start:stop]
            stretches.append(stretch)
        if not events:
            return None
        packed = encode_events(events)
        if len(packed) > _MAX_MESSAGE and len(events) > 1:
            return self._split(stretches, len(events) // 2)
        if len(packed) > MAX_EVENT + _SLACK:  # the message would break the stream, again and again
            (stretch,) = stretches
            stretch.call.reasons[stretch.start] = f"{len(packed)} bytes: larger than any gateway takes"
            stretch.call.settle(1)
            return self._gather()
        return _Batch(stretches, packed)

    def _split(self, stretches: list[_Stretch], most: int) -> _Batch | None:
        """Gather these again, fewer at a time; they are large."""
        self._put_back(stretches)
        usual, self._most = self._most, most
        try:
            return self._gather()
        finally:
            self._most = usual

    def _settle(self, response: wire.PublishResponse) -> None:
        """Give every batch that the response covers its answer."""
        is_taken = not (response.refused or response.HasField("unavailable"))
        while self._sent and self._sent[0].sequence <= response.sequence:
            if self._sent[0].sequence == response.sequence and not is_taken:
                break
            for stretch in self._sent.popleft().stretches:
                stretch.call.settle(stretch.stop - stretch.start)
        if response.refused and self._sent:
            self._sort_out(self._sent.popleft(), response.refused)

    def _sort_out(self, batch: _Batch, refused: Sequence[wire.Refused]) -> None:
        """Fail the events that are named, all of them if none is; send the others again."""
        count = sum(stretch.stop - stretch.start for stretch in batch.stretches)
        reasons = {one.index: one.reason for one in refused if one.HasField("index") and one.index < count}
        again: list[_Stretch] = []
        index = 0
        for stretch in batch.stretches:
            bad = 0
            start = stretch.start
            for place in range(stretch.start, stretch.stop):
                reason = reasons.get(index) if reasons else refused[0].reason
                index += 1
                if reason is None:
                    continue
                stretch.call.reasons[place] = reason
                bad += 1
                if place > start:
                    again.append(_Stretch(stretch.call, start, place))
                start = place + 1
            if start < stretch.stop:
                again.append(_Stretch(stretch.call, start, stretch.stop))
            stretch.call.settle(bad)
        self._put_back(again)

    def _put_back(self, stretches: Sequence[_Stretch]) -> None:
        """To the head of those that wait."""
        self._waiting.extendleft(reversed(stretches))
        self._waiting_events += sum(stretch.stop - stretch.start for stretch in stretches)
