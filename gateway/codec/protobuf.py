"""Event ⇄ CloudEvents protobuf format 1.0, as bytes and as message objects.

Extensions keep their types. `time` becomes a ce_timestamp: the same instant to
the nanosecond, written in UTC when it comes back; one that protobuf cannot
express (a leap second, more than nine digits) stays its text, as a ce_string.

Data in UTF-8 under a content type of text, JSON or XML is text_data, other data
binary_data; both come back byte for byte. Of proto_data the Event has the bytes
of the packed message; if the event does not say otherwise, its datacontenttype
is application/protobuf and its dataschema the type URL (with https, which a URL
without scheme means there). Such an Event is written as proto_data again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError

from gateway.codec import payload
from gateway.codec.cloudevents_pb2 import CloudEvent, CloudEventBatch
from gateway.codec.media import essence, is_text
from gateway.codec.validate import is_timestamp, validate, validate_each
from gateway.core.errors import InvalidEvent
from gateway.core.event import Binary, Event, Timestamp, Uri, UriReference, canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.event import ExtensionValue

M = TypeVar("M", CloudEvent, CloudEventBatch)
Value = CloudEvent.CloudEventAttributeValue

PROTOBUF = "application/protobuf"
_TYPE_URL = "type.googleapis.com/"
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 # all in UTC, and faster without saying so
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""Seconds since 1970 that a protobuf Timestamp may have: the years 1 to 9999."""
_SECOND = 10**9
_DIGITS = 9
_BEFORE_FRACTION = 19
"""Characters of a timestamp up to the whole second."""


def decode(message: bytes) -> Event:
    """Read one event and validate it.

    :raises InvalidEvent: not such a message, or not a CloudEvent 1.0.
    """
    event = from_message(_parsed(CloudEvent(), message))
    validate(event)
    return event


def decode_batch(message: bytes) -> list[Event]:
    """Read a batch, which may be empty, and validate its events.

    :raises InvalidEvent: with the index of the first wrong event.
    """
    batch = _parsed(CloudEventBatch(), message)
    events: list[Event] = []
    try:
        for one in batch.events:
            events.append(from_message(one))  # noqa: PERF401 # its length is the index of the one that fails
    except InvalidEvent as problem:
        raise InvalidEvent(problem.reason, index=len(events)) from None
    validate_each(events)
    return events


def encode(event: Event) -> bytes:
    """Write one event."""
    return to_message(event).SerializeToString()


def encode_batch(events: Sequence[Event]) -> bytes:
    """Write events as a batch."""
    return CloudEventBatch(events=map(to_message, events)).SerializeToString()


def from_message(message: CloudEvent) -> Event:
    """The event of a message, unvalidated.

    :raises InvalidEvent: an attribute has no value or one of a wrong type, or the version is not 1.0.
    """
    if message.spec_version != "1.0":
        found = f"{message.spec_version!a:.40} is not known" if message.spec_version else "missing"
        raise InvalidEvent(f'specversion: {found}; expected "1.0"')
    attributes: dict[str, ExtensionValue] = {name: _value(name, value) for name, value in message.attributes.items()}
    subject = _taken(attributes, "subject", str)
    time = _taken(attributes, "time", Timestamp, str)
    content_type = _taken(attributes, "datacontenttype", str)
    schema = _taken(attributes, "dataschema", Uri, str)
    data: bytes | None = None
    match message.WhichOneof("data"):
        case "binary_data":
            data = message.binary_data
        case "text_data":
            data = payload.of_text(message.text_data, content_type)
        case "proto_data":
            data = message.proto_data.value
            content_type = PROTOBUF if content_type is None else content_type
            schema = _with_scheme(message.proto_data.type_url, schema)
        case _:
            pass
    return Event(message.id, message.source, message.type, subject, time, content_type, schema, data, attributes)


def to_message(event: Event) -> CloudEvent:
    """The message of a valid event."""
    message = CloudEvent(id=event.id, source=event.source, spec_version="1.0", type=event.type)
    attributes = message.attributes
    if event.subject is not None:
        attributes["subject"].ce_string = event.subject
    if event.time is not None:
        _put_time(attributes["time"], event.time)
    if event.datacontenttype is not None:
        attributes["datacontenttype"].ce_string = event.datacontenttype
    if event.dataschema is not None:
        attributes["dataschema"].ce_uri = event.dataschema
    for name, value in event.extensions.items():
        _put(attributes[name], value)
    if event.data is not None:
        _put_data(message, event.data, event)
    return message


def _parsed(message: M, content: bytes) -> M:
    try:
        message.ParseFromString(content)
    except DecodeError as problem:
        raise InvalidEvent(f"not a protobuf message {message.DESCRIPTOR.full_name}: {problem}") from None
    return message


def _value(name: str, value: Value) -> ExtensionValue:  # noqa: PLR0911 # one for each type
    match value.WhichOneof("attr"):
        case "ce_string":
            return value.ce_string
        case "ce_integer":
            return value.ce_integer
        case "ce_boolean":
            return value.ce_boolean
        case "ce_bytes":
            return Binary(value.ce_bytes)
        case "ce_uri":
            return Uri(value.ce_uri)
        case "ce_uri_ref":
            return UriReference(value.ce_uri_ref)
        case "ce_timestamp":
            return Timestamp(_text_of(name, value.ce_timestamp.seconds, value.ce_timestamp.nanos))
        case _:
            raise InvalidEvent(f"{name!a:.80}: the attribute has no value")


def _taken(attributes: dict[str, ExtensionValue], name: str, *kinds: type) -> str | None:
    """An optional core attribute as its string, no longer among the extensions."""
    value = attributes.pop(name, None)
    if value is None:
        return None
    if not isinstance(value, kinds):
        raise InvalidEvent(
            f"{name}: expected {' or '.join(kind.__name__ for kind in kinds)}, got {type(value).__name__}"
        )
    return canonical(value)


def _with_scheme(type_url: str, schema: str | None) -> str | None:
    """The dataschema of a packed message: what the event says, else the type URL; both often lack their scheme."""
    chosen = schema or type_url
    return f"https://{chosen}" if chosen and chosen == type_url and ":" not in chosen else chosen or None


def _put(target: Value, value: ExtensionValue) -> None:
    match value:
        case str():
            target.ce_string = value
        case bool():
            target.ce_boolean = value
        case int():
            target.ce_integer = value
        case Binary():
            target.ce_bytes = value.value
        case Uri():
            target.ce_uri = value.value
        case UriReference():
            target.ce_uri_ref = value.value
        case Timestamp():
            _put_time(target, value.value)


def _put_time(target: Value, text: str) -> None:
    moment = _moment(text)
    if moment is None:
        target.ce_string = text
    else:
        target.ce_timestamp.seconds, target.ce_timestamp.nanos = moment


def _put_data(message: CloudEvent, data: bytes, event: Event) -> None:
    content_type, type_url = event.datacontenttype, (event.dataschema or "").removeprefix("https://")
    if content_type is None:
        message.binary_data = data
    elif is_text(content_type) and (text := payload.as_text(data)) is not None:
        message.text_data = text
    elif essence(content_type) == PROTOBUF and type_url.startswith(_TYPE_URL):
        message.proto_data.type_url, message.proto_data.value = type_url, data
    else:
        message.binary_data = data


def _moment(text: str) -> tuple[int, int] | None:
    """Seconds since 1970 and nanoseconds of an RFC 3339 timestamp; None if protobuf has no way to say it."""
    if not is_timestamp(text) or text[17:19] == "60":
        return None
    fraction, zone = "", text[_BEFORE_FRACTION:]
    if zone[0] == ".":
        fraction = zone[1:].rstrip("Zz").partition("+")[0].partition("-")[0]
        zone = zone[1 + len(fraction) :]
        fraction = fraction.rstrip("0")
    if len(fraction) > _DIGITS or text.startswith("0000"):
        return None
    whole = datetime.fromisoformat(f"{text[:10]}T{text[11:19]}{zone.upper()}")
    offset = whole.utcoffset() or timedelta()
    since = whole.replace(tzinfo=None) - _EPOCH
    seconds = since.days * 86400 + since.seconds - int(offset.total_seconds())
    return (seconds, int(fraction.ljust(_DIGITS, "0"))) if _FIRST <= seconds <= _LAST else None


def _text_of(name: str, seconds: int, nanos: int) -> str:
    """RFC 3339 in UTC, with no, three, six or nine digits, as few as keep the nanoseconds."""
    if not (_FIRST <= seconds <= _LAST and 0 <= nanos < _SECOND):
        raise InvalidEvent(f"{name!a:.80}: not a moment in the years 1 to 9999")
    text = (_EPOCH + timedelta(seconds=seconds)).isoformat()
    if not nanos:
        return f"{text}Z"
    digits = f"{nanos:09d}"
    return f"{text}.{digits.removesuffix('000').removesuffix('000')}Z"
