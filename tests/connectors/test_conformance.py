"""The suites pass right connectors, and fail each connector that is wrong on purpose."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from connectors.conformance import SinkConformance, SourceConformance
from gateway.core.errors import PartialFailure, Rejected, Unavailable
from gateway.core.event import Event
from tests.connectors import shelf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from gateway.core.contracts import Door, Sink, Source
    from gateway.core.event import Outgoing


class TestARightSource(SourceConformance):
    """The suite passes it."""

    make: type[shelf.Source] = shelf.Source
    patience = 2.0

    @pytest.fixture(autouse=True)
    def _shelf(self) -> None:
        self.shelf = shelf.Shelf()

    def source(self) -> Source:
        return self.make(self.shelf)

    async def publish(self, events: Sequence[Event]) -> None:
        self.shelf.waiting.extend(events)

    async def publish_garbage(self) -> None:
        self.shelf.waiting.append(None)

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        with self.shelf.away():
            yield


class TestARightSink(SinkConformance):
    """The suite passes it."""

    make: type[shelf.Sink] = shelf.Sink
    patience = 2.0

    @pytest.fixture(autouse=True)
    def _shelf(self) -> None:
        self.shelf = shelf.Shelf()

    def sink(self) -> Sink:
        return self.make(self.shelf)

    async def received(self) -> list[Event]:
        return [event for event in self.shelf.waiting if event is not None]

    def refused(self) -> Event:
        return Event(id="bad", source="/bad", type="com.example.refused")

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        with self.shelf.away():
            yield


class AcknowledgesEarly(shelf.Source):
    """Removes before the door has it."""

    async def hand_over(self, door: Door, taken: list[Event | None]) -> None:
        await self.remove(taken)
        await door.accept([event for event in taken if event is not None])


class AcknowledgesMeanwhile(shelf.Source):
    """Removes while the door is still at it, and puts back what was refused: wrong only when it is cancelled."""

    async def hand_over(self, door: Door, taken: list[Event | None]) -> None:
        await self.remove(taken)
        try:
            await door.accept([event for event in taken if event is not None])
        except Unavailable:
            self.shelf.waiting.extendleft(reversed(taken))
            raise


class ChangesIncomingData(shelf.Source):
    """Hands over the data without its white space."""

    async def hand_over(self, door: Door, taken: list[Event | None]) -> None:
        changed = [event and event.but(data=event.data and event.data.replace(b" ", b"")) for event in taken]
        await door.accept([event for event in changed if event is not None])
        await self.remove(taken)


class StopsAtGarbage(shelf.Source):
    """Never gets past a message that is no event."""

    async def hand_over(self, door: Door, taken: list[Event | None]) -> None:
        if None not in taken:
            await super().hand_over(door, taken)


class HidesOutages(shelf.Source):
    """Tries again for ever and tells nobody."""

    async def run(self, door: Door) -> None:
        while True:
            try:
                await super().run(door)
            except Unavailable:
                await asyncio.sleep(0.001)


class ReversesOrder(shelf.Source):
    """Hands over the newest first."""

    async def hand_over(self, door: Door, taken: list[Event | None]) -> None:
        await door.accept([event for event in reversed(taken) if event is not None])
        await self.remove(taken)


class ReturnsEarly(shelf.Sink):
    """Returns while the events are still on their way."""

    def put(self, events: Sequence[Event]) -> None:
        asyncio.get_running_loop().call_later(0.01, super().put, events)


class ChangesData(shelf.Sink):
    """Delivers another payload than it was given."""

    def put(self, events: Sequence[Event]) -> None:
        super().put([event.but(data=event.data and event.data.replace(b"1.10", b"1.1")) for event in events])


class FailsTheWholeBatch(shelf.Sink):
    """Rejects all for the sake of one."""

    async def send(self, events: Sequence[Outgoing]) -> None:
        if any(map(shelf.is_refused, events)):
            raise Rejected("one of them is bad")
        await super().send(events)


class CallsItUnavailable(shelf.Sink):
    """Asks for the same bad event again and again."""

    async def send(self, events: Sequence[Outgoing]) -> None:
        try:
            await super().send(events)
        except PartialFailure as problem:
            raise PartialFailure({index: Unavailable("later, perhaps") for index in problem.failures}) from problem


class SwallowsOutages(shelf.Sink):
    """Returns as if all were well."""

    async def send(self, events: Sequence[Outgoing]) -> None:
        try:
            await super().send(events)
        except Unavailable:
            return


class SwallowsCancellation(shelf.Sink):
    """Returns normally when it is cancelled half-way."""

    async def send(self, events: Sequence[Outgoing]) -> None:
        try:
            for _ in range(3):
                await asyncio.sleep(0)
            await super().send(events)
        except asyncio.CancelledError:
            return


class DropsTheLast(shelf.Sink):
    """Sends one less than a full batch."""

    def put(self, events: Sequence[Event]) -> None:
        super().put(events[: self.max_batch - 1])


class SendsTwice(shelf.Sink):
    """Delivers every event two times."""

    def put(self, events: Sequence[Event]) -> None:
        super().put([*events, *events])


@pytest.mark.parametrize(
    ("wrong", "law", "arguments"),
    [
        (AcknowledgesEarly, "test_refused_messages_come_back", ()),
        (AcknowledgesEarly, "test_cancelling_at_any_turn_loses_nothing", ("accept",)),
        (AcknowledgesMeanwhile, "test_cancelling_at_any_turn_loses_nothing", ("start",)),
        (ChangesIncomingData, "test_events_arrive_unchanged", ()),
        (StopsAtGarbage, "test_a_message_that_is_no_event_harms_no_other", ()),
        (HidesOutages, "test_an_outage_raises_unavailable", ()),
        (ReversesOrder, "test_full_batches_arrive_whole_and_in_order", ()),
    ],
)
async def test_a_wrong_source_fails(wrong: type[shelf.Source], law: str, arguments: tuple[str, ...]) -> None:
    """Each mistake is found by the law that forbids it."""
    suite = TestARightSource()
    suite.make, suite.shelf, suite.patience = wrong, shelf.Shelf(), 0.3

    with pytest.raises(AssertionError):
        await getattr(suite, law)(*arguments)


@pytest.mark.parametrize(
    ("wrong", "law"),
    [
        (ReturnsEarly, "test_a_send_that_returned_has_delivered"),
        (ReturnsEarly, "test_cancelling_at_any_turn_loses_nothing"),
        (ChangesData, "test_events_arrive_unchanged"),
        (FailsTheWholeBatch, "test_one_bad_event_harms_no_other"),
        (CallsItUnavailable, "test_one_bad_event_harms_no_other"),
        (SwallowsOutages, "test_an_outage_raises_unavailable"),
        (SwallowsCancellation, "test_cancelling_at_any_turn_loses_nothing"),
        (DropsTheLast, "test_full_batches_arrive_whole_and_in_order"),
        (SendsTwice, "test_full_batches_arrive_whole_and_in_order"),
    ],
)
async def test_a_wrong_sink_fails(wrong: type[shelf.Sink], law: str) -> None:
    """Each mistake is found by the law that forbids it."""
    suite = TestARightSink()
    suite.make, suite.shelf, suite.patience = wrong, shelf.Shelf(), 0.3

    with pytest.raises(AssertionError):
        await getattr(suite, law)()


async def test_an_undeclared_ability_is_a_visible_skip() -> None:
    """With the reason, never a silent pass."""
    source, sink = SourceConformance(), SinkConformance()

    for ability in (source.outage, sink.outage, sink.refused):
        with pytest.raises(pytest.skip.Exception, match="not declared"):
            ability()
    with pytest.raises(pytest.skip.Exception, match="not declared"):
        await source.publish_garbage()
