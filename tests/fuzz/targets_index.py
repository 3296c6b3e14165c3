"""Targets: the index over all rules, and the lens through which they see the data."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

from gateway.core.errors import ConfigError
from gateway.rules import lens, match
from gateway.rules.dialects import LANGUAGES, compile_filter
from tests.fuzz import events, languages, seeds
from tests.fuzz.source import Source, text_of
from tests.fuzz.target import Target, demand
from tests.fuzz.targets_rules import DEEPEST, EVENT

if TYPE_CHECKING:
    from gateway.rules.rule import Path, Rule


def check_match(data: bytes) -> bool:
    """Several rules behind one index, asked about several events, one by one and at a glance."""
    source = Source(data)
    makers = {"sql": languages.cesql, "match": languages.pattern, "cel": languages.cel, None: languages.filters}
    shared = lens.Lens()
    together: dict[str, Rule] = {}
    alone: dict[str, Rule] = {}
    for index in range(2 + source.below(10)):
        language = source.pick((None, None, "match", "match", "sql", "cel"))
        spec = makers[language](source)
        compiler = compile_filter if language is None else LANGUAGES[language]
        try:
            together[str(index)] = compiler(spec, f"r{index}", lens=shared)
            alone[str(index)] = compiler(spec, f"r{index}", lens=lens.Lens())
        except ConfigError:
            continue
    batch = [events.event(source) for _ in range(4)]
    expected = [sorted(name for name, rule in alone.items() if rule.matches(event)) for event in batch]
    for few, worth, most_left in ((match.FEW, match._WORTH, match._MOST_LEFT), (0, 0, 0)):
        with patch.multiple(match, FEW=few, _WORTH=worth, _MOST_LEFT=most_left):
            matcher = match.Matcher(together, shared)
            for _ in range(2):
                found = [sorted(matcher.choose([event])) for event in batch]
                demand(found == expected, "together as alone", found, expected, batch)
                chosen = matcher.choose(batch)
                found = [sorted(name for name in chosen if (at, one) in chosen[name]) for at, one in enumerate(batch)]
                demand(found == expected, "chosen as alone", found, expected, batch)
    return len(alone) > 1


def check_lens(data: bytes) -> bool:
    """What a projection shows is what is there."""
    source = Source(data)
    if source.is_text:
        names, document = source.parts(2)
        paths = [tuple(path.split("/")[:DEEPEST]) for path in text_of(names).split(",")]
    else:
        paths = [_path(source) for _ in range(1 + source.below(5))]
        document = events.json_text(source)
        if source.rarely(2):
            document = b'{"a":%b,"b":%b,"a.b":1}' % (document, events.json_text(source))
    event = EVENT.but(data=document, datacontenttype=source.pick(("application/json", *events.TYPES)))
    narrow = lens.Lens()
    narrow.want(paths)
    whole, found = lens.of_event(event), narrow.look(event)
    for path in paths:
        seen, there = events.at(found, path), events.at(whole, path)
        demand(_typed(seen) == _typed(there), "a projection shows what is there", document, path, seen, there)
    demand(narrow.look(event) is found, "one event is parsed once", event)
    return whole is not lens.ABSENT


def _path(source: Source) -> Path:
    return tuple(source.pick(events.NAMES) for _ in range(1 + source.below(3)))


def _typed(value: object) -> str:
    """A value in a form in which 1, 1.0 and True are three; deep ones by their size."""
    try:
        return repr(value)
    except RecursionError:
        return "deep"


TARGETS = (
    Target("match", "all rules together answer as each alone", check_match),
    Target("lens", "a projection shows what a full parse shows", check_lens, events.STRINGS[:1], seeds.documents),
)
