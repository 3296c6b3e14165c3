"""The JSON format keeps every byte of the data, and takes only what is right."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.codec.envelope import Envelopes
from gateway.codec.json import _look_closer, decode, decode_batch, encode, encode_batch
from gateway.core.errors import InvalidEvent
from tests.codec.corpora import CORPORA, cases
from tests.codec.events import FULL, MINIMAL, TYPED, events, json_typed
from tests.codec.samples import SAMPLES, same

if TYPE_CHECKING:
    from gateway.core.event import Event

HEAD = b'{"specversion":"1.0","id":"1","source":"/tests","type":"com.example.tested"'


def _damaged(body: bytes, at: int, bit: int) -> bytes:
    at %= len(body)
    return body[:at] + bytes((body[at] ^ 1 << bit,)) + body[at + 1 :]


WRITTEN = [
    encode(FULL),
    encode(FULL.but(datacontenttype="text/plain")),
    encode(FULL.but(data=b"\xff", datacontenttype=None)),
    encode(FULL.but(subject=None))[:-1] + b',"subject": null}',
]
damaged = st.builds(_damaged, st.sampled_from(WRITTEN), st.integers(0, 1000), st.integers(0, 7))


def envelope(rest: str | bytes) -> bytes:
    """A good envelope with more members."""
    return HEAD + (rest.encode() if isinstance(rest, str) else rest) + b"}"


@pytest.mark.parametrize("case", cases("cloudevents-formats/json/valid-events.json"))
def test_valid_events_of_the_corpus(case: dict[str, Any]) -> None:
    event = decode(json.dumps(case["event"]).encode())

    assert same(event, SAMPLES[case["sampleId"]])
    assert same(decode(encode(event)), SAMPLES[case["sampleId"]])


@pytest.mark.parametrize("case", cases("cloudevents-formats/json/invalid-events.json"))
def test_invalid_events_of_the_corpus(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent):
        decode(json.dumps(case["event"]).encode())


@pytest.mark.parametrize("case", cases("cloudevents-formats/json/valid-batches.json"))
def test_valid_batches_of_the_corpus(case: dict[str, Any]) -> None:
    batch = decode_batch(json.dumps(case["batch"]).encode())

    assert len(batch) == len(case["batch"])
    assert all(same(event, SAMPLES[document["id"]]) for event, document in zip(batch, case["batch"], strict=True))


@pytest.mark.parametrize("case", cases("cloudevents-formats/json/invalid-batches.json"))
def test_invalid_batches_of_the_corpus(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent) as raised:
        decode_batch(json.dumps(case["batch"]).encode())

    assert raised.value.index == (1 if "Mixed" in case["id"] else 0)


@given(events())
@example(FULL)
@example(TYPED)
@example(MINIMAL.but(data=b'{"a": 1}\n', datacontenttype="application/json"))
@example(MINIMAL.but(data=b'{"a": 1}'))
@example(MINIMAL.but(data=b'"\xff"', datacontenttype="application/json"))
@example(MINIMAL.but(data=b"", datacontenttype="text/plain"))
@example(MINIMAL.but(data=b"\xe9", datacontenttype="text/plain; charset=iso-8859-1"))
@example(MINIMAL.but(data=b"caf\xc3\xa9", datacontenttype="text/plain; charset=iso-8859-1"))
def test_events_come_back_as_they_went(event: Event) -> None:
    """Up to the types that JSON does not know."""
    expected = json_typed(event)

    assert decode(encode(event)) == expected
    assert decode_batch(encode_batch([event, MINIMAL, event])) == [expected, MINIMAL, expected]


@given(st.lists(events(), max_size=3))
def test_what_is_written_is_one_json_document(batch: list[Event]) -> None:
    assert len(json.loads(encode_batch(batch))) == len(batch)


@pytest.mark.parametrize(
    ("rest", "data"),
    [
        (',"data":1.10', b"1.10"),
        (',"data":1152921504606846976', b"1152921504606846976"),
        (',"data":1e400', b"1e400"),
        (',"data":{ "b" : 1 ,\n\t"a":2, "a":3 }', b'{ "b" : 1 ,\n\t"a":2, "a":3 }'),
        (',"data":"\\u00e9\\/\\ud83d\\ude00"', b'"\\u00e9\\/\\ud83d\\ude00"'),
        (',"data":null', b"null"),
        (',"data":"text","datacontenttype":"application/JSON; x=y"', b'"text"'),
        (',"datacontenttype":"a/b+json","data":[1.0]', b"[1.0]"),
        (',"datacontenttype":"text/plain","data":"a\\u00e9\\n"', "aé\n".encode()),
        (',"datacontenttype":"text/plain; charset=\\"iso-8859-1\\"","data":"\\u00e9"', b"\xe9"),
        (',"datacontenttype":"text/plain","data":null', None),
        (',"data_base64":"TWE="', b"Ma"),
        (',"data_base64":""', b""),
        (',"data_base64":null', None),
        ("", None),
    ],
)
def test_data_keeps_its_bytes(rest: str, data: bytes | None) -> None:
    event = decode(envelope(rest))

    assert event.data == data
    assert decode(encode(event)).data == data


def test_data_of_no_declared_type_is_json_only_where_the_format_says_so() -> None:
    """JSON format 3.1.2: implied by `data`, never assumed for `data_base64`."""
    implied = decode(envelope(',"data":{"xyz":123}'))
    unknown = decode(envelope(',"data_base64":"eyAieHl6IjogMTIzIH0="'))

    assert implied.datacontenttype == "application/json"
    assert (unknown.datacontenttype, unknown.data) == (None, b'{ "xyz": 123 }')
    assert json.loads(encode(unknown))["data_base64"] == "eyAieHl6IjogMTIzIH0="


def test_json_data_is_written_as_json() -> None:
    assert b'"data":{"total": 1.10, "big": 1152921504606846976,\t' in encode(FULL)
    assert json.loads(encode(MINIMAL.but(data=b"<x/>", datacontenttype="text/xml")))["data"] == "<x/>"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "specversion: missing"),
        (b"\xef\xbb\xbf" + envelope(""), "not a JSON object"),
        (envelope("") + b" x", "not a JSON object"),
        (envelope(b',"data":"\xff"'), "not a JSON object in UTF-8"),
        (envelope(b',"subject":"\xff"'), "not a JSON object in UTF-8"),
        (envelope(b',"\xff":1'), "not a JSON object in UTF-8"),
        (envelope(',"data":' + "[" * 100_000 + "]" * 100_000), "not a JSON object in UTF-8: nested too deeply"),
        (envelope(',"x":' + "[" * 100_000 + "]" * 100_000), "not a JSON object in UTF-8: nested too deeply"),
        (envelope(',"data":[1,]'), "not a JSON object"),
        (envelope(',"id":"2"'), "'id': stands twice"),
        (envelope(',"\\u0069d":"2"'), "'id': stands twice"),
        (envelope(',"x":"a","x":"a"'), "'x': stands twice"),
        (envelope(', "data" : 1 , "data" : 2 '), "'data': stands twice"),
        (envelope(',"data":1,"data_base64":"TWE="'), "data and data_base64: only one"),
        (envelope(',"data_base64":"TWE"'), "data_base64: expected a string in base64"),
        (envelope(',"data_base64":"T W E="'), "data_base64: expected a string in base64"),
        (envelope(',"data_base64":7'), "data_base64: expected a string, got 7"),
        (envelope(',"datacontenttype":"text/plain","data":{}'), "data: must be a string"),
        (envelope(',"datacontenttype":"text/plain","data":"\\ud800"'), "not a JSON object"),
        (envelope(',"datacontenttype":"a/b; charset=klingon","data":"x"'), "data: the charset"),
        (envelope(',"datacontenttype":5'), "datacontenttype: expected a string, got 5"),
        (envelope(',"subject":true'), "subject: expected a string, got true"),
        (envelope(',"subject":"\\ud800"'), "not a JSON object"),
        (envelope(',"x":1.0'), "x: expected a string, an integer or a boolean, got a number with a fraction"),
        (envelope(',"x":1e2'), "x: expected .*, got a number with a fraction"),
        (envelope(',"x":{}'), "x: expected .*, got an object"),
        (envelope(',"x":[1]'), "x: expected .*, got an array"),
        (envelope(',"x":2147483648'), "x: an Integer must be within 32 bits"),
        (envelope(',"x":1' + "0" * 50), "x: "),
        (envelope(',"x":1' + "0" * 5000), "x: "),
        (envelope(',"X":1'), "'X': an extension's name"),
        (envelope(',"a b":[]'), "'a b': expected"),
        (HEAD.replace(b'"id":"1"', b'"id":null') + b"}", "id: missing"),
        (HEAD.replace(b'"id":"1"', b'"id":25') + b"}", "id: expected a string, got 25"),
        (HEAD.replace(b'"1.0"', b'"0.3"') + b"}", "specversion: '0.3' is not known; expected \"1.0\""),
        (HEAD.replace(b'"1.0"', b"1.0") + b"}", "specversion: expected a string"),
    ],
)
def test_a_refusal_names_the_member(body: bytes, named: str) -> None:
    """Alone and in a batch, and never with another exception."""
    with pytest.raises(InvalidEvent, match=f"^{named}"):
        decode(body)

    with pytest.raises(InvalidEvent) as raised:
        decode_batch(b"[" + envelope("") + b"," + body + b"]")

    assert raised.value.index in (1, None)


@pytest.mark.parametrize("spaced", [False, True])
def test_a_member_that_stands_twice_is_refused_however_it_is_written(spaced: bool) -> None:
    document = json.loads(encode(FULL))
    separators = (", ", ": ") if spaced else (",", ":")
    for name, value in document.items():
        body = json.dumps(document, separators=separators)[:-1] + f',"{name}":{json.dumps(value)}}}'

        with pytest.raises(InvalidEvent, match=f"'{name}': stands twice"):
            decode(body.encode())
        with pytest.raises(InvalidEvent, match=f"event 1: '{name}': stands twice"):
            decode_batch(b"[" + encode(FULL) + b"," + body.encode() + b"]")


def test_names_that_repeat_inside_data_or_values_are_no_concern() -> None:
    event = decode(envelope(',"subject":"id","data":{"id":1,"id":2,"specversion":{"id":3}}'))

    assert event.data == b'{"id":1,"id":2,"specversion":{"id":3}}'


def test_null_means_unset() -> None:
    assert decode(envelope(',"subject":null,"time":null,"datacontenttype":null,"dataschema":null,"x":null')) == MINIMAL


def test_escaped_names_are_read() -> None:
    assert decode(envelope(',"\\u0073ubject":"s","\\u0061b":"c"')) == MINIMAL.but(subject="s", extensions={"ab": "c"})


def test_an_empty_batch_is_a_batch() -> None:
    assert decode_batch(b" [ ] ") == []
    assert encode_batch([]) == b"[]"


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b"[]]", b"null", b"[" * 100_000])
def test_what_is_no_array_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(InvalidEvent, match=r"^not a JSON array") as raised:
        decode_batch(body)

    assert raised.value.index is None


def test_thousands_of_names_are_read_as_well_as_few() -> None:
    """Only some are learnt; the others take the longer way and are the same."""
    for number in range(100):
        event = MINIMAL.but(extensions={f"n{number}": number, "same": "s"})

        assert decode(encode(event)) == event
        assert decode(encode(event)) == event


@given(st.binary(max_size=60) | damaged)
def test_hostile_bytes_raise_nothing_else(body: bytes) -> None:
    for read in (decode, decode_batch):
        with contextlib.suppress(InvalidEvent):
            read(body)


@pytest.mark.parametrize("body", WRITTEN)
def test_envelopes_as_most_senders_write_them_go_the_quick_way(body: bytes) -> None:
    """With and without whitespace, once their names were seen."""
    spaced = json.dumps(json.loads(body), ensure_ascii=False).encode()
    envelopes = Envelopes()

    envelopes.learn(FULL.extensions)

    assert envelopes.read(body) == decode(body)
    assert envelopes.read(spaced) == decode(spaced)


@given(damaged)
@example(WRITTEN[0])
@example(WRITTEN[1])
@example(WRITTEN[2])
@example(WRITTEN[3])
@example(encode(FULL)[:-1] + b',"subject":"order 42 \xc2\xb7 gr\xc3\xbcn"}')
def test_the_quick_way_reads_nothing_that_the_long_way_reads_differently(body: bytes) -> None:
    envelopes = Envelopes()
    envelopes.learn(FULL.extensions)

    quick = envelopes.read(body)

    if quick is not None:
        assert quick == _look_closer(body)


@given(events(st.text("abc", min_size=1)))
def test_the_official_package_reads_what_we_write(event: Event) -> None:
    """Where it is right: it takes null for missing, parses times and data anew."""
    theirs = JSONFormat().read(CloudEvent, encode(event))

    attributes = theirs.get_attributes()
    assert (attributes["id"], attributes["source"], attributes["type"]) == (event.id, event.source, event.type)
    assert attributes.get("subject") == event.subject
    assert {name: attributes[name] for name in event.extensions} == event.extensions
    if event.data is not None and event.datacontenttype in (None, "a/b"):
        data = theirs.get_data()
        assert (data.encode() if isinstance(data, str) else data) == event.data


def test_we_read_what_the_official_package_writes() -> None:
    theirs = CloudEvent(
        {
            "id": "1",
            "source": "/tests",
            "type": "com.example.tested",
            "specversion": "1.0",
            "datacontenttype": "text/plain",
        },
        "grün",
    )

    event = decode(JSONFormat().write(theirs))

    assert event.but(time=None) == MINIMAL.but(datacontenttype="text/plain", data="grün".encode())


def test_real_events_pass() -> None:
    """Events that real producers sent: strictness does not keep them out, but for the one with an upper-case name."""
    files = sorted((CORPORA / "real-events" / "cloudevents").rglob("*.json"))
    if not files:
        pytest.skip("no corpus real-events")
    refused = {}
    for file in files:
        try:
            decode(file.read_bytes())
        except InvalidEvent as problem:
            refused[file.name] = problem.reason

    assert refused.keys() == {"java-json_data_with_ext_upper_case.json"}
