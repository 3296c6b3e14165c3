"""`aws.sqs` against real SQS API servers on loopback: ministack, and moto as a second opinion."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from connectors import _sqs_message, aws_sqs
from connectors._aws import QueueSettings, sqs_client
from connectors.conformance import SinkConformance, SourceConformance
from connectors.memory_door import MemoryDoor, until
from connectors.samples import assert_unchanged, numbered, outgoing
from gateway.codec import validate
from gateway.core.errors import PartialFailure, Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from types_aiobotocore_sqs import SQSClient

    from gateway.core.event import Event

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

FIFO = {"FifoQueue": "true"}


class Queue:
    """A fresh queue on a server, as an outsider sees it."""

    def __init__(self, client: SQSClient, endpoint: str, url: str) -> None:
        self.client = client
        self.endpoint = endpoint
        self.url = url

    @property
    def is_fifo(self) -> bool:
        return self.url.endswith(".fifo")

    def source(self, **settings: object) -> aws_sqs.Source:
        settings = {"url": self.url, "region": "us-east-1", "endpoint": self.endpoint, "visibility": 2.0} | settings
        return aws_sqs.Source(aws_sqs.SourceSettings.model_validate(settings))

    def sink(self, **settings: object) -> aws_sqs.Sink:
        settings = {"url": self.url, "region": "us-east-1", "endpoint": self.endpoint} | settings
        return aws_sqs.Sink(aws_sqs.SinkSettings.model_validate(settings))

    async def put(self, body: str, attributes: dict[str, dict[str, object]] | None = None) -> str:
        fifo = {"MessageGroupId": "one", "MessageDeduplicationId": uuid.uuid4().hex} if self.is_fifo else {}
        sent = await self.client.send_message(
            QueueUrl=self.url, MessageBody=body, MessageAttributes=attributes or {}, **fifo
        )
        return sent["MessageId"]

    async def publish(self, events: Sequence[Event]) -> None:
        for start in range(0, len(events), 10):
            entries = [
                _sqs_message.entry(at, outgoing(event, group="one"), is_fifo=self.is_fifo)
                for at, event in enumerate(events[start : start + 10])
            ]
            answer = await self.client.send_message_batch(QueueUrl=self.url, Entries=entries)
            assert not answer.get("Failed")

    async def take_all(self) -> list[Event]:
        """Take every message out."""
        events: list[Event] = []
        while True:
            answer = await self.client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"],
            )
            messages = answer.get("Messages", [])
            if not messages:
                return events
            for message in messages:
                events += _sqs_message.read(message, "arn:test")
                await self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    async def waiting(self) -> int:
        """Messages in the queue, hidden ones too."""
        answer = await self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])
        counts = answer["Attributes"]
        return int(counts["ApproximateNumberOfMessages"]) + int(counts["ApproximateNumberOfMessagesNotVisible"])


@asynccontextmanager
async def queue_at(endpoint: str, *, fifo: bool = False, **attributes: str) -> AsyncIterator[Queue]:
    settings = QueueSettings(url=f"{endpoint}/000000000000/any", region="us-east-1", endpoint=endpoint)
    async with sqs_client(settings, connections=20) as client:
        name = uuid.uuid4().hex + (".fifo" if fifo else "")
        made = await client.create_queue(QueueName=name, Attributes=attributes | (FIFO if fifo else {}))
        yield Queue(client, endpoint, made["QueueUrl"])
        await client.delete_queue(QueueUrl=made["QueueUrl"])


@pytest.fixture(params=["ministack", "moto"])
async def queue(request: pytest.FixtureRequest) -> AsyncIterator[Queue]:
    async with queue_at(request.getfixturevalue(request.param)) as queue:
        yield queue


@pytest.fixture(params=["ministack", "moto"])
async def fifo(request: pytest.FixtureRequest) -> AsyncIterator[Queue]:
    async with queue_at(request.getfixturevalue(request.param), fifo=True) as queue:
        yield queue


class SqsSource(SourceConformance):
    patience = 12.0
    turn = 0.001
    full = 60
    queue: Queue
    _endpoint: str | None = None

    @pytest.fixture(autouse=True)
    def _short_polls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A poll that was cancelled here goes on at the server, and what it still takes is hidden for a while."""
        monkeypatch.setattr(aws_sqs, "_POLL", 1)

    def source(self) -> aws_sqs.Source:
        elsewhere = {} if self._endpoint is None else {"endpoint": self._endpoint}
        return self.queue.source(polls=1, visibility=1.0, **elsewhere)

    async def publish(self, events: Sequence[Event]) -> None:
        await self.queue.publish(events)

    async def publish_garbage(self) -> None:
        await self.queue.put('{"specversion": "1.0"')

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        self._endpoint = "http://127.0.0.1:9"
        yield
        self._endpoint = None


class TestSource(SqsSource):
    keeps_order = False

    @pytest.fixture(autouse=True)
    def _queue(self, queue: Queue) -> None:
        self.queue = queue


class TestFifoSource(SqsSource):
    @pytest.fixture(autouse=True)
    def _queue(self, fifo: Queue) -> None:
        self.queue = fifo


class SqsSink(SinkConformance):
    turn = 0.001
    queue: Queue

    @pytest.fixture(autouse=True)
    def _nothing_yet(self) -> None:
        self._taken: list[Event] = []

    def sink(self) -> aws_sqs.Sink:
        self._sink = self.queue.sink()
        return self._sink

    async def received(self) -> list[Event]:
        self._taken += await self.queue.take_all()
        return self._taken

    def refused(self) -> Event:
        return numbered(1)[0].but(data=b'"' + b"x" * 1024 * 1024 + b'"')

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        client = self._sink._client
        settings = self._sink._settings.model_copy(update={"endpoint": "http://127.0.0.1:9"})
        async with sqs_client(settings, connections=1) as elsewhere:
            self._sink._client = elsewhere
            yield
        self._sink._client = client


class TestSink(SqsSink):
    keeps_order = False

    @pytest.fixture(autouse=True)
    def _queue(self, queue: Queue) -> None:
        self.queue = queue


class TestFifoSink(SqsSink):
    @pytest.fixture(autouse=True)
    def _queue(self, fifo: Queue) -> None:
        self.queue = fifo


@asynccontextmanager
async def running(source: aws_sqs.Source, door: MemoryDoor) -> AsyncIterator[None]:
    async with source, asyncio.TaskGroup() as tasks:
        run = tasks.create_task(source.run(door))
        yield
        run.cancel()


async def test_accepted_messages_are_deleted(queue: Queue) -> None:
    """Nothing is left in the queue for anybody."""
    sent, door = numbered(25), MemoryDoor()
    await queue.publish(sent)

    async with running(queue.source(), door), asyncio.timeout(10):
        while await queue.waiting():
            await asyncio.sleep(0.01)

    assert door.has(sent)


async def test_a_slow_log_keeps_its_messages_hidden(ministack: str) -> None:
    """F24: the visibility is renewed while accept takes longer than it lasts."""

    class Slow(MemoryDoor):
        async def accept(self, events: Sequence[Event], *, at: str | None = None) -> None:
            await asyncio.sleep(3.0)
            await super().accept(events, at=at)

    async with queue_at(ministack) as queue:
        sent, door = numbered(3), Slow()
        await queue.publish(sent)

        async with running(queue.source(visibility=1.0), door):
            await until(lambda: door.has(sent))

        assert len(door.events) == 3


async def test_refused_messages_are_held_and_not_received_again(ministack: str) -> None:
    """Or a full log would push them into the queue's own dead letters."""
    async with queue_at(ministack) as queue:
        door = MemoryDoor()
        door.refuse(2)
        await queue.put("anything")

        async with running(queue.source(visibility=1.0), door):
            await until(lambda: bool(door.events))

        assert door.calls == 3
        assert len(door.events) == 1


async def test_what_was_not_accepted_is_visible_at_once_after_a_stop(ministack: str) -> None:
    """Another node need not wait for the visibility to end."""
    async with queue_at(ministack) as queue:
        sent, door = numbered(4), MemoryDoor()
        door.refuse(1000)
        await queue.publish(sent)
        async with running(queue.source(visibility=600.0), door):
            await until(lambda: door.calls > 0)

        assert_unchanged(await queue.take_all(), sent)


async def test_order_within_a_group_survives_many_polls(ministack: str) -> None:
    """SQS locks a group while a message of it is hidden."""
    async with queue_at(ministack, fifo=True) as queue:
        sent, door = numbered(100), MemoryDoor()
        await queue.publish(sent)

        async with running(queue.source(polls=8), door):
            await until(lambda: door.has(sent))

        assert [event.id for event in door.of(sent)] == [event.id for event in sent]


async def test_a_fifo_queue_drops_what_is_sent_again(fifo: Queue) -> None:
    """The deduplication id is the idempotency key."""
    event = outgoing(numbered(1)[0], group="g")
    async with fifo.sink() as sink:
        await sink.send([event])
        await sink.send([event])

    assert len(await fifo.take_all()) == 1


async def test_a_send_larger_than_a_call_goes_in_several(queue: Queue) -> None:
    """Ten entries, and 1 MiB in all."""
    sent = [event.but(data=b'"' + bytes([97 + at]) * 300_000 + b'"') for at, event in enumerate(numbered(10))]

    async with queue.sink() as sink:
        await sink.send([outgoing(event) for event in sent])

    assert_unchanged(await queue.take_all(), sent)


async def test_an_event_too_large_for_its_queue_is_rejected(ministack: str) -> None:
    """The limit may be the queue's own; the others arrive."""
    async with queue_at(ministack, MaximumMessageSize="2048") as queue:
        good, bad, other = numbered(3)
        bad = bad.but(data=b'"' + b"x" * 5000 + b'"')

        async with queue.sink() as sink:
            with pytest.raises(PartialFailure) as failed:
                await sink.send([outgoing(event) for event in (good, bad, other)])

        assert set(failed.value.failures) == {1}
        assert isinstance(failed.value.failures[1], Rejected)
        assert_unchanged(await queue.take_all(), [good, other])


async def test_a_queue_that_does_not_exist_is_unavailable(queue: Queue) -> None:
    """It may be made yet; nothing is buried for its sake."""
    nowhere = queue.url.replace(queue.url.rsplit("/", 1)[1], "nowhere")

    async with queue.sink(url=nowhere) as sink:
        with pytest.raises(Unavailable, match="no such queue"):
            await sink.send([outgoing(event) for event in numbered(2)])
    async with queue.source(url=nowhere) as source:
        with pytest.raises(Unavailable, match="no such queue"):
            await source.run(MemoryDoor())


async def test_a_foreign_message_is_wrapped_with_its_metadata(queue: Queue) -> None:
    """Id, time and attributes of the message stay with the event."""
    door = MemoryDoor()
    message_id = await queue.put(
        '{"order": 1.10}',
        {
            "TraceId": {"DataType": "String", "StringValue": "abc"},
            "trace-id": {"DataType": "Number", "StringValue": "7"},
            "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        },
    )

    async with running(queue.source(), door):
        await until(lambda: bool(door.events))

    (event,) = door.events
    validate.validate(event)
    assert event.id == message_id
    assert event.source == f"arn:aws:sqs:us-east-1:{'/'.join(queue.url.rsplit('/', 2)[1:]).replace('/', ':')}"
    assert (event.type, event.data) == ("com.amazon.sqs.message", b'{"order": 1.10}')
    assert event.datacontenttype == "application/json"
    assert event.time is not None
    assert {"sqsmsgtraceid", "sqsmsgtraceid2", "sqsmsgraw"} <= event.extensions.keys()
