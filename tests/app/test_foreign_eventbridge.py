"""Rules of EventBridge: what a rule takes at AWS passes the imported pattern, what it leaves does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gateway.app.foreign_eventbridge import extensions_of, import_rules
from gateway.core.errors import ConfigError
from gateway.core.event import Event
from gateway.rules.pattern import compile_pattern, document_pattern, parse_pattern
from tests.codec.corpora import CORPORA, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.app.foreign import Imported

    Document = dict[str, object]

EXTENSIONS = {"account": "awsaccount", "region": "awsregion"}
STATE_CHANGE = {
    "version": "0",
    "id": "7bf73129-1428-4cd3-a780-95db273d1602",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "account": "123456789012",
    "time": "2015-11-11T21:29:54Z",
    "region": "us-east-1",
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],
    "detail": {"instance-id": "i-abcd1111", "state": "pending", "ip": "10.0.0.7", "cores": 4, "tags": ["a", "b"]},
}


def mapped(document: Mapping[str, object]) -> Event:
    """An event of AWS as a CloudEvent, by the mapping that the rules are imported for."""
    resources = document.get("resources")
    return Event(
        id=str(document["id"]),
        source=str(document["source"]),
        type=str(document["detail-type"]),
        time=str(document["time"]),
        subject=str(resources[0]) if isinstance(resources, list) and resources else None,
        datacontenttype="application/json",
        data=json.dumps(document.get("detail", {})).encode(),
        extensions={EXTENSIONS[name]: str(document[name]) for name in EXTENSIONS if name in document},
    )


def whole(document: Mapping[str, object]) -> Event:
    """The same, as it comes through a queue."""
    return Event(
        id="1",
        source="arn:aws:sqs:us-east-1:123456789012:q",
        type="com.amazon.sqs.message",
        datacontenttype="application/json",
        data=json.dumps(document).encode(),
    )


def imports(document: object, *, as_data: bool = False, extensions: Mapping[str, str] = EXTENSIONS) -> list[Imported]:
    return import_rules(document, "rule", extensions=extensions, whole=as_data)


def imported(document: object, *, as_data: bool = False, extensions: Mapping[str, str] = EXTENSIONS) -> Imported:
    (one,) = imports(document, as_data=as_data, extensions=extensions)
    return one


def passes(one: Imported, event: Event) -> bool:
    assert one.pattern is not None
    return compile_pattern(one.pattern).matches(event)


def problems(document: object, *, extensions: Mapping[str, str] = EXTENSIONS) -> str:
    with pytest.raises(ConfigError) as refused:
        imported(document, extensions=extensions)
    return "\n".join(refused.value.problems)


PATTERNS = [
    ({"source": ["aws.ec2"]}, True),
    ({"source": ["aws.s3", {"prefix": "aws.e"}], "detail-type": [{"suffix": "Notification"}]}, True),
    ({"source": [{"anything-but": {"prefix": "aws."}}]}, False),
    ({"detail-type": [{"equals-ignore-case": "ec2 instance state-change notification"}]}, True),
    ({"detail-type": [{"wildcard": "EC2*Termination*"}]}, False),
    ({"id": [{"exists": True}], "time": [{"prefix": "2015-11"}]}, True),
    ({"account": ["123456789012"], "region": [{"anything-but": ["eu-west-1"]}]}, True),
    ({"account": ["1"]}, False),
    ({"resources": [{"prefix": "arn:aws:ec2:"}]}, True),
    ({"resources": [{"exists": False}]}, False),
    ({"detail": {"state": ["pending", "running"], "cores": [{"numeric": [">=", 4, "<", 8]}]}}, True),
    ({"detail": {"state": [{"anything-but": "pending"}]}}, False),
    ({"detail.state": ["pending"], "detail": {"ip": [{"cidr": "10.0.0.0/24"}]}}, True),
    ({"detail": {"tags": ["b"], "missing": [{"exists": False}]}}, True),
    ({"detail": {"$or": [{"state": ["x"]}, {"cores": [4]}]}}, True),
    ({"$or": [{"source": ["aws.s3"]}, {"detail": {"state": ["pending"]}, "region": ["us-east-1"]}]}, True),
    ({"$or": [{"source": ["aws.s3"]}, {"$or": [{"account": ["1"]}, {"detail-type": ["x"]}]}]}, False),
    ({"version": ["0"], "source": ["aws.ec2"]}, True),
]


@pytest.mark.parametrize(("pattern", "takes"), PATTERNS)
def test_a_rule_takes_what_it_took(pattern: Document, takes: bool) -> None:
    """At AWS, as attributes and data, and as data alone."""
    assert document_pattern(pattern)(STATE_CHANGE) == takes
    assert passes(imported(pattern), mapped(STATE_CHANGE)) == takes
    assert passes(imported(pattern, as_data=True), whole(STATE_CHANGE)) == takes


def documents() -> list[Document]:
    """Real events of EventBridge."""
    found = []
    for path in sorted((CORPORA / "real-events" / "aws").glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        if isinstance(document, dict) and {"source", "detail-type", "detail", "id", "time"} <= document.keys():
            found.append(document)
    if not found:
        pytest.skip("no corpus real-events")
    return found


def rules_of(document: Document) -> list[Document]:
    """Rules that one would write for events like this one."""
    detail = document["detail"]
    assert isinstance(detail, dict)
    made: list[Document] = [
        {"source": [document["source"]], "detail-type": [document["detail-type"]]},
        {"detail-type": [{"prefix": str(document["detail-type"])[:8]}], "detail": {"nothing": [{"exists": False}]}},
        {"source": [{"anything-but": document["source"]}]},
        {"time": [{"prefix": str(document["time"])[:4]}], "id": [document["id"]]},
    ]
    for name, value in detail.items():
        if isinstance(value, str | int | bool | None):
            made += [
                {"detail": {name: [value]}},
                {"source": [document["source"]], f"detail.{name}": [{"exists": True}]},
            ]
        if isinstance(value, dict) and value:
            made.append({"detail": {name: {next(iter(value)): [{"exists": True}]}}})
    return made


def test_rules_for_real_events_tell_them_apart_as_aws_does() -> None:
    events = documents()
    answers = []
    for rule in [rule for document in events for rule in rules_of(document)]:
        at_aws = document_pattern(rule)
        attributes, data = (compile_pattern(imported(rule, as_data=kind).pattern) for kind in (False, True))
        for document in events:
            answers.append(at_aws(document))
            assert attributes.matches(mapped(document)) == answers[-1], (rule, document)
            assert data.matches(whole(document)) == answers[-1], (rule, document)

    assert 0.02 < sum(answers) / len(answers) < 0.9


def test_the_patterns_recorded_at_aws_answer_the_same() -> None:
    """Those that look at what an event may have here; their events, mapped."""
    agreed = 0
    for case in json.loads(text_of("event-patterns/aws-recorded.json")):
        pattern, event = case.get("pattern"), case.get("event")
        if case["expect"] not in ("match", "no-match") or not isinstance(event, dict):
            continue
        texts = [event.get(name) for name in ("id", "source", "detail-type", "time")]
        if not all(isinstance(text, str) for text in texts) or len(event.get("resources", [])) > 1:
            continue
        try:
            one = imported(pattern)
        except ConfigError:
            continue
        if one.pattern is not None:
            assert passes(one, mapped(event)) == (case["expect"] == "match"), case["name"]
            agreed += 1

    assert agreed > 50


def test_a_rule_as_aws_describes_it_is_read() -> None:
    described = {
        "Name": "Stopped_Instances",
        "Arn": "arn:aws:events:eu-west-1:123456789012:rule/Stopped_Instances",
        "EventPattern": '{"source": ["aws.ec2"], "detail": {"state": ["stopped"]}}',
        "State": "ENABLED",
        "EventBusName": "default",
    }

    one = imported(described)

    assert (one.name, one.warnings) == ("stopped-instances", ())
    assert one.pattern == {"source": ["aws.ec2"], "data": {"state": ["stopped"]}}
    assert [rule.name for rule in imports([described, described])] == ["stopped-instances", "stopped-instances-2"]
    listed = {"Rules": [{"Name": "nightly", "ScheduleExpression": "rate(1 day)", "State": "ENABLED"}, described]}
    assert imported(listed).warnings == ("Rules[0]: left out, a schedule without an event pattern",)


def test_what_a_template_says_beside_the_pattern_is_not_carried_over() -> None:
    properties = {
        "EventPattern": {"source": ["aws.ec2"]},
        "State": "DISABLED",
        "Targets": [{"Id": "a", "InputTransformer": {"InputTemplate": "<x>"}}, {"Id": "b", "InputPath": "$.detail"}],
    }

    one = imported({"Resources": {"StoppedRule": {"Type": "AWS::Events::Rule", "Properties": properties}}})

    assert one.name == "stoppedrule"
    assert [text.partition(": ")[0] for text in one.warnings] == [
        f"Resources.StoppedRule.Properties.{place}"
        for place in ("State", "Targets", "Targets[0].InputTransformer", "Targets[1].InputPath")
    ]
    terraform = {"resource": {"aws_cloudwatch_event_rule": {"stopped": {"event_pattern": '{"source": ["aws.ec2"]}'}}}}
    assert imported(terraform).pattern == {"source": ["aws.ec2"]}
    assert imported(terraform).name == "stopped"


def test_account_and_region_are_where_somebody_says_they_are() -> None:
    found = problems({"account": ["1"], "$or": [{"region": ["x"]}, {"source": ["y"]}]}, extensions={})

    assert [line.partition(": ")[0] for line in found.splitlines()] == ["account", "$or[0].region"]
    assert "--extension account=NAME" in found
    assert extensions_of(["account=awsaccount"]) == {"account": "awsaccount"}
    for option in ("account", "accounts=x", "account=Aws", "account=source", "account=data"):
        with pytest.raises(ConfigError, match="--extension"):
            extensions_of([option])
    with pytest.raises(ConfigError, match="something else"):
        extensions_of(["account=aws", "region=aws"])


def test_the_version_of_the_envelope_is_no_condition() -> None:
    assert imported({"version": ["0"]}).pattern is None
    assert imported({"version": ["0"]}, as_data=True).pattern == {"data": {"version": ["0"]}}
    assert problems({"version": ["1"]}).startswith("version: ")
    assert problems({"$or": [{"version": ["0"]}, {"id": ["1"]}]}).startswith("$or[0].version: ")


def test_several_resources_are_warned_about() -> None:
    assert "subject" in imported({"resources": ["a"]}).warnings[0]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"source": "aws.ec2"}', "source: "),
        ('{"source": []}', "source: "),
        ('{"source": {"a": ["b"]}}', "source: "),
        ('{"detail": {"a": [{"near": 1}]}}', "detail.a[0]: "),
        ('{"detail": {}}', "detail: "),
        ('{"detail": {"a": [1], "a": [2]}}', "detail.a: stands here twice"),
        ('{"detail": "x"}', "detail: "),
        ('{"EventPattern": "{"}', "EventPattern: not a JSON text"),
        ('{"EventPattern": "[1]"}', "EventPattern: expected an"),
        ('{"Name": "x", "ScheduleExpression": "rate(1 day)"}', "expected an event pattern"),
        ("{}", "expected an event"),
        ('{"EventPattern": {"detailtype": ["x"]}}', "EventPattern.detailtype: no field"),
        ("[1, 2]", "expected an event"),
        ('[{"EventPattern": {"source": 1}}, {"EventPattern": {"id": {}}}]', "[0].EventPattern.source: "),
        ('{"$or": [{"source": ["a"]}]}', "$or: "),
        ('{"$or": [{"prefix": ["a"]}, {"source": ["a"]}]}', "$or[0].prefix: "),
    ],
)
def test_what_is_no_rule_is_refused_with_its_place(text: str, place: str) -> None:
    assert problems(parse_pattern(text)).startswith(place)


def test_all_that_is_wrong_is_told_at_once() -> None:
    found = problems([{"EventPattern": {"source": 1, "id": []}}, {"EventPattern": {"nothing": [1]}}])

    assert len(found.splitlines()) == 3
