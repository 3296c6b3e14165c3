"""Seeds: inputs to begin with, a few of each language, and those of the corpora where they are there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.codec.corpora import CORPORA
from tests.fuzz.source import written

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 300
"""Seeds of one file."""
EVENT = (
    '{"specversion":"1.0","id":"1","source":"/a/b","type":"ab","subject":"a","ext":"a","n":1,"flag":true,'
    '"datacontenttype":"application/json","data":{"a":{"b":1},"items":[{"a":"ab"},2],"total":1.5,"a.b":null}}'
)
FILTERS = (
    '{"exact": {"type": "ab"}}', '[{"prefix": {"source": "/a"}}, {"suffix": {"subject": "a"}}]',
    '{"any": [{"not": {"exact": {"ext": "a"}}}, {"sql": "n = 1"}, {"match": {"data": {"a": {"b": [1]}}}}]}',
    '{"all": [{"cel": "data.total > 1.0"}, {"exact": {"flag": "true"}}]}',
)  # fmt: skip
CEL = (
    "type == 'ab' && data.total > 1.0",
    "has(data.a) && data.a.b == 1 ? true : data.items.exists(i, i.a.startsWith('a'))",
    "data.items.all(i, has(i.a) || i == 2)", "subject.matches('^a+$') || size(type) in [1, 2]",
    "timestamp(time).getFullYear() > 2020", "attributes.ext == 'a' && n + 1 == 2 && !flag",
    "string(n) + type == '1ab' && double(n) < 1.5 && dyn(data) != null",
)  # fmt: skip
CHANGES = (
    '[{"set": {"subject": "{data.a.b}", "data.c": ["{source}", 1]}}, {"remove": ["data.items[0]", "ext"]}]',
    '[{"keep": ["type", "data.items[*].a", "data.total"]}, {"rename": {"data.total": "data.sum", "ext": "other"}}]',
    '[{"template": {"data": {"all": "{data.items[*].a|none}"}}}, {"mask": {"data.a.b": {"hash": "k"}, "n": "redact"}}]',
)  # fmt: skip
TEMPLATES = (
    "{data.a.b}",
    "order {data.items[0].a} of {source}",
    "{data.x|unknown}",
    '{{{data["a.b"]|"x"}}}',
    "{data.items[*].a}",
)


def patterns() -> Iterator[bytes]:
    """Patterns with documents."""
    yield written('{"type": [{"prefix": "a"}], "data": {"a": {"b": [1]}, "items": {"a": [{"wildcard": "a*"}]}}}', EVENT)
    yield written('{"$or": [{"n": [{"numeric": [">", 0]}]}, {"ext": [{"anything-but": "a"}]}]}', EVENT)
    for case in _lines("event-patterns/event-ruler.jsonl"):
        text = case.get("pattern_text") or json.dumps(case.get("pattern"))
        yield written(str(text), str(case.get("event_text") or json.dumps(case.get("event"))))


def cesql() -> Iterator[bytes]:
    """Expressions with events."""
    for text in ("type = 'ab' AND n + 1 > 1", "EXISTS ext AND LENGTH(subject) IN (1, 2)", "source LIKE '/a%' XOR flag"):
        yield written(text, EVENT)
    for path in sorted((CORPORA / "cesql").glob("*.yaml")) if CORPORA.exists() else []:
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, text = line.strip().partition("expression:")
            if not name.strip(" -"):
                yield written(text.strip(), EVENT)


def filters() -> Iterator[bytes]:
    """Filters in the dialects."""
    yield from (written(text) for text in FILTERS)


def cel() -> Iterator[bytes]:
    """CEL expressions with events."""
    yield from (written(text, EVENT) for text in CEL)


def changes() -> Iterator[bytes]:
    """Steps with events."""
    yield from (written(text, EVENT) for text in CHANGES)


def templates() -> Iterator[bytes]:
    """Templates with events."""
    yield from (written(text, EVENT) for text in TEMPLATES)


def documents() -> Iterator[bytes]:
    """Paths with documents."""
    yield written("a/b,items,a.b", EVENT)
    yield written("a", '{"a": 1e400, "a": {"b": "\\ud800"}, "b": "\udcff"}')


def json_events() -> Iterator[bytes]:
    """Events in the JSON format."""
    yield written(EVENT)
    yield written(f"[{EVENT}, {EVENT}]")
    for path in sorted((CORPORA / "real-events").rglob("*.json"))[:MOST] if CORPORA.exists() else []:
        if path.stat().st_size < 4096:
            yield written(b'{"specversion":"1.0","id":"1","source":"/a","type":"a","data":%b}' % path.read_bytes())


def cases() -> Iterator[bytes]:
    """Lines of cases."""
    yield written(json.dumps({"pattern": {"a": [1]}, "event": {"a": 1}}))
    yield written(json.dumps({"cesql": "n + 1 = 2", "event": json.loads(EVENT)}))
    yield written(json.dumps({"filter": json.loads(FILTERS[2]), "event_text": EVENT}))
    yield written(json.dumps({"cel": CEL[0], "event": json.loads(EVENT)}))
    for case in _lines("event-patterns/event-ruler.jsonl"):
        yield written(json.dumps(case))


def _lines(name: str) -> Iterator[dict[str, object]]:
    path = CORPORA / name
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines()[:MOST]:
            yield json.loads(line)
