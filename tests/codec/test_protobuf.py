"""The protobuf format keeps types and bytes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.timestamp_pb2 import Timestamp as Moment
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.codec.cloudevents_pb2 import CloudEvent, CloudEventBatch
from gateway.codec.protobuf import decode, decode_batch, encode, encode_batch, from_message, to_message
from gateway.core.errors import InvalidEvent
from gateway.core.event import Timestamp
from tests.codec.corpora import cases
from tests.codec.events import FULL, MINIMAL, TYPED, events
from tests.codec.samples import SAMPLES, same

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.core.event import Event

FORMAT = "cloudevents-formats/protobuf"


def message(document: dict[str, Any]) -> bytes:
    return json_format.ParseDict(document, CloudEvent()).SerializeToString()


@pytest.mark.parametrize("case", cases(f"{FORMAT}/valid-events.json"))
def test_valid_events_of_the_corpus(case: dict[str, Any]) -> None:
    event = decode(message(case["validSingle"]))

    assert same(event, SAMPLES[case["sampleId"]])
    assert event.extensions == SAMPLES[case["sampleId"]].extensions
    assert decode(encode(event)) == event


@pytest.mark.parametrize("case", cases(f"{FORMAT}/invalid-events.json"))
def test_invalid_events_of_the_corpus(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent):
        decode(message(case["invalidSingle"]))


@pytest.mark.parametrize("case", cases(f"{FORMAT}/valid-batches.json"))
def test_valid_batches_of_the_corpus(case: dict[str, Any]) -> None:
    packed = json_format.ParseDict(case["validBatch"], CloudEventBatch()).SerializeToString()

    assert decode_batch(packed) == [SAMPLES[event["id"]] for event in case["validBatch"]["events"]]


@pytest.mark.parametrize("case", cases(f"{FORMAT}/invalid-batches.json"))
def test_invalid_batches_of_the_corpus(case: dict[str, Any]) -> None:
    packed = json_format.ParseDict(case["invalidBatch"], CloudEventBatch()).SerializeToString()

    with pytest.raises(InvalidEvent) as raised:
        decode_batch(packed)

    assert raised.value.index == (1 if "Mixed" in case["id"] else 0)


@given(events())
@example(FULL)
@example(TYPED)
@example(MINIMAL.but(data=b""))
@example(MINIMAL.but(data=b"\xff", datacontenttype="text/plain"))
@example(MINIMAL.but(data=b"", datacontenttype="application/json"))
@example(MINIMAL.but(data=b"x", datacontenttype="application/protobuf", dataschema="https://type.googleapis.com/a.B"))
def test_events_come_back_as_they_went(event: Event) -> None:
    assert decode(encode(event)) == event
    assert decode_batch(encode_batch([event, MINIMAL])) == [event, MINIMAL]
    assert from_message(to_message(event)) == event


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("2018-04-05T17:31:00Z", "2018-04-05T17:31:00Z"),
        ("2018-04-05T17:31:00.123456789Z", "2018-04-05T17:31:00.123456789Z"),
        ("2018-04-05T17:31:00.100000000Z", "2018-04-05T17:31:00.100Z"),
        ("2018-04-05t17:31:00.0001z", "2018-04-05T17:31:00.000100Z"),
        ("2018-04-05T18:31:00.5+01:00", "2018-04-05T17:31:00.500Z"),
        ("2018-04-05T17:01:00-00:30", "2018-04-05T17:31:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
        ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:60Z"),
        ("2018-04-05T17:31:00.1234567891Z", "2018-04-05T17:31:00.1234567891Z"),
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00+01:00"),
    ],
)
def test_a_time_keeps_its_instant(text: str, back: str) -> None:
    """Or, where protobuf cannot say it, its text."""
    assert decode(encode(MINIMAL.but(time=text))).time == back


@given(st.datetimes(), st.integers(0, 999_999_999))
def test_timestamps_agree_with_protobufs_own(moment: datetime, nanos: int) -> None:
    theirs = Moment(nanos=nanos)
    theirs.FromDatetime(moment.replace(microsecond=0))
    theirs.nanos = nanos

    text = decode(
        message(
            {
                "id": "1",
                "source": "/",
                "type": "t",
                "specVersion": "1.0",
                "attributes": {"time": {"ceTimestamp": theirs.ToJsonString()}},
            }
        )
    ).time

    assert text == theirs.ToJsonString()
    assert to_message(MINIMAL.but(time=text)).attributes["time"].ce_timestamp == theirs


def test_data_lies_where_the_specification_puts_it() -> None:
    text = to_message(MINIMAL.but(data="grün".encode(), datacontenttype="text/plain"))
    packed = to_message(
        MINIMAL.but(data=b"x", datacontenttype="application/protobuf", dataschema="https://type.googleapis.com/a.B")
    )

    assert text.text_data == "grün"
    assert to_message(FULL).WhichOneof("data") == "text_data"
    assert to_message(MINIMAL.but(data=b"{}")).binary_data == b"{}"
    assert to_message(MINIMAL.but(data=b"{}", datacontenttype="image/png")).binary_data == b"{}"
    assert (packed.proto_data.type_url, packed.proto_data.value) == ("type.googleapis.com/a.B", b"x")
    assert to_message(MINIMAL).WhichOneof("data") is None


@pytest.mark.parametrize("said", [False, True])
def test_a_packed_message_is_its_bytes_and_its_type_url(said: bool) -> None:
    """The specification's own example says the type URL, which has no scheme, in dataschema too."""
    theirs = to_message(MINIMAL)
    theirs.proto_data.CopyFrom(Packed(type_url="type.googleapis.com/google.protobuf.Timestamp", value=b"\x08\x01"))
    if said:
        theirs.attributes["dataschema"].ce_string = "type.googleapis.com/google.protobuf.Timestamp"

    event = decode(theirs.SerializeToString())

    assert event == MINIMAL.but(
        data=b"\x08\x01",
        datacontenttype="application/protobuf",
        dataschema="https://type.googleapis.com/google.protobuf.Timestamp",
    )
    assert to_message(event).proto_data == theirs.proto_data


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"attributes": {"x": {}}}, "'x': the attribute has no value"),
        ({"attributes": {"time": {"ceInteger": 5}}}, "time: expected Timestamp or str, got int"),
        ({"attributes": {"time": {"ceString": "soon"}}}, "time: 'soon' is not"),
        ({"attributes": {"subject": {"ceUri": "a:b"}}}, "subject: expected str, got Uri"),
        ({"attributes": {"id": {"ceString": "2"}}}, "id: not a name for an extension"),
        ({"attributes": {"x": {"ceUri": "/relative"}}}, "x: '/relative' is not an absolute URI"),
        ({"specVersion": "0.3"}, "specversion: '0.3' is not known"),
        ({"specVersion": ""}, "specversion: missing"),
        ({"source": ""}, "source: must not be empty"),
        (
            {"textData": "é", "attributes": {"datacontenttype": {"ceString": "a/b;charset=us-asci"}}},
            "data: the charset",
        ),
    ],
)
def test_a_refusal_names_the_attribute(document: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidEvent, match=f"^{named}"):
        decode(message({"id": "1", "source": "/tests", "type": "t", "specVersion": "1.0"} | document))


def test_a_moment_outside_the_calendar_is_refused() -> None:
    theirs = to_message(MINIMAL)
    theirs.attributes["time"].ce_timestamp.seconds = 2**60

    with pytest.raises(InvalidEvent, match=r"^'time': not a moment"):
        decode(theirs.SerializeToString())


def test_timestamps_of_extensions_stay_timestamps() -> None:
    event = MINIMAL.but(extensions={"at": Timestamp("2023-03-31T15:12:00.250Z")})

    assert to_message(event).attributes["at"].WhichOneof("attr") == "ce_timestamp"
    assert decode(encode(event)) == event


@given(st.binary(max_size=80) | st.builds(lambda cut: encode(FULL)[:cut], st.integers(0, 400)))
def test_hostile_bytes_raise_nothing_else(content: bytes) -> None:
    for read in (decode, decode_batch):
        with contextlib.suppress(InvalidEvent):
            read(content)
