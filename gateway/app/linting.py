"""Linting: what is allowed in a config and is probably not meant.

`isthmus check` names what is wrong; this names what is odd: filters that no
event can pass, sinks that nobody sends to, two subscriptions that do the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from gateway.app import rules, yaml
from gateway.app.config import load
from gateway.rules.cesql_grammar import parse
from gateway.rules.cesql_tree import Logic, children
from gateway.rules.lens import Lens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.app.config import Config, Subscription
    from gateway.rules.cesql_tree import Node
    from gateway.rules.rule import Anchor, Key, Rule

MANY = 100
"""Subscriptions from which on it matters that a filter cannot be indexed."""

_AWS = {
    "detail": "`data`",
    "detail-type": "`type`",
    "resources": "an extension, or a member of `data`",
    "account": "an extension, or a member of `data`",
}
"""What EventBridge's envelope has and a CloudEvent has not, and where it would be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something odd."""

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.path}: {self.message}"


def lint(file: Path) -> list[Finding]:
    """Everything odd about a config, in the order of the file.

    :raises ConfigError: it is not odd but wrong.
    """
    config = load(file)
    document = yaml.read(file)
    found = [
        Finding(str(file), document.line(path), yaml.name(path), message)
        for path, message in (
            *_about_parts(config),
            *_about_secrets(document),
            *_about_keys(config),
            *_about_rules(config),
        )
    ]
    return sorted(found, key=lambda finding: (finding.line, finding.path))


def _about_parts(config: Config) -> Iterator[tuple[yaml.Path, str]]:
    subscriptions = config.subscriptions.values()
    for name in config.sinks.keys() - {one.to for one in subscriptions}:
        yield ("sinks", name), "no subscription sends to it"
    wanted = {region for one in subscriptions for region in one.from_}
    for name in config.federation.peers.keys() - wanted:
        yield ("federation", "peers", name), f"no subscription has it in from:, so nothing is read from {name}"
    comes_in = bool(config.sources or any(address for _, address in config.api))
    if comes_in and config.region not in wanted and config.federation.listen is None:
        message = f"events come in at {config.region}, but no subscription is from it and it has no federation.listen"
        yield ("region",), message


def _about_secrets(document: yaml.Document) -> Iterator[tuple[yaml.Path, str]]:
    keys = document.at(("keys",))
    for name, versions in keys.items() if isinstance(keys, dict) else ():
        for version, secret in versions.items() if isinstance(versions, dict) else ():
            if "${" not in str(secret):
                yield ("keys", name, version), "the secret stands in the file, expected a reference such as ${file:...}"


def _about_keys(config: Config) -> Iterator[tuple[yaml.Path, str]]:
    used: dict[str, None] = {}
    for path, place, key in _hashes(config):
        name, _, version = key.partition("@")
        used[name] = None
        current = next(iter(config.keys.get(name, {})), version)
        if version and version != current:
            yield path, f"{place} is hashed with version {version} of {name}; the current one is {current}"
    for name in config.keys.keys() - used.keys():
        yield ("keys", name), "no mask hashes with it"


def _hashes(config: Config) -> Iterator[tuple[yaml.Path, str, str]]:
    for name, one in config.subscriptions.items():
        for index, step in enumerate(one.change):
            masks = step.get("mask") if isinstance(step, dict) else None
            for place, how in masks.items() if isinstance(masks, dict) else ():
                if isinstance(how, dict) and isinstance(key := how.get("hash"), str):
                    yield ("subscriptions", name, "change", index, "mask", place), place, key


def _about_rules(config: Config) -> Iterator[tuple[yaml.Path, str]]:
    lens = Lens()
    same: dict[str, str] = {}
    for name, one in config.subscriptions.items():
        path: yaml.Path = ("subscriptions", name)
        said = json.dumps([one.to, sorted(one.from_), rules.in_dialects(one), one.change], sort_keys=True, default=str)
        if said in same:
            yield path, f"does the same as {same[said]}: {one.to} gets everything twice"
        same.setdefault(said, name)
        rule = rules.rule(one, yaml.name(path), lens)
        if rule is not None:
            key = next(key for key in rules.DIALECTS if getattr(one, key) is not None)
            yield from (((*path, key), message) for message in _about_rule(rule, len(config.subscriptions)))
        yield from (((*path, "match"), message) for message in _foreign(one))
        if one.cesql is not None and (mixed := _mixed(one.cesql, parse(one.cesql, "cesql"))):
            yield (
                (*path, "cesql"),
                f"AND, OR and XOR bind alike, from the right: parentheses would tell how {mixed} is meant",
            )


def _about_rule(rule: Rule, subscriptions: int) -> Iterator[str]:
    for one, other in combinations(rule.anchors, 2):
        if _excludes(one, other):
            yield f"no event can pass: {_shown(one)} and {_shown(other)} never hold together"
            return
    if subscriptions >= MANY and all(any(key.how == "range" for key in anchor) for anchor in rule.anchors):
        yield "is asked about every event: no attribute or member of the data has to have, begin or end with a value"


def _excludes(one: Anchor, other: Anchor) -> bool:
    """Whether two necessary conditions about the same attribute rule each other out."""
    places = {key.where for key in one | other}
    if len(places) != 1 or not isinstance(next(iter(places)), str):
        return False  # an array in the data may hold both values
    exact, rest = (one, other) if all(key.how == "exact" for key in one) else (other, one)
    return all(key.how == "exact" for key in exact) and not any(_meets(key, wide) for key in exact for wide in rest)


def _meets(exact: Key, wide: Key) -> bool:
    value, part = str(exact.value), str(wide.value)
    return {"exact": value == part, "prefix": value.startswith(part), "suffix": value.endswith(part)}[wide.how]


def _shown(anchor: Anchor) -> str:
    words = {"exact": "", "prefix": "prefix ", "suffix": "suffix "}
    return " or ".join(sorted(f"{key.where} {words[key.how]}{key.value!r}" for key in anchor)[:3])


def _mixed(text: str, node: Node) -> str:
    """A part where two of AND, OR and XOR stand side by side without parentheses; empty: there is none."""
    for part in children(node):
        is_bare = not (text[: part.start].rstrip().endswith("(") and text[part.end :].lstrip().startswith(")"))
        if isinstance(node, Logic) and isinstance(part, Logic) and is_bare:
            return f"`{text[node.start : node.end]:.60}`"
        if found := _mixed(text, part):
            return found
    return ""


def _foreign(one: Subscription) -> Iterator[str]:
    if isinstance(one.match, dict):
        for name in one.match.keys() & _AWS.keys():
            yield f"{name} is of EventBridge's envelope; in a CloudEvent it is {_AWS[name]}"
