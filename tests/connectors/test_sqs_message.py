"""Event ⇄ SQS message, without a queue: the reference page's examples, and what SQS does not take."""

from __future__ import annotations

import json as plain_json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors import _sqs_message
from connectors._aws import QueueSettings, refusal
from connectors.samples import EMPTY, SAMPLES, assert_unchanged, numbered, outgoing, plain
from gateway.codec import json, validate
from gateway.core.clock import SystemClock
from gateway.core.errors import Rejected, Unauthorized, Unavailable
from gateway.core.event import Binary, Event
from gateway.flow.dead_letters import DeadLetters
from gateway.flow.ingest import Ingest
from gateway.log.memory import MemoryLog

if TYPE_CHECKING:
    from types_aiobotocore_sqs.type_defs import MessageTypeDef

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "mapping-sqs.md"
EXAMPLES = dict(
    re.findall(r"^((?:read|written): [^\n]*)\n\n```json\n(.*?)```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
)
ARN = "arn:aws:sqs:eu-west-1:123456789012:orders"


@pytest.mark.parametrize("name", ["binary mode", "wrapped", "not an event"])
def test_the_page_shows_what_is_read(name: str) -> None:
    message = plain_json.loads(EXAMPLES[f"read: {name}, message"])

    (event,) = _sqs_message.read(message, ARN)

    validate.validate(event)
    assert event == json.decode(EXAMPLES[f"read: {name}, event"].encode())


def test_the_page_shows_what_is_written() -> None:
    event = json.decode(EXAMPLES["written: event"].encode())

    entry = _sqs_message.entry(0, outgoing(event), is_fifo=False)

    assert entry == plain_json.loads(EXAMPLES["written: message"])


def received(event: Event) -> Event:
    """The event after a way through a queue."""
    entry = _sqs_message.entry(0, outgoing(event), is_fifo=False)
    message: MessageTypeDef = {
        "MessageId": "m",
        "Body": entry["MessageBody"],
        "MessageAttributes": entry["MessageAttributes"],  # type: ignore[typeddict-item]  # the same, read and written
    }
    (back,) = _sqs_message.read(message, ARN)
    return back


@pytest.mark.parametrize("event", [*SAMPLES, EMPTY], ids=lambda event: event.id.split("-")[0])
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    assert plain(received(event)) == plain(event)


@given(st.text(max_size=50), st.sampled_from(["application/json", "text/plain", None]))
def test_any_data_fits_into_a_body(text: str, content_type: str | None) -> None:
    """Whatever characters are in it, SQS takes the body and the bytes come back."""
    data = plain_json.dumps(text, ensure_ascii=False) if content_type == "application/json" else text
    event = numbered(1)[0].but(data=data.encode("utf-8", "surrogatepass"), datacontenttype=content_type)

    body = _sqs_message.entry(0, outgoing(event), is_fifo=False)["MessageBody"]

    assert not re.search("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", body)
    assert received(event) == event


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=8), st.text(min_size=1))
def test_any_foreign_message_becomes_a_valid_event(attributes: dict[str, str], body: str) -> None:
    """No attribute is lost, whatever its name and value."""
    body = body.encode("utf-8", "replace").decode()
    message: MessageTypeDef = {
        "MessageId": "m",
        "Body": body,
        "MessageAttributes": {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    }

    (event,) = _sqs_message.read(message, ARN)

    validate.validate(event)
    assert event.data == body.encode()
    assert len(event.extensions) == len(attributes)


@pytest.mark.parametrize("text", ["\U0001fffe", "\U0010ffff", "\ufdd0", "\ud800", "a\nb"])
def test_what_an_event_may_not_hold_stays_in_a_valid_event(text: str) -> None:
    """SQS takes more characters than CloudEvents: noncharacters beyond the first plane too."""
    message: MessageTypeDef = {
        "MessageId": "m",
        "Body": text,
        "MessageAttributes": {"raw": {"DataType": "String", "StringValue": text}},
    }

    (event,) = _sqs_message.read(message, ARN)

    validate.validate(event)
    assert event.data == text.encode("utf-8", "surrogatepass")
    assert event.extensions == {"sqsmsgraw": Binary(text.encode("utf-8", "surrogatepass"))}


async def test_a_content_type_that_cannot_be_written_is_refused_with_a_reason() -> None:
    """What a source refuses must be writable, else the message comes again for ever."""
    named = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/a", "ce-type": "a", "content-type": "\ud800"}
    message: MessageTypeDef = {
        "MessageId": "m",
        "Body": "x",
        "MessageAttributes": {name: {"DataType": "String", "StringValue": value} for name, value in named.items()},
    }
    log = MemoryLog("eu")
    letters = DeadLetters(log, SystemClock())
    door = Ingest(log, log, bury=letters.bury_refused, clock=SystemClock(), limit=1 << 20).door("q", "main")

    await door.accept(_sqs_message.read(message, ARN))

    assert ["media type" in letter.reason for letter in letters.list()] == [True]


@pytest.mark.parametrize(
    ("group", "expected"),
    [("customer-7", "customer-7"), ("a" * 128, "a" * 128), ("with space", None), ("ż", None), ("a" * 129, None)],
)
def test_a_group_that_sqs_does_not_take_is_hashed(group: str, expected: str | None) -> None:
    """The same group is always the same hash."""
    first, second = (
        _sqs_message.entry(0, outgoing(event, group=group), is_fifo=True)["MessageGroupId"] for event in numbered(2)
    )

    assert first == second
    assert first == expected if expected is not None else re.fullmatch("[0-9a-f]{32}", first)


def test_events_without_a_group_pass_each_other() -> None:
    """Each has a group of its own."""
    groups = {_sqs_message.entry(0, outgoing(e), is_fifo=True)["MessageGroupId"] for e in numbered(3)}

    assert len(groups) == 3


def test_a_batch_document_is_all_its_events() -> None:
    sent = numbered(3)
    message: MessageTypeDef = {
        "MessageId": "m",
        "Body": json.encode_batch(sent).decode(),
        "MessageAttributes": {
            "Content-Type": {"DataType": "String", "StringValue": "application/cloudevents-batch+json"}
        },
    }

    assert_unchanged(_sqs_message.read(message, ARN), sent)


def test_binary_attributes_stay_binary() -> None:
    message: MessageTypeDef = {
        "MessageId": "m",
        "Body": "x",
        "MessageAttributes": {"raw": {"DataType": "Binary", "BinaryValue": b"\xff"}},
    }

    assert _sqs_message.read(message, ARN)[0].extensions == {"sqsmsgraw": Binary(b"\xff")}


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        ("text/csv", "text/csv"),
        ("no media type", "text/plain"),
        ("application/cloudevents+xml", "text/plain"),
        ("", "text/plain"),
    ],
)
def test_a_wrapped_message_says_what_its_data_is(claimed: str, expected: str) -> None:
    """What the sender said, if that can be said of an event."""
    message: MessageTypeDef = {
        "MessageId": "m",
        "Body": "a,b",
        "MessageAttributes": {"content-type": {"DataType": "String", "StringValue": claimed}},
    }

    (event,) = _sqs_message.read(message, ARN)

    validate.validate(event)
    assert event.datacontenttype == expected


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([100] * 3, [(0, 3)]),
        ([600_000, 600_000], [(0, 1), (1, 2)]),
        ([400_000] * 5, [(0, 2), (2, 4), (4, 5)]),
        ([2_000_000], [(0, 1)]),
        ([100, 2_000_000, 100], [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_no_call_is_larger_than_sqs_takes(sizes: list[int], expected: list[tuple[int, int]]) -> None:
    """What does not even fit alone is alone, so that it harms no other."""
    entries = [
        _sqs_message.entry(at, outgoing(event.but(data=b'"' + b"x" * size + b'"')), is_fifo=False)
        for at, (event, size) in enumerate(zip(numbered(len(sizes)), sizes, strict=True))
    ]

    assert _sqs_message.parts(entries) == expected


@pytest.mark.parametrize(
    ("url", "region", "arn"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/orders", None, ARN),
        ("https://eu-west-1.queue.amazonaws.com/123456789012/orders", None, ARN),
        ("https://queue.amazonaws.com/1/a", None, "arn:aws:sqs:us-east-1:1:a"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/a.fifo", None, "arn:aws-cn:sqs:cn-north-1:1:a.fifo"),
        ("https://sqs.us-gov-west-1.amazonaws.com/1/a", None, "arn:aws-us-gov:sqs:us-gov-west-1:1:a"),
        ("http://localhost:4566/000000000000/a", "eu-west-1", "arn:aws:sqs:eu-west-1:000000000000:a"),
    ],
)
def test_the_arn_follows_from_the_url(url: str, region: str | None, arn: str) -> None:
    """No permission is needed to ask for it."""
    assert QueueSettings(url=url, region=region).arn == arn


def test_a_url_that_tells_no_region_needs_one() -> None:
    with pytest.raises(ValidationError, match="region is needed"):
        QueueSettings(url="http://localhost:4566/000000000000/a")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDenied", Unauthorized),
        ("AccessDeniedException", Unauthorized),
        ("KMS.AccessDeniedException", Unauthorized),
        ("ExpiredTokenException", Unauthorized),
        ("InvalidClientTokenId", Unauthorized),
        ("SignatureDoesNotMatch", Unauthorized),
        ("RequestThrottled", Unavailable),
        ("ThrottlingException", Unavailable),
        ("AWS.SimpleQueueService.NonExistentQueue", Unavailable),
        ("QueueDoesNotExist", Unavailable),
        ("InternalError", Unavailable),
        ("SomethingNew", Unavailable),
        ("InvalidMessageContents", Rejected),
        ("BatchRequestTooLong", Rejected),
    ],
)
def test_an_error_code_means_one_thing(code: str, kind: type[Exception]) -> None:
    """F28, F29: for a whole call, never only where the events are to blame."""
    assert type(refusal(code, "because", "send to q")) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [("InvalidParameterValue", Rejected), ("ThrottlingException", Unavailable), ("AccessDenied", Unauthorized)],
)
def test_an_entry_that_is_the_senders_fault_is_rejected(code: str, kind: type[Exception]) -> None:
    assert type(refusal(code, "because", "send to q", is_fault_of_sender=True)) is kind
