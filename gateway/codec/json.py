"""Event ⇄ CloudEvents JSON format 1.0, single and in batches.

The law: the data of an Event is, byte for byte, the JSON value that stood in
`data`, the text of its string, or what `data_base64` stands for. Nothing is
parsed and written anew, so 1.10, 2^60 and inner whitespace survive.

A `data` member without `datacontenttype` means application/json (3.1.2), and
the Event says so; an Event with data of no declared type is written as
`data_base64`, since without the member no type may be assumed.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import Raw

from gateway.codec.envelope import Envelopes
from gateway.codec.payload import JSON, MALFORMED, of_base64, of_data, put, why
from gateway.codec.validate import CORE, is_extension_name, validate, validate_each
from gateway.core.errors import InvalidEvent
from gateway.core.event import Event, canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

Value: TypeAlias = str | int | float | bool | None

_envelopes = Envelopes()
_members = msgspec.json.Decoder(dict[str, Raw]).decode
_items = msgspec.json.Decoder(list[Raw]).decode
_value = msgspec.json.Decoder(Value).decode
_encode = msgspec.json.Encoder().encode

_TEXTS = CORE | {"data_base64"}
_KINDS = {"{": "an object", "[": "an array"}


def decode(body: bytes) -> Event:
    """Read one event in structured mode and validate it.

    :raises InvalidEvent: not JSON, not a CloudEvent 1.0, or a member stands twice.
    """
    event = _envelopes.read(body)
    if event is not None:
        validate(event)
        return event
    event = _look_closer(body)
    validate(event)
    _envelopes.learn(event.extensions)
    return event


def decode_batch(body: bytes) -> list[Event]:
    """Read a batch, which may be empty, and validate its events.

    :raises InvalidEvent: with the index of the first wrong event, or without one if the whole is not a JSON array.
    """
    events = _envelopes.read_batch(body)
    if events is not None:
        validate_each(events)
        return events
    try:
        items = _items(body)
    except MALFORMED as problem:
        raise InvalidEvent(f"not a JSON array in UTF-8: {why(problem)}") from None
    events = []
    try:
        for item in items:
            events.append(decode(bytes(item)))  # its length is the index of the one that fails
    except InvalidEvent as problem:
        raise InvalidEvent(problem.reason, index=len(events)) from None
    return events


def encode(event: Event) -> bytes:
    """Write one event as a JSON object in UTF-8."""
    return _encode(_document(event))


def encode_batch(events: Sequence[Event]) -> bytes:
    """Write events as a JSON array."""
    return _encode([_document(event) for event in events])


def _look_closer(body: bytes) -> Event:
    """The event of any envelope, unvalidated, or what is wrong with it."""
    try:
        members = _members(body)
        str(body, "utf-8")  # what is skipped over is not checked otherwise
    except MALFORMED as problem:
        raise InvalidEvent(f"not a JSON object in UTF-8: {why(problem)}") from None
    _refuse_twice(body)
    data, encoded = members.pop("data", None), members.pop("data_base64", None)
    attributes = {name: value for name, raw in members.items() if (value := _attribute(name, raw)) is not None}
    if (version := attributes.pop("specversion", None)) != "1.0":
        found = "missing" if version is None else f"{version!a:.40} is not known"
        raise InvalidEvent(f'specversion: {found}; expected "1.0"')
    for name in ("id", "source", "type"):
        if name not in attributes:
            raise InvalidEvent(f"{name}: missing")
    if data is not None and encoded is not None:
        raise InvalidEvent("data and data_base64: only one of them may be there")
    core: dict[str, Value] = {name: attributes.pop(name) for name in CORE if name in attributes}
    payload = None
    if data is not None:
        payload = of_data(data, core.setdefault("datacontenttype", JSON))
    elif encoded is not None and isinstance(text := _attribute("data_base64", encoded), str):
        payload = of_base64(text)
    return Event(data=payload, extensions=attributes, **core)  # type: ignore[arg-type] # validate holds them to it


def _attribute(name: str, raw: Raw) -> Value:
    """One attribute's value; None for null, which means unset."""
    try:
        value: Value = _value(raw)
        if value is None or isinstance(value, str) or (not isinstance(value, float) and name not in _TEXTS):
            return value
        found = "a number with a fraction or an exponent" if isinstance(value, float) else json.dumps(value)
    except msgspec.ValidationError:
        found = _KINDS.get(chr(bytes(raw)[0]), "a number out of range")
    except MALFORMED as problem:
        found = why(problem)
    expected = "a string" if name in _TEXTS else "a string, an integer or a boolean"
    shown = name if name in _TEXTS or is_extension_name(name) else ascii(name)
    raise InvalidEvent(f"{shown:.80}: expected {expected}, got {found:.80}")


def _refuse_twice(body: bytes) -> None:
    """Refuse the object if a member stands twice in it; what stands inside `data` is not looked at.

    :raises InvalidEvent: one does; the message names it.
    """
    last: list[str] = []

    def note(members: list[tuple[str, object]]) -> None:
        last[:] = [name for name, _ in members]  # the outermost object is the last to be complete

    try:
        json.loads(body, object_pairs_hook=note, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as problem:
        raise InvalidEvent(f"not a JSON object in UTF-8: {why(problem)}") from None
    twice = [name for name, count in Counter(last).items() if count > 1]
    if twice:
        raise InvalidEvent(f"{twice[0]!a:.80}: stands twice in the event")


def _document(event: Event) -> dict[str, object]:
    document: dict[str, object] = {"specversion": "1.0", "id": event.id, "source": event.source, "type": event.type}
    if event.subject is not None:
        document["subject"] = event.subject
    if event.time is not None:
        document["time"] = event.time
    if event.datacontenttype is not None:
        document["datacontenttype"] = event.datacontenttype
    if event.dataschema is not None:
        document["dataschema"] = event.dataschema
    for name, value in event.extensions.items():
        document[name] = value if isinstance(value, str | int) else canonical(value)
    if event.data is not None:
        put(document, event.data, event.datacontenttype)
    return document
