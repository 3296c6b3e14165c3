"""Event: an immutable CloudEvent 1.0 whose data stays bytes.

The order of the fields is the order on disk and on the wire (a msgpack array,
see `gateway/codec/frames.py`): it is kept for ever, new fields go to the end.
"""

from __future__ import annotations

import base64
from typing import TypeAlias

import msgspec


class Binary(msgspec.Struct, frozen=True, array_like=True, tag="b"):
    """An extension of the CloudEvents type Binary."""

    value: bytes


class Uri(msgspec.Struct, frozen=True, array_like=True, tag="u"):
    """An extension of the CloudEvents type URI (RFC 3986, absolute)."""

    value: str


class UriReference(msgspec.Struct, frozen=True, array_like=True, tag="r"):
    """An extension of the CloudEvents type URI-reference."""

    value: str


class Timestamp(msgspec.Struct, frozen=True, array_like=True, tag="t"):
    """An extension of the CloudEvents type Timestamp: its RFC 3339 text, as received."""

    value: str


ExtensionValue: TypeAlias = str | int | bool | Binary | Uri | UriReference | Timestamp
"""Types survive where the bus keeps them; JSON and headers only know str, int and bool."""


class Event(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A CloudEvent 1.0 (`specversion` is always 1.0).

    Construct freely, then `validate` (gateway/codec/validate.py) at a door:
    the constructor checks nothing, because what comes from the log was checked.
    """

    id: str
    source: str
    type: str
    subject: str | None = None
    time: str | None = None
    """RFC 3339, the text as received."""
    datacontenttype: str | None = None
    dataschema: str | None = None
    data: bytes | None = None
    """The payload, byte for byte as it came; None when the event has no data."""
    extensions: dict[str, ExtensionValue] = {}
    """Names match [a-z0-9]+. Never mutate."""

    @property
    def key(self) -> tuple[str, str]:
        """(source, id): what makes an event this event (CloudEvents 3.1.1)."""
        return (self.source, self.id)

    def but(self, **changes: object) -> Event:
        """The same event with these fields replaced."""
        return msgspec.structs.replace(self, **changes)


class Outgoing(Event, frozen=True, gc=False):
    """An event on its way into a sink, with what a destination needs to drop repeats and keep order."""

    idempotency_key: str = ""
    """32 hex digits; the same over retries, different for each subscription and replay."""
    group: str | None = None
    """The subscription's `order_by` value, else `partitionkey`; None when the event has neither."""


def canonical(value: ExtensionValue) -> str:
    """The canonical string of an extension value (CloudEvents 1.0, section Type System)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Binary):
        return base64.b64encode(value.value).decode("ascii")
    return value.value
