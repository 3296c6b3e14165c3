"""The golden sample events of the CloudEvents conformance documents."""

from __future__ import annotations

from datetime import datetime

from gateway.core.event import Binary, Event, Timestamp, Uri, UriReference, canonical

_minimal = Event(id="minimal", source="https://cloudevents.io", type="io.cloudevents.test")

SAMPLES = {
    "minimal": _minimal,
    "minimalWithTime": _minimal.but(id="minimalWithTime", time="2018-04-05T17:31:00Z"),
    "minimalWithRelativeSource": _minimal.but(id="minimalWithRelativeSource", source="#fragment"),
    "allCore": _minimal.but(
        id="allCore",
        datacontenttype="text/plain",
        dataschema="https://cloudevents.io/dataschema",
        subject="tests",
        time="2018-04-05T17:31:00Z",
    ),
    "simpleTextData": _minimal.but(id="simpleTextData", datacontenttype="text/plain", data=b"Simple text"),
    "allExtensionTypes": _minimal.but(
        id="allExtensionTypes",
        extensions={
            "extinteger": 10,
            "extboolean": True,
            "extstring": "text",
            "extbinary": Binary(b"Ma"),
            "exttimestamp": Timestamp("2023-03-31T15:12:00Z"),
            "exturi": Uri("https://cloudevents.io"),
            "exturiref": UriReference("//authority/path"),
        },
    ),
}


def same(one: Event, other: Event) -> bool:
    """Equal as the conformance documents say: times as instants, extensions as canonical strings."""
    return _comparable(one) == _comparable(other)


def _comparable(event: Event) -> tuple[object, ...]:
    return (
        event.but(time=None, extensions={}),
        None if event.time is None else datetime.fromisoformat(event.time),
        {name: canonical(value) for name, value in event.extensions.items()},
    )
