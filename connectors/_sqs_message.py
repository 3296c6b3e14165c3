"""Event ⇄ SQS message: the mapping of docs/reference/mapping-sqs.md.

Written is one form: structured JSON, and the attribute `content-type`, because
a message has ten attributes at most. Read is every form seen in the wild.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from connectors._envelope import extension_name, is_plain, media_type, with_base64
from gateway.codec import json
from gateway.codec.validate import is_media_type
from gateway.core.errors import InvalidEvent
from gateway.core.event import Binary, Event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from types_aiobotocore_sqs.literals import MessageSystemAttributeNameType
    from types_aiobotocore_sqs.type_defs import (
        MessageAttributeValueOutputTypeDef,
        MessageTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

    from gateway.core.event import ExtensionValue, Outgoing

LARGEST = 1024 * 1024
"""Bytes of a message with its attributes, and of a call of SendMessageBatch."""

_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_ATTRIBUTES_SIZE = len("content-type" + "String" + _STRUCTURED)
_NOT_IN_A_BODY = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_IN_A_GROUP = re.compile(r"[!-~]{1,128}").fullmatch
_BINARY = re.compile(r"(?:ce[-_]|cloudEvents[:_])([a-z0-9]+)").fullmatch
_CORE = ("id", "source", "type", "subject", "time", "dataschema")
_KEPT: tuple[MessageSystemAttributeNameType, ...] = ("SenderId", "AWSTraceHeader", "MessageDeduplicationId")
"""System attributes that go along as extensions: the same at every receive."""
SYSTEM_ATTRIBUTES: tuple[MessageSystemAttributeNameType, ...] = (
    *_KEPT,
    "SentTimestamp",
    "MessageGroupId",
    "SequenceNumber",
)
"""What `read` looks at."""


def entry(index: int, event: Outgoing, *, is_fifo: bool) -> SendMessageBatchRequestEntryTypeDef:
    """The event as an entry of SendMessageBatch. FIFO: group and deduplication id too."""
    made: SendMessageBatchRequestEntryTypeDef = {
        "Id": str(index),
        "MessageBody": _body(event),
        "MessageAttributes": {"content-type": {"DataType": "String", "StringValue": _STRUCTURED}},
    }
    if is_fifo:
        key = event.idempotency_key or _hash("\0".join(event.key))
        made["MessageDeduplicationId"] = key
        # Without a group there is no order to keep: a group of its own lets it pass all others.
        group = key if event.group is None else event.group
        made["MessageGroupId"] = group if _IN_A_GROUP(group) else _hash(group)
    return made


def size(made: SendMessageBatchRequestEntryTypeDef) -> int:
    """Bytes of a message as SQS counts them: body, and names, types and values of attributes."""
    return len(made["MessageBody"].encode()) + _ATTRIBUTES_SIZE


def parts(entries: Sequence[SendMessageBatchRequestEntryTypeDef]) -> list[tuple[int, int]]:
    """Cut (start, end) so that each part fits into one call; what does not even fit alone is alone."""
    cuts = [0]
    total = 0
    for index, made in enumerate(entries):
        total += (bytes_ := size(made))
        if total > LARGEST and index > cuts[-1]:
            cuts.append(index)
            total = bytes_
    return list(zip(cuts, [*cuts[1:], len(entries)], strict=True))


def read(message: MessageTypeDef, arn: str) -> list[Event]:
    """The events in a message: one, or those of a batch document. `arn`: the queue it came from."""
    body = message["Body"].encode("utf-8", "surrogatepass")  # its JSON can escape what SQS itself does not take
    attributes = message.get("MessageAttributes", {})
    content_type = _content_type(attributes)
    try:
        if content_type.startswith(_BATCH):
            return list(json.decode_batch(body))
        if content_type.startswith(_STRUCTURED) or (body.lstrip()[:1] == b"{" and b'"specversion"' in body):
            return [json.decode(body)]
    except InvalidEvent:
        return [_wrapped(message, body, content_type, arn)]
    named = {found[1]: attribute for name, attribute in attributes.items() if (found := _BINARY(name))}
    if {"specversion", "id", "source", "type"} <= named.keys():
        return [_from_attributes(named, body, content_type)]
    return [_wrapped(message, body, content_type, arn)]


def _body(event: Event) -> str:
    text = json.encode(event).decode()
    return with_base64(event).decode() if _NOT_IN_A_BODY.search(text) else text


def _from_attributes(named: Mapping[str, MessageAttributeValueOutputTypeDef], body: bytes, content_type: str) -> Event:
    """Binary mode: attributes of the event in those of the message, data in the body."""
    values = {name: _value(attribute) for name, attribute in named.items() if name != "specversion"}
    core = {name: _text(values.pop(name)) for name in _CORE if name in values}
    declared = values.pop("datacontenttype", None)
    return Event(
        id=core["id"],
        source=core["source"],
        type=core["type"],
        subject=core.get("subject"),
        time=core.get("time"),
        dataschema=core.get("dataschema"),
        datacontenttype=content_type or (None if declared is None else _text(declared)),
        data=body,
        extensions=values,
    )


def _wrapped(message: MessageTypeDef, body: bytes, content_type: str, arn: str) -> Event:
    """What came without a valid envelope, in one of ours, with all the native metadata."""
    system: Mapping[str, str] = message.get("Attributes", {})  # type: ignore[assignment]  # its keys are literals
    extensions: dict[str, ExtensionValue] = {}
    if "SequenceNumber" in system:
        extensions["sequence"] = system["SequenceNumber"]
    for kept in _KEPT:
        if kept in system:
            extensions[extension_name(kept, "sqsmsg", extensions)] = _plain(system[kept])
    for name, attribute in message.get("MessageAttributes", {}).items():
        extensions[extension_name(name, "sqsmsg", extensions)] = _value(attribute)
    is_its_type = is_media_type(content_type) and not content_type.startswith("application/cloudevents")
    return Event(
        id=message["MessageId"],
        source=arn,
        type="com.amazon.sqs.message",
        subject=system.get("MessageGroupId"),
        time=_time(system.get("SentTimestamp")),
        datacontenttype=content_type if is_its_type else media_type(body),
        data=body,
        extensions=extensions,
    )


def _content_type(attributes: Mapping[str, MessageAttributeValueOutputTypeDef]) -> str:
    for name, attribute in attributes.items():
        if name.lower() == "content-type":
            return _text(_plain(attribute.get("StringValue", ""))).strip()
    return ""


def _value(attribute: MessageAttributeValueOutputTypeDef) -> ExtensionValue:
    if "BinaryValue" in attribute:
        return Binary(attribute["BinaryValue"])
    return _plain(attribute.get("StringValue", ""))


def _plain(text: str) -> ExtensionValue:
    """The text, or its bytes where a CloudEvents String may not hold it."""
    return text if is_plain(text) else Binary(text.encode("utf-8", "surrogatepass"))


def _text(value: ExtensionValue) -> str:
    return value.value.decode("utf-8", "replace") if isinstance(value, Binary) else str(value)


def _time(milliseconds: str | None) -> str | None:
    if milliseconds is None:
        return None
    moment = datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
