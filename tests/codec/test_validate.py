"""What is a CloudEvent 1.0, and what is refused at the door."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.codec import plain, validate
from gateway.core.errors import InvalidEvent, TooLarge
from gateway.core.event import Binary, Event, Timestamp, Uri, UriReference
from tests.codec.events import FULL, MINIMAL, TYPED, events

BIG = 1 << 20
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.floats(),
    st.lists(st.none()),
)


@pytest.mark.parametrize("event", [MINIMAL, FULL, TYPED])
def test_good_events_pass(event: Event) -> None:
    validate.validate(event)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"id": ""}, "id: must not be empty"),
        ({"id": 25}, "id: expected a string, got int"),
        ({"id": None}, "id: expected a string, got NoneType"),
        ({"id": "a\x00"}, r"id: .*U\+0000"),
        ({"id": "a\ud800"}, r"id: .*U\+D800"),
        ({"id": "a\ufffe"}, r"id: .*U\+FFFE"),
        ({"id": "a\U0010ffff"}, r"id: .*U\+10FFFF"),
        ({"id": "a\x85"}, r"id: .*U\+0085"),
        ({"id": "ü" * 40000}, "id: longer than 65536 bytes"),
        ({"source": ""}, "source: must not be empty"),
        ({"source": "a b"}, "source: 'a b' is not a URI-reference"),
        ({"source": "/%zz"}, "source: .*URI-reference"),
        ({"source": "1:2"}, "source: .*URI-reference"),
        ({"source": "http://[::1/"}, "source: .*URI-reference"),
        ({"type": ""}, "type: must not be empty"),
        ({"subject": ""}, "subject: must not be empty"),
        ({"subject": 5}, "subject: expected a string, got int"),
        ({"time": "lunchtime"}, "time: 'lunchtime' is not an RFC 3339 timestamp"),
        ({"time": ""}, "time: "),
        ({"time": 5}, "time: "),
        ({"datacontenttype": "xyz"}, "datacontenttype: 'xyz' is not a media type"),
        ({"datacontenttype": ""}, "datacontenttype: must not be empty"),
        ({"datacontenttype": "a/b\r\nx: y"}, "datacontenttype: "),
        ({"dataschema": "/relative"}, "dataschema: '/relative' is not an absolute URI"),
        ({"data": "text"}, "data: expected bytes, got str"),
        ({"data": bytearray(b"x")}, "data: expected bytes, got bytearray"),
        ({"extensions": {"MyExtension": "bad"}}, "'MyExtension': an extension's name"),
        ({"extensions": {"my.extension": "bad"}}, "'my.extension': "),
        ({"extensions": {"": "bad"}}, "'': "),
        ({"extensions": {"ä": "bad"}}, r"'\\xe4': an extension's name"),
        ({"extensions": {7: "bad"}}, "7: an extension's name"),
        ({"extensions": {"data": "bad"}}, "data: not a name for an extension"),
        ({"extensions": {"specversion": "bad"}}, "specversion: not a name"),
        ({"extensions": {"x": 1.5}}, "x: expected .*, got float"),
        ({"extensions": {"x": None}}, "x: expected .*, got NoneType"),
        ({"extensions": {"x": 2**31}}, "x: an Integer must be within 32 bits"),
        ({"extensions": {"x": -(2**31) - 1}}, "x: an Integer must be within 32 bits"),
        ({"extensions": {"x": "a\nb"}}, r"x: .*U\+000A"),
        ({"extensions": {"x": Binary("text")}}, "x: expected bytes"),  # type: ignore[arg-type]
        ({"extensions": {"x": Uri("/relative")}}, "x: '/relative' is not an absolute URI"),
        ({"extensions": {"x": UriReference("a b")}}, "x: 'a b' is not a URI-reference"),
        ({"extensions": {"x": Timestamp("soon")}}, "x: 'soon' is not an RFC 3339"),
        ({"extensions": {f"x{number}": "" for number in range(257)}}, "extensions: 257; at most 256"),
        ({"extensions": []}, "extensions: expected a dict"),
    ],
)
def test_a_refusal_names_the_attribute_and_what_was_expected(changes: dict[str, Any], named: str) -> None:
    for base in (MINIMAL, FULL):
        with pytest.raises(InvalidEvent, match=f"^{named}"):
            validate.validate(base.but(**changes))


@pytest.mark.parametrize(
    ("time", "good"),
    [
        ("2018-04-05T17:31:00Z", True),
        ("2018-04-05t17:31:00z", True),
        ("2018-04-05T17:31:00.123456789012Z", True),
        ("2018-04-05T17:31:00-00:00", True),
        ("2018-04-05T17:31:00+23:59", True),
        ("2016-12-31T23:59:60Z", True),
        ("2000-02-29T00:00:00Z", True),
        ("0000-02-29T00:00:00Z", True),
        ("1900-02-29T00:00:00Z", False),
        ("2018-04-31T00:00:00Z", False),
        ("2018-13-01T00:00:00Z", False),
        ("2018-00-01T00:00:00Z", False),
        ("2018-04-05T24:00:00Z", False),
        ("2018-04-05T17:60:00Z", False),
        ("2018-04-05T17:31:61Z", False),
        ("2018-04-05T17:31Z", False),
        ("2018-04-05T17:31:00", False),
        ("2018-04-05T17:31:00.Z", False),
        ("2018-04-05T17:31:00,5Z", False),
        ("2018-04-05T17:31:00+25:00", False),
        ("2018-04-05T17:31:00+05", False),
        ("2018-04-05T17:31:00+0500", False),
        ("2018-04-05 17:31:00Z", False),
        ("20180405T173100.123456Z", False),
        ("2018-W14-4T17:31:00.5Z", False),
        ("2018-04-05T17:31:00.٣Z", False),
        ("2018-04-05T17:31:00.²Z", False),
        ("2018-04-05T17:31:00Z\n", False),
        ("2018-04-05T17:31:00Z\n2018-04-05T17:31:00Z", False),
    ],
)
def test_time_is_strict_rfc_3339(time: str, good: bool) -> None:
    """Also where the second is known already, and also in bulk."""
    validate.validate(MINIMAL.but(time="2018-04-05T17:31:00.5Z"))
    validate.validate(MINIMAL.but(time="2018-04-05T17:31:00Z"))

    for check in (validate.validate, lambda event: validate.validate_all([event], limit=BIG)):
        if good:
            check(MINIMAL.but(time=time))
        else:
            with pytest.raises(InvalidEvent, match="time"):
                check(MINIMAL.but(time=time))


@pytest.mark.parametrize(
    "source",
    [
        "https://github.com/cloudevents",
        "mailto:cncf-wg-serverless@lists.cncf.io",
        "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
        "/cloudevents/spec/pull/123",
        "1-555-123-4567",
        "#fragment",
        "?query",
        "//authority/path",
        "//user:pass@[2001:db8::1]:80/p;a=1/?q#f",
        "arn:aws:sqs:eu-west-1:123456789012:orders",
        "file:///a",
        "a:",
        "../up/%C3%BC",
        "./a:b",
        "x/a:b",
    ],
)
def test_uri_references_of_the_specification_pass(source: str) -> None:
    validate.validate(MINIMAL.but(source=source))


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "text/plain;charset=utf-8",
        'multipart/mixed; boundary="a b;c"',
        "a/b ; x=y;",
        "image/svg+xml",
    ],
)
def test_media_types_with_parameters_pass(content_type: str) -> None:
    validate.validate(MINIMAL.but(datacontenttype=content_type))


@pytest.mark.parametrize("hostile", ["a/b" + ";" * 60000, "a/b" + "; a=b" * 10000 + "(", "a/b;" + " " * 65000 + "x("])
def test_hostile_content_types_cost_no_time(hostile: str) -> None:
    """Milliseconds are seen; work that grows with the square takes as long as the test may."""
    with contextlib.suppress(InvalidEvent):
        validate.validate(MINIMAL.but(datacontenttype=hostile))


@given(event=events(), wrong=anything, field=st.sampled_from([*Event.__struct_fields__, "extension"]))
@example(event=MINIMAL, wrong=7, field="id")
@example(event=FULL, wrong=7, field="subject")
@example(event=FULL, wrong=True, field="id")
def test_cheap_signs_pass_nothing_that_the_rules_refuse(event: Event, wrong: object, field: str) -> None:
    validate.validate(event)  # its parts are known now
    broken = (
        event.but(extensions={**event.extensions, "x": wrong}) if field == "extension" else event.but(**{field: wrong})
    )

    if plain.is_plain(broken) or plain.are_plain([event, broken], limit=BIG):
        validate._check(broken)


def test_a_batch_names_the_first_wrong_event() -> None:
    batch = [MINIMAL] * 150 + [MINIMAL.but(id="")] + [MINIMAL.but(type="")]

    with pytest.raises(InvalidEvent, match=r"^event 150: id: must not be empty") as raised:
        validate.validate_all(batch, limit=BIG)

    assert raised.value.index == 150


@pytest.mark.parametrize("limit", [1000, 100_000, BIG])
def test_the_limit_counts_data_and_attributes_exactly(limit: int) -> None:
    """Whether the event is plain or not makes no difference."""
    for base in (MINIMAL, FULL, FULL.but(id="grün\u3000"), TYPED):
        room = limit - validate.size_of(base.but(data=None))

        validate.validate_all([MINIMAL, base.but(data=b"x" * room)], limit=limit)
        with pytest.raises(TooLarge, match=f"^event 1: {limit + 1} bytes"):
            validate.validate_all([MINIMAL, base.but(data=b"x" * (room + 1))], limit=limit)


def test_attributes_alone_can_be_too_large() -> None:
    with pytest.raises(TooLarge):
        validate.validate_all([MINIMAL.but(extensions={f"x{n}": "y" * 60000 for n in range(20)})], limit=BIG)


def test_what_is_remembered_is_bounded() -> None:
    for number in range(3 * plain.REMEMBERED):
        validate.validate(
            MINIMAL.but(source=f"/{number}", extensions={f"x{number}": ""}, datacontenttype=f"a/{number}")
        )

    assert max(map(len, (plain._sources, plain._names, plain._content_types))) <= plain.REMEMBERED + 1
    assert plain.is_plain(MINIMAL.but(source=f"/{number}"))
