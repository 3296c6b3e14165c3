# ruff: noqa: S101  (a test kit: its findings are assertions)
"""SourceConformance and SinkConformance: what every connector has to prove.

Inherit one, override two or three methods, and pytest runs the laws:

    class TestMySink(SinkConformance):
        def sink(self) -> Sink: ...                      # a new one at each call
        async def received(self) -> list[Event]: ...     # what the destination has

An ability that is not declared (by overriding its method) is a visible skip.
Needs pytest and pytest-asyncio, and of Isthmus only `gateway.core`.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from connectors.memory_door import MemoryDoor, until
from connectors.samples import (
    EMPTY,
    SAMPLES,
    assert_unchanged,
    fresh,
    numbered,
    outgoing,
)
from gateway.core.errors import PartialFailure, Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from gateway.core.contracts import Sink, Source
    from gateway.core.event import Event

TURNS = 30
"""Turns of the event loop at each of which a connector is cancelled once."""


@pytest.mark.asyncio
class SourceConformance:
    """The laws of a Source. Override `source` and `publish`, and what else the service can do."""

    patience: float = 10.0
    """Seconds until something that did not arrive counts as lost; longer than a redelivery takes."""
    turn: float = 0.0
    """Seconds a turn of the cancellation law lasts; 0: one pass of the event loop. 0.001 where a network is between."""
    keeps_order: bool = True
    """Whether what was published one after the other arrives so."""
    keeps_empty_data: bool = True
    """Whether empty data and no data can be told apart."""
    full: int = 250
    """How many events make full batches."""

    def source(self) -> Source:
        """A new source over the same upstream, as after a restart."""
        raise NotImplementedError

    async def publish(self, events: Sequence[Event]) -> None:
        """Put the events upstream, in order, as somebody else would."""
        raise NotImplementedError

    async def publish_garbage(self) -> None:
        """Put one message upstream that is no CloudEvent."""
        pytest.skip("not declared: publish_garbage (a message that is no event, to prove that it harms no other)")

    def outage(self) -> AbstractAsyncContextManager[None]:
        """The service is away inside this context."""
        pytest.skip("not declared: outage (a way to take the service away, to prove that it raises Unavailable)")

    async def test_events_arrive_unchanged(self) -> None:
        """Attributes, extensions up to their canonical string, and data byte for byte."""
        sent = fresh((*SAMPLES, EMPTY) if self.keeps_empty_data else SAMPLES)
        door = MemoryDoor()
        await self.publish(sent)

        async with self._running(door):
            await until(lambda: door.has(sent), within=self.patience, what="every sample at the door")

        assert_unchanged(door.events, sent)

    async def test_full_batches_arrive_whole_and_in_order(self) -> None:
        """Many waiting events all arrive, in order where the service has one."""
        sent = numbered(self.full)
        door = MemoryDoor()
        await self.publish(sent)

        async with self._running(door):
            await until(lambda: door.has(sent), within=self.patience, what=f"{self.full} events at the door")

        assert_unchanged(door.events, sent)
        if self.keeps_order:
            assert [event.id for event in door.of(sent)] == [event.id for event in sent]

    async def test_events_that_come_while_it_runs_arrive(self) -> None:
        """A source that found nothing goes on looking."""
        first, second = numbered(1), numbered(1)
        door = MemoryDoor()

        async with self._running(door):
            await self.publish(first)
            await until(lambda: door.has(first), within=self.patience, what="the first event at the door")
            await self.publish(second)
            await until(lambda: door.has(second), within=self.patience, what="the second event at the door")

    async def test_refused_messages_come_back(self) -> None:
        """What the door refused was not acknowledged upstream."""
        sent = numbered(5)
        door = MemoryDoor()
        door.refuse(1)
        await self.publish(sent)

        async with self._running(door):
            await until(lambda: door.has(sent), within=self.patience, what="the refused events at the door")

    async def test_a_message_that_is_no_event_harms_no_other(self) -> None:
        """Good events before and after it arrive."""
        before, after = numbered(2), numbered(2)
        door = MemoryDoor()
        await self.publish(before)
        await self.publish_garbage()
        await self.publish(after)

        async with self._running(door):
            await until(lambda: door.has(before + after), within=self.patience, what="the events around the garbage")

    async def test_an_outage_raises_unavailable(self) -> None:
        """The gateway is told; and after the outage everything arrives."""
        sent = numbered(3)
        door = MemoryDoor()
        away = self.outage()
        await self.publish(sent)

        async with away:
            try:
                async with asyncio.timeout(self.patience), self.source() as source:
                    await source.run(door)
            except Unavailable:
                told = True
            except TimeoutError:
                told = False
            else:
                told = False
        async with self._running(door):
            await until(lambda: door.has(sent), within=self.patience, what="the events after the outage")

        assert told, "the source did not raise Unavailable while the service was away"

    @pytest.mark.parametrize("moment", ["start", "accept"])
    async def test_cancelling_at_any_turn_loses_nothing(self, moment: str) -> None:
        """Cancelled at each of the first 30 turns after run, or after accept, began."""
        door = MemoryDoor()
        sent: list[Event] = []
        for turns in range(TURNS):
            batch = numbered(3)
            sent += batch
            await self.publish(batch)
            await self._cut_short(door, turns, wait_for_accept=moment == "accept" and turns % 3 == 0)

        async with self._running(door):
            await until(
                lambda: door.has(sent), within=self.patience, what="everything published, after 30 cancellations"
            )

        assert_unchanged(door.events, sent)

    async def _cut_short(self, door: MemoryDoor, turns: int, *, wait_for_accept: bool) -> None:
        calls = door.calls
        async with self.source() as source, asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self._until_unavailable(source, door))
            if wait_for_accept:
                await until(lambda: door.calls > calls or running.done(), within=self.patience, what="accept")
            for _ in range(turns):
                await asyncio.sleep(self.turn)
            running.cancel()

    @staticmethod
    async def _until_unavailable(source: Source, door: MemoryDoor) -> None:
        try:
            await source.run(door)
        except Unavailable:
            return

    @asynccontextmanager
    async def _running(self, door: MemoryDoor) -> AsyncIterator[None]:
        """A source that runs, and is run again after Unavailable, as the gateway does."""

        async def run() -> None:
            async with self.source() as source:
                while True:
                    await self._until_unavailable(source, door)
                    await asyncio.sleep(0.02)

        broken: AssertionError | None = None
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(run())
            try:
                yield
            except AssertionError as law:
                broken = law
            finally:
                running.cancel()
        if broken is not None:  # here, outside: a task group would wrap it
            raise broken


@pytest.mark.asyncio
class SinkConformance:
    """The laws of a Sink. Override `sink` and `received`, and what else the destination can do."""

    patience: float = 10.0
    """Seconds one send may take."""
    turn: float = 0.0
    """Seconds a turn of the cancellation law lasts; 0: one pass of the event loop. 0.001 where a network is between."""
    keeps_order: bool = True
    """Whether the events of one send arrive in order."""
    keeps_empty_data: bool = True
    """Whether empty data and no data can be told apart."""

    def sink(self) -> Sink:
        """A new sink to the same destination."""
        raise NotImplementedError

    async def received(self) -> list[Event]:
        """Every event the destination has by now, in order of arrival; older ones of other tests may be among them."""
        raise NotImplementedError

    def refused(self) -> Event:
        """An event that this destination refuses for ever."""
        pytest.skip("not declared: refused (an event the destination never takes, to prove that it harms no other)")

    def outage(self) -> AbstractAsyncContextManager[None]:
        """The destination is away inside this context."""
        pytest.skip("not declared: outage (a way to take the destination away, to prove that it raises Unavailable)")

    async def test_events_arrive_unchanged(self) -> None:
        """Attributes, extensions up to their canonical string, and data byte for byte."""
        sent = fresh((*SAMPLES, EMPTY) if self.keeps_empty_data else SAMPLES)

        async with self.sink() as sink:
            for batch in _batches(sent, sink.max_batch):
                await self._send(sink, batch)

        assert_unchanged(await self.received(), sent)

    async def test_a_send_that_returned_has_delivered(self) -> None:
        """Nothing is still on its way when send returns."""
        sent = numbered(1)

        async with self.sink() as sink:
            await self._send(sink, sent)

            assert_unchanged(await self.received(), sent)

    async def test_full_batches_arrive_whole_and_in_order(self) -> None:
        """A send of `max_batch` events delivers each of them, once, in order where there is one."""
        async with self.sink() as sink:
            sent = numbered(min(sink.max_batch, 500))
            await self._send(sink, sent, group="one")

        arrived = await self.received()
        assert_unchanged(arrived, sent)
        ids = [event.id for event in arrived if event.key in {event.key for event in sent}]
        assert sorted(ids) == sorted(event.id for event in sent), "an event arrived more than once"
        if self.keeps_order:
            assert ids == [event.id for event in sent]

    async def test_one_bad_event_harms_no_other(self) -> None:
        """It alone is Rejected, by its index; the others arrive."""
        bad = self.refused()
        good = numbered(2)

        async with self.sink() as sink:
            batch = [good[0], bad, good[1]]
            if sink.max_batch < len(batch):
                failures: dict[int, Exception] = {}
                for index, event in enumerate(batch):
                    if failed := await self._failures(sink, [event]):
                        failures[index] = failed[0]
            else:
                failures = await self._failures(sink, batch)

        assert set(failures) == {1}, f"failed: {failures}, expected only the event at index 1"
        assert isinstance(failures[1], Rejected), f"{failures[1]!r} is not Rejected"
        assert_unchanged(await self.received(), good)
        assert bad.key not in {event.key for event in await self.received()}

    async def test_an_outage_raises_unavailable(self) -> None:
        """Within `patience`; and after the outage the same sink sends again."""
        sent = numbered(1)

        async with self.sink() as sink:
            async with self.outage():
                failures = await self._failures(sink, sent)
            async with asyncio.timeout(self.patience):
                while await self._failures(sink, sent):  # noqa: ASYNC110  (only sending tells)
                    await asyncio.sleep(0.02)

        assert failures, "send returned although the destination was away"
        assert all(isinstance(problem, Unavailable) for problem in failures.values()), f"not Unavailable: {failures}"
        assert_unchanged(await self.received(), sent)

    async def test_cancelling_at_any_turn_loses_nothing(self) -> None:
        """A send that returned has delivered, and one that was cancelled can be repeated."""
        returned: list[Event] = []
        cancelled: list[Event] = []
        async with self.sink() as sink:
            for turns in range(TURNS):
                sent = numbered(min(sink.max_batch, 3))
                async with asyncio.TaskGroup() as tasks:
                    sending = tasks.create_task(self._send(sink, sent))
                    for _ in range(turns):
                        await asyncio.sleep(self.turn)
                    sending.cancel()
                (cancelled if sending.cancelled() else returned).extend(sent)
            assert_unchanged(await self.received(), returned)

            for batch in _batches(cancelled, sink.max_batch):
                await self._send(sink, batch)

        assert_unchanged(await self.received(), cancelled)

    async def _send(self, sink: Sink, events: Sequence[Event], *, group: str | None = None) -> None:
        async with asyncio.timeout(self.patience):
            await sink.send([outgoing(event, group=group) for event in events])

    async def _failures(self, sink: Sink, events: Sequence[Event]) -> dict[int, Exception]:
        """What of these failed and how; empty when send returned."""
        try:
            await self._send(sink, events)
        except PartialFailure as problem:
            return dict(problem.failures)
        except (Unavailable, Rejected) as problem:
            return dict.fromkeys(range(len(events)), problem)
        except TimeoutError as problem:
            raise AssertionError(f"send did not end within {self.patience} s") from problem
        return {}


def _batches(events: Sequence[Event], size: int) -> list[Sequence[Event]]:
    return [events[start : start + size] for start in range(0, len(events), size)]
