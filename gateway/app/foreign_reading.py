"""Files with filters: what stands in them, wherever it stands, and whether a config can hold it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gateway.app.foreign import LARGEST, Found, inner, kind_of
from gateway.core.errors import ConfigError
from gateway.rules.pattern import parse_pattern
from gateway.rules.pattern_text import Digits, members

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.app.foreign import Findings

MAX_BYTES: Final = 4 * 1024 * 1024
"""Bytes of a file to import; a CloudFormation template has at most 1 MB."""
MAX_DEPTH: Final = 48
"""Objects and lists inside each other, in the file and in a filter that stands there as text; a config holds these."""
MAX_FILTERS: Final = 1000
"""Filters of one file; an event bus of AWS has 300 rules unless one asks for more."""

_NAMES = ("Name", "name", "RuleName", "topic")
_PLUMBING = frozenset(
    ("Properties", "Attributes", "Resources", "Rules", "resource", "values", "resources", "root_module")
)
"""Keys on the way to a filter that say nothing about it."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse(data: bytes) -> object:
    """The JSON document in a file's bytes.

    :raises ConfigError: it is larger than `MAX_BYTES`, or not JSON in UTF-8.
    """
    if len(data) > MAX_BYTES:
        raise ConfigError(f"larger than {MAX_BYTES} bytes, expected one filter or a list of them")
    return parse_pattern(data.removeprefix(b"\xef\xbb\xbf"))


def find(document: object, keys: Sequence[str], *, also: Sequence[str] = ()) -> list[Found]:
    """The filters that stand in a document under one of the keys, as object or text, in the order of the document.

    Objects that have none, but one of the keys `also`, are found with None as their filter.

    :raises ConfigError: nested deeper than `MAX_DEPTH`, or more than `MAX_FILTERS`.
    """
    found: list[Found] = []
    for one in _found(document, keys, also, "", "", 0):
        if len(found) == MAX_FILTERS:
            raise ConfigError(f"{one.place}: more than {MAX_FILTERS} filters in one file")
        found.append(one)
    return found


def _found(
    value: object, keys: Sequence[str], also: Sequence[str], place: str, label: str, depth: int
) -> Iterator[Found]:
    if depth > MAX_DEPTH:
        raise ConfigError(f"{place:.200}: more than {MAX_DEPTH} objects and lists inside each other")
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _found(item, keys, also, f"{place}[{index}]", label, depth + 1)
    if not isinstance(value, dict):
        return
    name = next((str(value[key]) for key in _NAMES if isinstance(value.get(key), str) and value[key]), label)
    key = next((key for key in keys if isinstance(value.get(key), str | dict)), None)
    if key is not None:
        yield Found(inner(place, key), value[key], name, value)
        return
    if any(isinstance(value.get(key), str) for key in also):
        yield Found(place, None, name, value)
        return
    for key, item in value.items():
        yield from _found(item, keys, also, inner(place, key), name if key in _PLUMBING else key, depth + 1)


def read_object(found: Found, findings: Findings) -> dict[str, object]:
    """The filter as an object whose members stand once and whose values a config can hold.

    :raises ConfigError: it is none.
    """
    spec = found.spec
    if isinstance(spec, str):
        try:
            spec = parse_pattern(spec)
        except ConfigError as problem:
            raise ConfigError(f"{found.place}: {problem}") from None
    if not isinstance(spec, dict):
        findings.wrong(found.place, f"expected an object, got {kind_of(spec)}")
    _check_plain(spec, found.place, findings, 0)
    findings.check()
    return spec if isinstance(spec, dict) else {}


def _check_plain(value: object, place: str, findings: Findings, depth: int) -> None:
    if depth > MAX_DEPTH:
        findings.wrong(f"{place:.200}", f"more than {MAX_DEPTH} objects and lists inside each other")
    elif isinstance(value, dict):
        _check_names(value, place, findings)
        for name, item in value.items():
            _check_plain(item, inner(place, name), findings, depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_plain(item, f"{place}[{index}]", findings, depth + 1)
    elif isinstance(value, str) and _SURROGATE.search(value):
        findings.wrong(place, f"{value!a:.40} is half a character, expected text")
    elif isinstance(value, Digits) or (isinstance(value, int) and abs(value) >= LARGEST):
        findings.wrong(place, f"{value!r:.40} has more digits than a config keeps")


def _check_names(value: dict[str, object], place: str, findings: Findings) -> None:
    seen: set[str] = set()
    for name, _ in members(value):
        if _SURROGATE.search(name):
            findings.wrong(place, f"{name!a:.40} is half a character, expected text")
        if name in seen:
            findings.wrong(inner(place, name), "stands here twice, expected it once")
        seen.add(name)
