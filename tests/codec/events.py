"""Events for the codec's tests: samples, and hypothesis' way of making them up."""

from __future__ import annotations

import re

from hypothesis import strategies as st

from gateway.codec.validate import RESERVED, disallowed
from gateway.core.event import Binary, Event, Timestamp, Uri, UriReference, canonical

MINIMAL = Event(id="1", source="/tests", type="com.example.tested")
FULL = Event(
    id="0f3c6f3e-1d2a-4f6e-9b1a-0123456789ab",
    source="https://shop.example/eu/orders?x=1#y",
    type="com.example.order.created",
    subject="order 42 · grün",
    time="2026-11-23T10:00:00.123456Z",
    datacontenttype="application/json",
    dataschema="https://schemas.example/order.json#/v1",
    data=b'{"total": 1.10, "big": 1152921504606846976,\t"note": "\\u00e9 \xc3\xa9"}',
    extensions={"partitionkey": "c7", "attempts": 3, "urgent": True},
)
TYPED = MINIMAL.but(
    extensions={
        "extinteger": 10,
        "extboolean": True,
        "extstring": "text",
        "extbinary": Binary(b"Ma"),
        "exttimestamp": Timestamp("2023-03-31T15:12:00Z"),
        "exturi": Uri("https://cloudevents.io"),
        "exturiref": UriReference("//authority/path"),
    }
)

strings = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40).filter(lambda text: not disallowed(text))
filled = strings.filter(bool)
names = st.from_regex(re.compile("[a-z0-9]{1,20}", re.ASCII), fullmatch=True).filter(lambda name: name not in RESERVED)
references = st.sampled_from(["/a/b", "https://example.com/x?y=1", "urn:uuid:1", "#fragment", "1-555-123-4567"])
times = st.builds(
    lambda moment, fraction: f"{moment.replace(microsecond=0).isoformat()}{fraction}Z",
    st.datetimes(),
    st.sampled_from(["", ".500", ".123", ".123456", ".123456789"]),
)
integers = st.integers(-(2**31), 2**31 - 1)
plain_values = st.one_of(strings, st.booleans(), integers)
values = st.one_of(
    plain_values,
    st.builds(Binary, st.binary(max_size=20)),
    st.builds(Uri, st.sampled_from(["https://example.com/%20", "urn:x:y"])),
    st.builds(UriReference, references),
    st.builds(Timestamp, st.sampled_from(["2023-03-31T15:12:00Z", "2023-03-31T15:12:00.500Z"])),
)
json_texts = st.sampled_from(
    [
        b"{}",
        b"null",
        b"1.10",
        b"1152921504606846976",
        b'"\\ud83d\\ude00 \\u0041"',
        b'{ "a" :\n[1, 2.0,\t-0e5 ] }',
        b"[]",
    ]
)
data = st.one_of(st.none(), st.binary(max_size=50), st.text(max_size=20).map(str.encode), json_texts)
content_types = st.sampled_from(
    [
        None,
        "application/json",
        "text/plain",
        "Application/Foo+JSON; charset=utf-8",
        "text/xml; charset=iso-8859-1",
        "a/b",
    ]
)


def events(extension_values: st.SearchStrategy[object] = values) -> st.SearchStrategy[Event]:
    """Valid events, with extension values of the given kinds."""
    return st.builds(
        Event,
        id=filled,
        source=references,
        type=filled,
        subject=st.none() | filled,
        time=st.none() | times,
        datacontenttype=content_types,
        dataschema=st.sampled_from([None, "https://example.com/schema", "urn:schema:1"]),
        data=data,
        extensions=st.dictionaries(names, extension_values, max_size=4),
    )


def untyped(event: Event) -> Event:
    """The same event, all extensions as canonical strings: what headers keep."""
    return event.but(extensions={name: canonical(value) for name, value in event.extensions.items()})


def json_typed(event: Event) -> Event:
    """The same event, extensions as str, bool and int only: what JSON keeps."""
    return event.but(
        extensions={
            name: value if isinstance(value, bool | int) else canonical(value)
            for name, value in event.extensions.items()
        }
    )
