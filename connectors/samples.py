# ruff: noqa: S101  (part of the test kit: its findings are assertions)
"""Sample events that must come through any connector as they are, and how to compare them."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING

from gateway.core.event import (
    Binary,
    Event,
    Outgoing,
    Timestamp,
    Uri,
    UriReference,
    canonical,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.core.event import ExtensionValue

SAMPLES: tuple[Event, ...] = (
    Event(id="plain", source="/samples", type="com.example.plain", datacontenttype="application/json", data=b'{"a":1}'),
    Event(
        id="numbers",
        source="/samples",
        type="com.example.numbers",
        datacontenttype="application/json",
        data=b'{"price": 1.10, "big": 1152921504606846976, "tiny": 1e-7, "list": [ 1,2 ]}',
    ),
    Event(
        id="pretty",
        source="/samples",
        type="com.example.pretty",
        datacontenttype="application/json",
        data=b'{\n  "a": "b",\r\n\t"c": null\n}\n',
    ),
    Event(
        id="string", source="/samples", type="com.example.string", datacontenttype="application/json", data=b'"hello"'
    ),
    Event(
        id="binary",
        source="/samples",
        type="com.example.binary",
        datacontenttype="application/octet-stream",
        data=bytes(range(256)),
    ),
    Event(
        id="unicode-żółć-🚀",
        source="/samples/%C5%82%C3%B3d%C5%BA",
        type="com.example.unicode",
        subject='snow ☃, "quoted" 100%, tail ',
        datacontenttype="text/plain; charset=utf-8",
        data="Grüße, 世界 \U0001f680\n".encode(),
        extensions={"note": "naïve — “quotes”"},
    ),
    Event(
        id="typed",
        source="https://example.com/samples?a=1#b",
        type="com.example.typed",
        time="2026-02-03T04:05:06.123456789+02:00",
        dataschema="https://example.com/schema/1",
        datacontenttype="text/xml",
        data=b"<a>1</a>",
        extensions={
            "flag": True,
            "count": -2147483648,
            "blob": Binary(b"\x00\xff\x10"),
            "link": Uri("https://example.com/x"),
            "near": UriReference("../x"),
            "moment": Timestamp("2026-01-01T00:00:00Z"),
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        },
    ),
    Event(id="no-data", source="/samples", type="com.example.nothing"),
    Event(id="no-data-typed", source="/samples", type="com.example.nothing", datacontenttype="application/json"),
    Event(id="no-content-type", source="/samples", type="com.example.untyped", data=b'{"untyped":true}'),
)
"""Events that must come through any connector as they are."""

EMPTY = Event(
    id="empty", source="/samples", type="com.example.empty", datacontenttype="application/octet-stream", data=b""
)
"""Data that is there and has no bytes; not every bus can tell it from no data."""


def plain(event: Event) -> Event:
    """The event with every extension as its canonical string: equal for all that a bus must keep."""
    strings: dict[str, ExtensionValue] = {name: canonical(value) for name, value in event.extensions.items()}
    return Event(
        id=event.id,
        source=event.source,
        type=event.type,
        subject=event.subject,
        time=event.time,
        datacontenttype=event.datacontenttype,
        dataschema=event.dataschema,
        data=event.data,
        extensions=strings,
    )


def numbered(count: int, mark: str = "") -> list[Event]:
    """So many events that differ, with ids nobody used before."""
    run = mark or uuid.uuid4().hex[:12]
    return [
        Event(
            id=f"{run}-{number}",
            source="/conformance",
            type="com.example.numbered",
            datacontenttype="application/json",
            data=b'{"number":%d}' % number,
        )
        for number in range(count)
    ]


def outgoing(event: Event, *, group: str | None = None) -> Outgoing:
    """The event as delivery hands it to a sink."""
    return Outgoing(
        id=event.id,
        source=event.source,
        type=event.type,
        subject=event.subject,
        time=event.time,
        datacontenttype=event.datacontenttype,
        dataschema=event.dataschema,
        data=event.data,
        extensions=event.extensions,
        idempotency_key=hashlib.sha256("\0".join(event.key).encode()).hexdigest()[:32],
        group=group,
    )


def fresh(events: Iterable[Event]) -> list[Event]:
    """The same events under ids nobody used before, so that runs may share a bus."""
    run = uuid.uuid4().hex[:12]
    return [event.but(id=f"{event.id} {run}") for event in events]


def assert_unchanged(arrived: Iterable[Event], sent: Iterable[Event]) -> None:
    """Fail unless each event that was sent is there, equal up to the canonical strings of its extensions."""
    found = {event.key: plain(event) for event in arrived}
    for event in sent:
        assert event.key in found, f"did not arrive: {event.key}"
        assert found[event.key] == plain(event), f"changed on the way: {event.key}"
