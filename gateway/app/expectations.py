"""Expectations: unit tests of a config, in YAML: given this event, these subscriptions send that.

config: eu-west.yaml              # beside this file
env: {PII_KEY: made-up-for-tests} # what ${...} of the config gets here
files: {/run/secrets/pii: ...}    # and ${file:...}
tests:
  - name: large orders are billed
    event: {type: com.acme.order.created, data: {total: 120, id: o-1}}
    from: us-east                 # where it came in; default: the config's region
    expect:
      bill-orders: {subject: o-1, data.total: 120}
      audit: true
      strict: {rejected: data.customer}
    others: allowed               # default: nobody else may match
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from json import dumps
from time import perf_counter
from typing import TYPE_CHECKING, Literal

import msgspec
from pydantic import Field, JsonValue, ValidationError

from gateway.app import documents, yaml
from gateway.app.config import load
from gateway.app.explaining import Explainer
from gateway.app.fields import Name, Section
from gateway.app.problems import explain, unknown
from gateway.codec.json import decode, encode
from gateway.core.errors import ConfigError, InvalidEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from gateway.app.config import Config
    from gateway.app.explaining import Explained
    from gateway.core.event import Event

_USUAL: Mapping[str, JsonValue] = {"specversion": "1.0", "id": "1", "source": "/isthmus/test", "type": "test"}
"""What an event of a test has when it does not say."""
_SHOWN = 200
_INDEX = re.compile(r"[0-9]{1,9}").fullmatch


class Expectation(Section):
    """One test."""

    name: str
    event: dict[str, JsonValue] | None = None
    """The event in the JSON format; specversion, id, source and type have defaults."""
    file: str | None = None
    """Or a file with one event in JSON, beside this one."""
    from_: Name | None = Field(default=None, alias="from")
    """The region it came in at; default: the config's own."""
    expect: dict[Name, JsonValue]
    """Subscription → true (sent), false (does not match), or what is sent: attributes, `data`, `data.path`; or
    `rejected`: a part of the reason."""
    others: Literal["none", "allowed"] = "none"
    """Whether subscriptions that are not named may match."""


class Suite(Section):
    """A file of tests."""

    config: str
    """The config file, beside this one."""
    env: dict[str, str] = Field(default={})
    """Environment variables for the config's references."""
    files: dict[str, str] = Field(default={})
    """Files for the config's references: path as written → text."""
    tests: list[Expectation] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a test ended."""

    name: str
    place: str
    """`FILE:LINE`."""
    problems: tuple[str, ...]
    """None: it passed."""
    seconds: float


def run(file: Path) -> Iterator[Outcome]:
    """Run the tests of a file, one after the other, once all of them are found right.

    :raises ConfigError: the file or its config is wrong, with file, line and path.
    """
    document = yaml.read(file)
    try:
        suite = Suite.model_validate(document.value, context={"written": True})
    except ValidationError as problem:
        explain(document, Suite, problem)
        suite = None
    if suite is None or document.problems:
        raise document.error(lambda _, text: text)
    folder = file.absolute().parent
    config = load(folder / suite.config, environment=os.environ | suite.env, files=suite.files)
    events = [_event(test, document, ("tests", index), folder) for index, test in enumerate(suite.tests)]
    for index, test in enumerate(suite.tests):
        _check_names(test, document, ("tests", index), config)
    if document.problems:
        raise document.error(lambda _, text: text)
    explainer = Explainer(config)
    for index, (test, event) in enumerate(zip(suite.tests, events, strict=True)):
        began = perf_counter()
        problems = [
            problem for one in explainer.explain(event, test.from_ or config.region) for problem in _compare(one, test)
        ]
        place = f"{file}:{document.line(('tests', index))}"
        yield Outcome(test.name, place, tuple(problems), perf_counter() - began)


def _check_names(test: Expectation, document: yaml.Document, at: yaml.Path, config: Config) -> None:
    """Note what a test names that the config does not have."""
    for name in test.expect:
        if name not in config.subscriptions:
            document.complain((*at, "expect", name), unknown("subscription", name, config.subscriptions))
    regions = (config.region, *config.federation.peers)
    if test.from_ is not None and test.from_ not in regions:
        document.complain((*at, "from"), unknown("region", test.from_, regions))


def _event(test: Expectation, document: yaml.Document, at: yaml.Path, folder: Path) -> Event:
    """The event of a test, or any event where it is wrong, which is noted."""
    try:
        if (test.event is None) == (test.file is None):
            document.complain(at, "expected either event: or file:")
        elif test.file is not None:
            return documents.one_event(str(folder / test.file))
        else:
            return decode(msgspec.json.encode({**_USUAL, **(test.event or {})}))
    except ConfigError as problem:
        document.complain((*at, "file"), str(problem))
    except UnicodeEncodeError:
        document.complain((*at, "event"), "has half of a surrogate pair, which is no character")
    except InvalidEvent as problem:
        document.complain((*at, "event"), f"not a CloudEvent: {problem}")
    return decode(msgspec.json.encode(_USUAL))


def _compare(one: Explained, test: Expectation) -> Iterator[str]:
    """What is not as the test says about one subscription."""
    name = one.subscription
    if name not in test.expect:
        if one.matched and test.others == "none":
            yield f"{name}: matches, and is not expected to (say `others: allowed` if it may)"
        return
    wanted = test.expect[name]
    if wanted is False:
        if one.matched:
            yield f"{name}: matches, expected it not to"
    elif not one.matched:
        yield f"{name}: does not match: {'; '.join(one.why_not)}"
    elif isinstance(wanted, dict) and "rejected" in wanted:
        yield from _compare_rejected(one, str(wanted["rejected"]))
    elif one.sent is None:
        yield f"{name}: a change fails: {one.rejected}"
    else:
        yield from _compare_sent(name, one.sent, wanted)


def _compare_sent(name: str, event: Event, wanted: JsonValue) -> Iterator[str]:
    if wanted is True:
        return
    if not isinstance(wanted, dict):
        yield f"{name}: expected true, false or a mapping in the test, got {_shown(wanted)}"
        return
    try:
        sent: dict[str, JsonValue] = msgspec.json.decode(encode(event))
    except RecursionError:
        yield f"{name}: what is sent is nested too deeply to compare"
        return
    for place, value in wanted.items():
        found = _at(sent, place)
        if not _is_same(found, value):
            yield f"{name}: {place}: expected {_shown(value)}, sent {_shown(found)}"


def _compare_rejected(one: Explained, part: str) -> Iterator[str]:
    if one.rejected is None:
        yield f"{one.subscription}: is sent, expected a change to fail with {part!r}"
    elif part not in one.rejected:
        yield f"{one.subscription}: expected a change to fail with {part!r}, it fails with {one.rejected!r}"


def _at(sent: JsonValue, place: str) -> JsonValue:
    """The value at an attribute, `data`, or a dotted path into it; None where nothing is."""
    if isinstance(sent, dict) and place in sent:
        return sent[place]
    first, _, rest = place.partition(".")
    if isinstance(sent, dict) and rest:
        return _at(sent.get(first), rest)
    if isinstance(sent, list) and _INDEX(first) and int(first) < len(sent):
        return _at(sent[int(first)], rest) if rest else sent[int(first)]
    return None


def _is_same(one: JsonValue, other: JsonValue) -> bool:
    """Whether they are the same in JSON, where 1 is 1.0, and true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _shown(value: JsonValue) -> str:
    text = dumps(value, ensure_ascii=False)
    return "nothing" if value is None else text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
