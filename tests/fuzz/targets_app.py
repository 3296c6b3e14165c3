"""Targets: files that users write, and filters that they bring along."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import msgspec

from gateway.app import documents, expectations, foreign_eventbridge, foreign_eventmesh, foreign_sns, yaml
from gateway.app.cases import answer
from gateway.app.config import load
from gateway.app.explaining import Explainer
from gateway.app.foreign_fragment import fragment
from gateway.app.foreign_reading import parse
from gateway.core.errors import ConfigError, InvalidEvent
from gateway.rules.pattern import compile_pattern
from tests.fuzz import events, languages, seeds
from tests.fuzz.source import Source, written
from tests.fuzz.target import Target, demand, is_printable, refused
from tests.fuzz.targets_rules import EVENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.app.foreign import Imported

CONFIG = """\
region: eu
data: /nowhere
federation: {peers: {us: ["127.0.0.1:1"]}}
sinks: {out: {http: {url: "http://127.0.0.1:1/"}}}
keys: {k: {v1: "0123456789abcdef-1"}}
subscriptions:
  a: {to: out, match: {type: [ab]}, change: [{set: {subject: "{data.a}"}}]}
  b: {to: out, cesql: "n > 1", from: [eu, us]}
"""
SUITE = """\
config: config.yaml
tests:
  - {name: one, event: {type: ab, data: {a: x}}, expect: {a: {subject: x}, b: false}}
  - {name: two, event: {type: a, n: 2}, from: us, expect: {b: true, a: {rejected: data}}, others: allowed}
"""
_YAML_WORDS = (
    "region:", "data:", "subscriptions:", "sinks:", "to:", "match:", "filter:", "cesql:", "cel:", "change:", "keys:",
    "from:", "&a", "*a", "<<:", "!!binary", "|", ">", "- ", "? ", "${A}", "${A:-b}", "$$", "%YAML 1.1", "---",
    "\\ud800", "tests:", "expect:", "limits:", "log:", "1GiB", "10s", "http:", "url:", "event:",
    "config: config.yaml", "name:", "others: allowed",
)  # fmt: skip


@cache
def _folder() -> Path:
    """Where the files of this process lie; made once, left for the operating system to remove."""
    folder = Path(mkdtemp(prefix="isthmus-fuzz-"))
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return folder


def _file(name: str, content: bytes) -> Path:
    file = _folder() / name
    file.write_bytes(content)
    return file


def check_cases(data: bytes) -> bool:
    """A line of cases."""
    source = Source(data)
    line = source.rest() if source.is_text else json.dumps(_case(source)).encode()
    found = answer(line)
    demand(answer(line) == found, "asked twice, answered the same", line, found)
    msgspec.json.encode(found).decode()  # as it is printed
    return not (isinstance(found, dict) and str(found.get("error")).startswith("not a case"))


def _case(source: Source) -> dict[str, object]:
    what, made = source.pick(
        (
            ("pattern", languages.pattern),
            ("filter", languages.filters),
            ("cesql", languages.cesql),
            ("cel", languages.cel),
        )
    )
    spec: object = made(source)
    if what == "pattern" and source.rarely(4):
        what, spec = "pattern_text", json.dumps(spec)
    event = {"specversion": "1.0", "id": "1", "source": "/a", "type": "ab", "n": 1, "data": events.value(source)}
    if source.rarely(4):
        return {what: spec, "event_text": events.json_text(source).decode("utf-8", "replace")}
    return {what: spec, "event": event}


def check_config(data: bytes) -> bool:
    """A config file, and what it does with an event."""
    source = Source(data)
    content = source.rest() if source.is_text else json.dumps(_config(source)).encode()
    file = _file("fuzzed.yaml", content)
    try:
        config = load(file, environment={"A": "a value"}, files={})
    except ConfigError as problem:
        for text in problem.problems:
            demand(text.startswith(str(file)), "a problem begins with its file", text)
            demand(is_printable(text), "a problem can be printed", text)
        return refused(problem)
    for one in Explainer(config).explain(EVENT, config.region):
        demand(one.matched or one.why_not, "what does not match is explained", one)
        demand(all(map(is_printable, one.why_not)), "an explanation can be printed", one)
    return True


def _config(source: Source) -> dict[str, object]:
    subscriptions = {}
    for name in ("a", "b")[: 1 + source.below(2)]:
        key, made = source.pick(
            (
                ("match", languages.pattern),
                ("filter", languages.filters),
                ("cesql", languages.cesql),
                ("cel", languages.cel),
            )
        )
        subscriptions[name] = {
            "to": "out",
            key: made(source),
            "change": languages.steps(source) if source.rarely(2) else [],
        }
        if source.rarely(4):
            subscriptions[name][source.pick(("from", "order_by", "lanes", "retry", "start", "was", "x"))] = (
                events.value(source, 2)
            )
    config: dict[str, object] = {
        "region": "eu",
        "data": "/nowhere",
        "sinks": {"out": {"http": {"url": "http://127.0.0.1:1/"}}},
    }
    config |= {"subscriptions": subscriptions, "keys": {"k": {"v2": "0123456789abcdef-2", "v1": "0123456789abcdef-1"}}}
    if source.rarely(4):
        config[source.pick(("keys", "limits", "log", "dedupe", "federation", "api", "sources", "x", "logging"))] = (
            events.value(source, 3)
        )
    return config


def check_expectations(data: bytes) -> bool:
    """A file of tests, beside a config that is right."""
    source = Source(data)
    if source.is_text:
        content = source.rest()
    else:
        tests = [_test(source) for _ in range(1 + source.below(2))]
        content = json.dumps({"config": "config.yaml", "tests": tests}).encode()
    _folder()
    file = _file("suite.yaml", content)
    try:
        for outcome in expectations.run(file):
            for text in outcome.problems:
                demand(is_printable(text), "a problem can be printed", text)
    except ConfigError as problem:
        return refused(problem)
    return True


def _test(source: Source) -> dict[str, object]:
    event: dict[str, object] = {"type": source.pick(("ab", "a", "")), "data": events.value(source, 3)}
    if source.rarely(3):
        event[source.pick(("n", "subject", "id", "data_base64", "time", "X", "datacontenttype"))] = events.scalar(
            source
        )
    wanted: tuple[object, ...] = (
        True,
        False,
        {"subject": "x"},
        {"data.a": 1},
        {"rejected": "data"},
        {"data.items.0": None},
    )
    expect = {
        source.pick(("a", "b", "b", "c")): source.pick((*wanted, events.value(source, 2)))
        for _ in range(source.below(3))
    }
    test: dict[str, object] = {"name": source.pick(events.STRINGS), "event": event, "expect": expect}
    if source.rarely(3):
        test[source.pick(("from", "others", "file", "x"))] = source.pick(
            ("us", "allowed", "config.yaml", "none", "", 1)
        )
    return test


def check_documents(data: bytes) -> bool:
    """A file of events: JSON lines, an array, or documents over many lines."""
    source = Source(data)
    if source.is_text:
        content = source.rest()
    else:
        separators = (b"\n", b"\n\n", b"", b" ", b"\r\n", b",")
        content = b"".join([events.json_text(source) + source.pick(separators) for _ in range(1 + source.below(4))])
    found = 0
    try:
        for document in documents.read([str(_file("documents", content))]):
            found += 1
            line = documents.one_line(document.raw)
            demand(b"\n" not in line, "one line has no line break", document.raw, line)
            try:
                event = document.event()
            except InvalidEvent as problem:
                demand(is_printable(str(problem)), "a problem can be printed", problem)
                continue
            demand(documents.Document("", line).event().id == event.id, "on one line, an event is the same", line)
    except ConfigError as problem:
        return refused(problem)
    return found > 0


def check_import(data: bytes) -> bool:
    """A file with filters of other systems."""
    source = Source(data)
    converters: tuple[Callable[[object], list[Imported]], ...] = (
        lambda document: foreign_eventmesh.import_filters(document, "a"),
        lambda document: foreign_eventbridge.import_rules(document, "a", extensions={"region": "ext"}, whole=False),
        lambda document: foreign_eventbridge.import_rules(document, "a", extensions={}, whole=True),
        lambda document: foreign_sns.import_policies(document, "a", scope=None, landing="sqs", arrays=()),
        lambda document: foreign_sns.import_policies(
            document, "a", scope="attributes", landing="envelope", arrays=("a",)
        ),
        lambda document: foreign_sns.import_policies(document, "a", scope="attributes", landing="data", arrays=("a",)),
        lambda document: foreign_sns.import_policies(document, "a", scope="body", landing="extensions", arrays=()),
    )
    convert = source.pick(converters)
    content = source.rest() if source.is_text else json.dumps(_foreign(source)).encode()
    try:
        imports = convert(parse(content))
    except ConfigError as problem:
        return refused(problem)
    for one in imports:
        for text in (*one.notes, *one.warnings):
            demand(is_printable(text), "what is said can be printed", text)
        if one.pattern is not None:
            compile_pattern(one.pattern)
    document = yaml.read(_file("imported.yaml", fragment(imports, "out").encode()))
    demand(not document.problems, "what is written is right", document.problems)
    for one in imports:
        found = document.at(("subscriptions", one.name, "match"))
        demand(found == one.pattern, "what is written is read back", found, one.pattern)
    return True


def _foreign(source: Source) -> object:
    pattern: object = languages.pattern(source) if source.rarely(4) else _foreign_pattern(source)
    if source.rarely(3):
        pattern = json.dumps(pattern)
    wrapped = source.pick(("", "EventPattern", "FilterPolicy", "filterPattern", "condition", "filter_policy"))
    document = pattern
    if wrapped:
        scope = source.pick(("MessageBody", "MessageAttributes", "MessageBody", "x"))
        document = {wrapped: pattern, "Name": "a b", "topic": "t", "FilterPolicyScope": scope}
    return {"Rules": [document, document]} if source.rarely(3) else document


def _foreign_pattern(source: Source) -> dict[str, object]:
    names = ("source", "detail", "detail-type", "region", "resources", "a", "data", "type", "subject")
    pattern: dict[str, object] = {}
    for _ in range(1 + source.below(2)):
        name = source.pick(names)
        terms: object = [
            source.pick(("a", {"prefix": "a"}, 1, {"exists": True}, {"numeric": [">", 1]}, {"anything-but": "a"}, None))
        ]
        if source.rarely(4):
            terms = events.value(source, 1) if source.rarely(4) else next(iter(languages.pattern(source).values()))
        pattern[name] = {source.pick(events.NAMES): terms} if name in ("detail", "data") else terms
    return pattern


def _config_seeds() -> Iterator[bytes]:
    yield written(CONFIG)
    yield written('a: &x [1, "\\ud800"]\nb: *x\n<<: {c: 0x1F}\n"d": |\n  text ${A:-b} ${file:x}\n')


def _suite_seeds() -> Iterator[bytes]:
    yield written(SUITE)


def _import_seeds() -> Iterator[bytes]:
    rule = {"Name": "a", "EventPattern": json.dumps({"source": ["a"], "detail": {"a": [{"prefix": "b"}]}})}
    policy = {
        "Attributes": {"FilterPolicy": json.dumps({"a": [{"anything-but": ["b"]}]}), "TopicArn": "arn:aws:sns:eu:1:t"}
    }
    mesh = [
        {
            "topic": "t",
            "condition": {"filterPattern": json.dumps({"source": ["a"], "data": {"a": [{"numeric": [">", 1]}]}})},
        }
    ]
    for index, document in enumerate((mesh, rule, rule, policy, policy, policy, {"a": {"b": [1]}})):
        yield b"\x01" + bytes((index,)) + json.dumps(document).encode()


TARGETS = (
    Target(
        "cases",
        "every line has an answer that can be printed",
        check_cases,
        ("pattern", "event", "cesql", "filter", "cel", "event_text"),
        seeds.cases,
    ),
    Target(
        "config",
        "a config loads and explains, or every problem has its place",
        check_config,
        _YAML_WORDS,
        _config_seeds,
    ),
    Target(
        "expectations",
        "a file of tests runs, or every problem has its place",
        check_expectations,
        _YAML_WORDS,
        _suite_seeds,
    ),
    Target(
        "documents",
        "files of events are read, whatever is in them",
        check_documents,
        ("\n", "[", "{", "}"),
        seeds.json_events,
    ),
    Target(
        "import",
        "a filter that is carried over compiles, and is read back from YAML",
        check_import,
        languages.PATTERN_WORDS,
        _import_seeds,
    ),
)
