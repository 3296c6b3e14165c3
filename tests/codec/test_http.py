"""The HTTP binding: three modes, read by Content-Type."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.codec import http, json, protobuf
from gateway.codec.http import BATCH, STRUCTURED, decode, encode_batch, encode_binary, encode_structured
from gateway.core.errors import InvalidEvent, UnsupportedFormat
from tests.codec.corpora import text_of
from tests.codec.events import FULL, MINIMAL, TYPED, events, filled, json_typed, untyped

if TYPE_CHECKING:
    from gateway.core.event import Event

HEADERS = [("Ce-SpecVersion", "1.0"), ("CE-ID", "1"), ("ce-source", "/tests"), ("ce-type", "com.example.tested")]


@given(events())
@example(FULL)
@example(TYPED)
def test_binary_mode_brings_events_back(event: Event) -> None:
    """Up to canonical strings of extensions, and empty data, which the binding does not know."""
    headers, body = encode_binary(event)

    assert all(value.isascii() and value.isprintable() for value in headers.values())
    assert decode(headers.items(), body) == [untyped(event).but(data=event.data or None)]


@given(st.lists(events(), max_size=3))
@example([FULL, TYPED])
def test_structured_and_batch_mode_bring_events_back(batch: list[Event]) -> None:
    expected = [json_typed(event) for event in batch]

    headers, body = encode_batch(batch)
    assert decode(headers.items(), body) == expected
    for event, back in zip(batch, expected, strict=True):
        headers, body = encode_structured(event)
        assert decode(headers.items(), body) == [back]


def test_protobuf_is_read_as_well() -> None:
    one = [("content-type", "application/cloudevents+protobuf")]
    batch = [("content-type", "application/cloudevents-batch+protobuf")]

    assert decode(one, protobuf.encode(TYPED)) == [TYPED]
    assert decode(batch, protobuf.encode_batch([TYPED, FULL])) == [TYPED, FULL]


@pytest.mark.parametrize("scenario", ["Binary", "Structured"])
def test_the_feature_of_the_corpus(scenario: str) -> None:
    feature = text_of("cloudevents-formats/features/http-protocol-binding.feature")
    part = feature.partition(f"Scenario Outline: {scenario}")[2].partition("Scenario Outline")[0]
    request = part.split('"""')[1]
    table = dict(
        re.findall(
            r"^\s*\|\s*(\w+)\s*\|\s*(\S.*?)\s*\|$",
            part.partition("attributes are")[2].partition("Examples")[0],
            re.MULTILINE,
        )
    )
    content_types = re.findall(r"^\s*\|\s*(application/\S.*?)\s*\|$", part.partition("Examples")[2], re.MULTILINE)
    assert len(content_types) == 2

    for content_type in content_types:
        head, _, body = request.replace("<contentType>", content_type).strip().partition("\n\n")
        headers = [tuple(line.strip().split(": ", 1)) for line in head.splitlines()[1:]]
        (event,) = decode(headers, body.strip().encode())  # type: ignore[arg-type] # pairs

        expected = {key: value.replace("<contentType>", content_type) for key, value in table.items() if key != "key"}
        assert expected.pop("specversion") == "1.0"
        assert {key: getattr(event, key) for key in expected} == expected
        assert b"".join((event.data or b"").split()) == b'{"message":"HelloWorld!"}'


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ('100% "q"', "100%25%20%22q%22"),
        ("a\x7f\x80", "a%7F%C2%80"),
        ("!#$&'()*+,-./:;<=>?@[\\]^_`{|}~", "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"),
    ],
)
def test_header_values_are_encoded_as_the_binding_says(text: str, header: str) -> None:
    assert http.to_header(text) == header
    assert http.from_header(header) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_one_round_of_decoding_undoes_the_encoding(text: str) -> None:
    assert http.from_header(http.to_header(text)) == text


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("%c3%a9", "é"),
        ("%41%2541", "A%41"),
        ('"a \\"b\\" \\\\c"', 'a "b" \\c'),
        ('"%20"', " "),
        ("plain text", "plain text"),
        ("é%C3%A9", "éé"),
    ],
)
def test_header_values_of_older_senders_are_read(header: str, text: str) -> None:
    assert decode([*HEADERS, ("ce-subject", header)], b"")[0].subject == text


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ([], "not a CloudEvent: no ce- headers"),
        ([("content-type", "application/json")], "not a CloudEvent: .*Content-Type is 'application/json'"),
        (HEADERS[1:], "ce-specversion: the header is missing"),
        ([HEADERS[0], *HEADERS[2:]], "ce-id: the header is missing"),
        ([*HEADERS[:2], HEADERS[3]], "ce-source: the header is missing"),
        (HEADERS[:3], "ce-type: the header is missing"),
        ([("ce-specversion", "0.3"), *HEADERS[1:]], "ce-specversion: '0.3' is not known"),
        ([*HEADERS, ("cE-Id", "2")], "'ce-id': the header stands twice"),
        ([*HEADERS, ("ce-x", "a"), ("ce-x", "a")], "'ce-x': the header stands twice"),
        ([*HEADERS, ("content-type", "a/b"), ("Content-Type", "a/b")], "content-type: the header stands twice"),
        ([*HEADERS, ("ce-datacontenttype", "a/b")], "ce-datacontenttype: must not be sent"),
        ([*HEADERS, ("ce-subject", "%C0%A0")], "'ce-subject': not UTF-8"),
        ([*HEADERS, ("ce-subject", "%ED%A0%80")], "'ce-subject': not UTF-8"),
        ([*HEADERS, ("ce-subject", "\udcff%20")], "'ce-subject': not UTF-8"),
        ([*HEADERS, ("ce-subject", "\udcff")], r"subject: .*U\+DCFF"),
        ([*HEADERS, ("ce-subject", "100%")], "'ce-subject': a percent sign"),
        ([*HEADERS, ("ce-subject", '"a')], "'ce-subject': a quote"),
        ([*HEADERS, ("ce-subject", "%0A")], r"subject: .*U\+000A"),
        ([*HEADERS, ("ce-subject", "")], "subject: must not be empty"),
        ([*HEADERS, ("ce-data", "x")], "data: not a name"),
        ([*HEADERS, ("ce-my-ext", "x")], "'my-ext': an extension's name"),
        ([*HEADERS, ("ce-", "x")], "'': an extension's name"),
        ([*HEADERS, ("content-type", "xyz")], "datacontenttype: 'xyz' is not a media type"),
    ],
)
def test_a_refusal_names_the_header(headers: list[tuple[str, str]], named: str) -> None:
    with pytest.raises(InvalidEvent, match=f"^{named}") as raised:
        decode(headers, b"{}")

    assert not isinstance(raised.value, UnsupportedFormat)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+xml",
        "application/cloudevents",
        "Application/CloudEvents-Batch+Avro",
        "application/cloudevents+json; charset=utf-16",
        'application/cloudevents-batch+json;CharSet="iso-8859-1"',
    ],
)
def test_formats_that_are_not_read_are_told_apart(content_type: str) -> None:
    with pytest.raises(UnsupportedFormat):
        decode([("Content-Type", content_type)], json.encode(MINIMAL))


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+json",
        "APPLICATION/CloudEvents+JSON ; Charset=UTF-8",
        'application/cloudevents+json;charset="utf-8"',
        " application/cloudevents+json; x=y",
    ],
)
def test_the_mode_does_not_hang_on_case_or_parameters(content_type: str) -> None:
    """And ce- headers beside a structured event say nothing."""
    headers = [("ce-id", "other"), ("Content-Type", content_type)]

    assert decode(headers, json.encode(MINIMAL)) == [MINIMAL]


def test_a_batch_may_be_empty_and_names_the_wrong_event() -> None:
    assert decode([("content-type", BATCH)], b"[]") == []
    with pytest.raises(InvalidEvent, match=r"^event 1: id: missing"):
        decode([("content-type", BATCH)], b"[" + json.encode(MINIMAL) + b',{"specversion":"1.0"}]')


def test_a_structured_event_with_json_data_says_its_type_in_binary_mode() -> None:
    """JSON format 3.1.2: what was implied there must be said elsewhere."""
    (event,) = decode([("content-type", STRUCTURED)], json.encode(MINIMAL)[:-1] + b',"data":1.50}')

    assert encode_binary(event) == (encode_binary(MINIMAL)[0] | {"content-type": "application/json"}, b"1.50")


@given(
    st.lists(st.tuples(st.sampled_from(["ce-id", "ce-x", "Content-Type", "ce-time"]), st.text(max_size=9))), st.binary()
)
def test_hostile_messages_raise_nothing_else(headers: list[tuple[str, str]], body: bytes) -> None:
    with contextlib.suppress(InvalidEvent):
        decode(headers, body)


@given(filled)
def test_the_official_package_reads_what_we_write(subject: str) -> None:
    event = FULL.but(subject=subject, extensions={"partitionkey": subject}, datacontenttype="text/plain", data=b"text")
    headers, body = encode_binary(event)

    theirs = from_binary(HTTPMessage(headers=headers, body=body), JSONFormat(), CloudEvent)

    attributes = theirs.get_attributes()
    assert (attributes["id"], attributes["subject"], attributes["partitionkey"]) == (event.id, subject, subject)


@given(filled)
def test_we_read_what_the_official_package_writes(subject: str) -> None:
    attributes = {"id": "1", "source": "/tests", "type": "com.example.tested", "specversion": "1.0", "subject": subject}
    message = to_binary(CloudEvent(attributes | {"datacontenttype": "text/plain"}, b"text"), JSONFormat())

    (event,) = decode(message.headers.items(), message.body)

    assert event.but(time=None) == MINIMAL.but(subject=subject, datacontenttype="text/plain", data=b"text")
