"""Filter policies of SNS: what SNS delivers passes the imported pattern, what it holds back does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from connectors._sqs_message import read
from gateway.app.foreign_sns import import_policies
from gateway.core.errors import ConfigError
from gateway.core.event import Event
from gateway.rules.pattern import compile_pattern, document_pattern, parse_document, parse_pattern
from tests.codec.corpora import text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.app.foreign import Imported
    from gateway.app.foreign_sns import Scope
    from gateway.app.foreign_sns_attributes import Landing

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:orders"


def imported(
    document: object, *, scope: Scope | None = None, landing: Landing = "sqs", arrays: Sequence[str] = ()
) -> Imported:
    (one,) = import_policies(document, "orders", scope=scope, landing=landing, arrays=arrays)
    return one


def passes(one: Imported, event: Event) -> bool:
    assert one.pattern is not None
    return compile_pattern(one.pattern).matches(event)


def problems(document: object, *, landing: Landing = "sqs", arrays: Sequence[str] = ()) -> str:
    with pytest.raises(ConfigError) as refused:
        imported(document, landing=landing, arrays=arrays)
    return "\n".join(refused.value.problems)


def of_body(data: object) -> Event:
    """A message whose body is this, as a source hands it over."""
    return Event(
        id="1", source=QUEUE, type="com.amazon.sqs.message", datacontenttype="application/json",
        data=json.dumps(data).encode(),
    )  # fmt: skip


def raw(attributes: dict[str, tuple[str, str]]) -> Event:
    """A message with these attributes (type, value), out of the queue by raw delivery."""
    (event,) = read(
        {
            "MessageId": "0a1b",
            "Body": "hello",
            "Attributes": {"SenderId": "AIDAEXAMPLE", "SentTimestamp": "1767225600123"},
            "MessageAttributes": {
                name: {"DataType": kind, "StringValue": value} for name, (kind, value) in attributes.items()
            },
        },
        QUEUE,
    )
    return event


def wrapped(attributes: dict[str, tuple[str, str]]) -> Event:
    """The same, in SNS's envelope."""
    members = {name: {"Type": kind, "Value": value} for name, (kind, value) in attributes.items()}
    return of_body({"Type": "Notification", "Message": "hello", "MessageAttributes": members})


BODIES = [
    ({"store": ["a", "b"]}, {"store": "b"}, {"store": "c"}),
    ({"store": ["a"]}, {"store": ["x", "a"]}, {"store": ["x"]}),
    ({"price": [100]}, {"price": 1e2}, {"price": "100"}),
    ({"open": [True]}, {"open": True}, {"open": "true"}),
    ({"left": [None]}, {"left": None}, {}),
    ({"store": [{"prefix": "ab"}]}, {"store": "abc"}, {"store": "bab"}),
    ({"store": [{"suffix": "ab"}]}, {"store": "cab"}, {"store": "abc"}),
    ({"store": [{"equals-ignore-case": "ab"}]}, {"store": "aB"}, {"store": "aBc"}),
    ({"store": [{"wildcard": "a*c"}]}, {"store": "abbc"}, {"store": "ab"}),
    ({"store": [{"anything-but": "a"}]}, {"store": "b"}, {"store": "a"}),
    ({"store": [{"anything-but": ["a", "b"]}]}, {"store": "c"}, {}),
    ({"store": [{"anything-but": ["a", "b"]}]}, {"store": ["a", "c"]}, {"store": ["a", "b"]}),
    ({"price": [{"anything-but": [100, 500]}]}, {"price": 100.1}, {"price": 100}),
    ({"store": [{"anything-but": {"prefix": "a"}}]}, {"store": "b"}, {"store": "ab"}),
    ({"store": [{"anything-but": {"suffix": "a"}}]}, {"store": "ab"}, {"store": "ba"}),
    ({"store": [{"anything-but": {"wildcard": "*a*"}}]}, {"store": "b"}, {"store": "bab"}),
    ({"price": [{"numeric": ["=", 301.5]}]}, {"price": 3.015e2}, {"price": 301}),
    ({"price": [{"numeric": [">", 0, "<=", 150]}]}, {"price": 150}, {"price": 0}),
    ({"ip": [{"cidr": "10.0.0.0/24"}]}, {"ip": "10.0.0.255"}, {"ip": "10.0.1.0"}),
    ({"store": [{"exists": True}]}, {"store": "x"}, {"other": "x"}),
    ({"store": [{"exists": False}], "a": ["b"]}, {"a": "b"}, {"a": "b", "store": "x"}),
    ({"object": {"key": [{"prefix": "auto-"}]}}, {"object": {"key": "auto-1"}}, {"object": {"key": "1-auto"}}),
    ({"object.nested": ["a"]}, {"object": {"nested": "a"}}, {"object": {"nested": "b"}}),
    ({"object.nested": ["a"]}, {"object.nested": "a"}, {"object": {"nest": "a"}}),
    ({"a": ["1"], "b": ["2"]}, {"a": "1", "b": "2"}, {"a": "1"}),
    (
        {"$or": [{"metric": ["cpu"]}, {"space": ["ec2"]}], "detail": {"scope": ["svc"]}},
        {"space": "ec2", "detail": {"scope": "svc"}},
        {"detail": {"scope": "svc"}},
    ),
    (
        {"Records": {"s3": {"object": {"key": [{"prefix": "auto-"}]}}, "eventName": [{"prefix": "Created:"}]}},
        {"Records": [{"eventName": "Created:Put", "s3": {"object": [[{"key": "auto-1"}]]}}, {"eventName": "x"}]},
        {"Records": [{"eventName": "Removed:Put", "s3": {"object": {"key": "auto-1"}}}]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "delivered", "held"), BODIES)
def test_a_policy_over_bodies_passes_what_sns_delivers(
    policy: dict[str, object], delivered: object, held: object
) -> None:
    """Most pairs are from AWS's documentation or were recorded against SNS."""
    one = imported(policy, scope="body")

    assert passes(one, of_body(delivered))
    assert not passes(one, of_body(held))
    assert one.pattern == {"data": policy}


TEXTS = [
    (["a", "b"], "b", "c"),
    ([{"prefix": "a"}, {"suffix": "z"}], "az", "za"),
    ([{"suffix": "a"}], "ba", "ab"),
    ([{"equals-ignore-case": "ab"}], "AB", "ABC"),
    ([{"wildcard": "a*c"}], "abc", "ab"),
    ([{"anything-but": ["a", "b"]}], "c", "a"),
    ([{"anything-but": "a"}], "c", "a"),
    ([{"anything-but": {"prefix": "a"}}], "ba", "ab"),
    ([{"cidr": "10.0.0.0/24"}], "10.0.0.7", "10.0.1.7"),
    (['say \\"hi\\"', "back\\\\slash"], 'say "hi"', "say hi"),
    (["back\\\\slash"], "back\\slash", "back\\\\slash"),
]


@pytest.mark.parametrize(("values", "delivered", "held"), TEXTS)
def test_a_policy_over_attributes_passes_what_sns_delivers(values: list[object], delivered: str, held: str) -> None:
    """Wherever the attributes land; a message without the attribute never passes."""
    for landing, place in (("sqs", raw), ("envelope", wrapped)):
        one = imported({"Store_Name": values}, landing=landing)  # type: ignore[arg-type]  # both are landings

        assert passes(one, place({"Store_Name": ("String", delivered)}))
        assert not passes(one, place({"Store_Name": ("String", held)}))
        assert not passes(one, place({"other": ("String", delivered)}))
    one = imported({"Store_Name": values}, landing="data")
    assert passes(one, of_body({"Store_Name": [held, delivered]}))
    assert not passes(one, of_body({"Store_Name": held}))
    one = imported({"Store_Name": values}, landing="extensions")
    assert passes(one, of_body({}).but(extensions={"storename": delivered}))
    assert not passes(one, of_body({}).but(extensions={"storename": held}))


def test_presence_of_an_attribute_is_presence_of_what_it_became() -> None:
    there = imported({"store": [{"exists": True}], "$or": [{"a": ["1"]}, {"b": [{"exists": False}]}]})

    assert passes(there, raw({"store": ("String", "x")}))
    assert passes(there, raw({"store": ("String", "x"), "a": ("String", "1"), "b": ("String", "2")}))
    assert not passes(there, raw({"store": ("String", "x"), "b": ("String", "2")}))
    assert not passes(there, raw({"a": ("String", "1")}))


def test_a_policy_of_absence_warns_that_nothing_at_all_passes() -> None:
    """SNS wants one attribute at least, or a body that is an object."""
    for policy in ({"a": [{"exists": False}]}, {"$or": [{"a": ["1"]}, {"b": [{"exists": False}]}]}):
        assert any("wants at least one" in text for text in imported(policy).warnings)
        assert any("passes only objects" in text for text in imported(policy, scope="body").warnings)
    assert imported({"a": [{"exists": False}], "b": ["1"]}).warnings == ()


@pytest.mark.parametrize("text", ['["soccer","rugby"]', '[ "rugby" , "x" ]', '["rugby"]'])
def test_an_element_of_an_array_that_is_text_is_found(text: str) -> None:
    for values in (["rugby"], [{"prefix": "rug"}], [{"suffix": "gby"}], ["golf", "rugby"]):
        assert passes(imported({"sport": values}, arrays=["sport"]), raw({"sport": ("String.Array", text)}))
    for values in (["rug"], ["soccer rugby"], [{"prefix": "gby"}], [{"suffix": "rug"}], ["RUGBY"]):
        assert not passes(imported({"sport": values}, arrays=["sport"]), raw({"sport": ("String.Array", text)}))


def test_what_cannot_be_found_in_the_text_of_an_array_is_refused() -> None:
    values = [
        1,
        True,
        {"anything-but": ["a"]},
        {"equals-ignore-case": "a"},
        {"wildcard": "a*"},
        "é",
        "a*b",
        ",",
        {"prefix": " a"},
    ]

    for value in values:
        assert problems({"sport": [value]}, arrays=["sport"]).startswith("sport[0]: ")
    assert "no such attribute" in problems({"sport": ["a"]}, arrays=["sports"])
    assert imported({"sport": [1, None]}, landing="data", arrays=["sport"]).pattern == {"data": {"sport": [1, None]}}


def test_numbers_of_attributes_that_are_text_are_compared_as_text() -> None:
    one = imported({"n": [100, {"numeric": ["=", 1.5]}, {"anything-but": [7, 8.0]}]})

    assert one.pattern == {"sqsmsgn": ["100", "1.5", {"anything-but": ["7", "8"]}]}
    assert len(one.warnings) == 4
    assert passes(imported({"n": [100]}), raw({"n": ("Number", "100")}))


def test_what_text_cannot_answer_is_refused_with_its_place() -> None:
    found = problems({"price": [1, {"numeric": [">", 5]}], "ok": [True, None]})

    assert [line.partition(": ")[0] for line in found.splitlines()] == ["price[1]", "ok[0]", "ok[1]"]
    assert "--attributes" in found
    typed = imported({"price": [{"numeric": [">", 5]}], "ok": [True]}, landing="extensions")
    assert passes(typed, of_body({}).but(extensions={"price": 6, "ok": True}))
    assert not passes(typed, of_body({}).but(extensions={"price": 5, "ok": True}))
    assert problems({"a": [None, 1.5]}, landing="extensions").count("never") == 2


def test_names_become_the_extensions_that_the_source_makes() -> None:
    """And a warning says that others become the same."""
    one = imported({"Trace.Id-1": ["a"]})

    assert one.pattern == {"sqsmsgtraceid1": ["a"]}
    assert passes(one, raw({"Trace.Id-1": ("String", "a")}))
    assert any(text.startswith("Trace.Id-1: is the extension sqsmsgtraceid1") for text in one.warnings)
    assert imported({"trace": ["a"]}).warnings == ()


def test_names_that_cannot_be_told_apart_are_refused() -> None:
    assert "as trace-id does" in problems({"trace-id": ["a"], "traceid": ["b"]})
    assert "the queue has an attribute of that name" in problems({"senderId": ["a"]})
    assert "neither letters nor digits" in problems({"_": ["a"]})
    assert "name of an extension" in problems({"data": ["a"]}, landing="extensions")
    assert imported({"traceid": ["a"], "$or": [{"b": ["1"]}, {"traceid": ["2"]}]}).pattern is not None


def test_attributes_in_binary_mode_are_the_events_own() -> None:
    binary = {f"ce-{name}": ("String", value) for name, value in
              {"specversion": "1.0", "id": "7", "source": "/s", "type": "order", "tenant": "acme"}.items()}  # fmt: skip
    one = imported({"ce-type": ["order"], "ce-tenant": ["acme"], "content-type": ["text/plain"]})

    assert passes(one, raw({**binary, "content-type": ("String", "text/plain")}))
    assert not passes(one, raw({**binary, "ce-type": ("String", "bill"), "content-type": ("String", "text/plain")}))
    assert any("binary mode" in text for text in imported({"ce-type": ["a"], "store": ["b"]}).warnings)
    assert imported({"type": ["order"]}, landing="extensions").pattern == {"type": ["order"]}


def test_the_files_that_aws_prints_are_read() -> None:
    """Text in text, the scope beside it, the name from the topic."""
    attributes = {
        "SubscriptionArn": "arn:aws:sns:eu-west-1:123456789012:Orders:8a21",
        "PendingConfirmation": "false",
        "FilterPolicy": '{"a": {"b": ["c"]}}',
        "FilterPolicyScope": "MessageBody",
        "RawMessageDelivery": "true",
    }
    one = imported({"Attributes": attributes})
    assert (one.name, one.pattern, one.warnings) == ("orders", {"data": {"a": {"b": ["c"]}}}, ())

    template = {"Resources": {"Paid": {"Type": "AWS::SNS::Subscription", "Properties": {"FilterPolicy": {"a": ["b"]}}}}}
    one = imported(template)
    assert (one.name, one.pattern) == ("paid", {"sqsmsga": ["b"]})
    assert "raw" in one.warnings[0]

    terraform = {"filter_policy": '{"a": ["b"]}', "filter_policy_scope": "MessageBody", "topic_arn": "x"}
    one = imported({"values": {"root_module": {"resources": [{"name": "paid", "values": terraform}]}}})
    assert (one.name, one.pattern) == ("paid", {"data": {"a": ["b"]}})

    del attributes["FilterPolicy"]
    assert imported({"Attributes": attributes}).pattern is None
    assert imported({}).pattern is None


def test_the_scope_is_said_once() -> None:
    said = {"FilterPolicy": {"a": ["b"]}, "FilterPolicyScope": "MessageBody"}

    assert imported(said, scope="body").pattern == {"data": {"a": ["b"]}}
    with pytest.raises(ConfigError, match="FilterPolicyScope: MessageBody, but --scope says attributes"):
        imported(said, scope="attributes")
    with pytest.raises(ConfigError, match="FilterPolicyScope: expected MessageAttributes or MessageBody, got 'Body'"):
        imported({**said, "FilterPolicyScope": "Body"})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": "b"}', "a"),
        ('{"a": []}', "a"),
        ('{"a": [["b"]]}', "a[0]"),
        ('{"a": [{"regex": "b"}]}', "a[0]"),
        ('{"a": [{"prefix": "b", "suffix": "c"}]}', "a[0]"),
        ('{"a": [{"numeric": [">", "5"]}]}', "a[0]"),
        ('{"a": [{"exists": "no"}]}', "a[0]"),
        ('{"a": [{"anything-but": {"exists": false}}]}', "a[0]"),
        ('{"a": [{"cidr": "10.0.0.0/99"}]}', "a[0]"),
        ('{"a": {"b": ["c"]}}', "a"),
        ('{"a": ["b"], "a": ["c"]}', "a"),
        ('{"$or": [{"numeric": 123}, {"prefix": "abc"}]}', "$or[0].numeric"),
        ('{"$or": [{"a": ["b"]}]}', "$or"),
        ('["a"]', "expected an object, got a list"),
        ('{"a": [12345678901234567890]}', "a[0]"),
        ('{"a": [1e999]}', "a[0]"),
        ('{"a": ["\\ud800"]}', "a[0]"),
    ],
)
def test_what_is_no_policy_is_refused_with_its_place(text: str, place: str) -> None:
    assert problems(parse_pattern(text)).startswith(place)


def answer(text: str, document: str) -> bool | None:
    """What the pattern says of the document itself; None: it is no pattern."""
    try:
        return document_pattern(parse_pattern(text))(parse_document(document))
    except ConfigError:
        return None


def test_policies_over_bodies_say_what_event_ruler_says() -> None:
    """All patterns of the corpus, as text inside what AWS prints, over the corpus' events."""
    agreed, refused = 0, []
    for line in text_of("event-patterns/event-ruler.jsonl").splitlines():
        case = json.loads(line)
        text = case.get("pattern_text") or json.dumps(case["pattern"])
        data = case.get("event_text") or json.dumps(case["event"])
        wanted = answer(text, data)
        try:
            one = imported({"Attributes": {"FilterPolicy": text, "FilterPolicyScope": "MessageBody"}})
        except ConfigError as problem:
            refused += problem.problems if wanted is not None else []
            continue
        assert passes(one, of_body({}).but(data=data.encode())) == wanted, case["id"]
        agreed += 1

    assert agreed > 1300
    assert all("stands here twice" in text for text in refused)
