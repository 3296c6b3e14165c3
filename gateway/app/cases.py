"""Cases: `isthmus match --cases`, a filter and an event on each line, an answer on each line.

    {"pattern": {...}, "event": {...}}         → true | false | {"error": "..."}
    {"filter": {...}, "event": {...}}          → the same; so for "cel"
    {"cesql": "...", "event": {...}}           → {"value": ..., "error": null | "cast" | "parse" | ...}

`pattern_text` and `event_text` hold JSON as text. A pattern is asked about the
document as it is; the others about the CloudEvent that it is in JSON.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from gateway.codec.json import decode
from gateway.core.errors import ConfigError, InvalidEvent
from gateway.rules.cel import compile_cel
from gateway.rules.cesql import evaluator
from gateway.rules.dialects import compile_filter
from gateway.rules.pattern import document_pattern, parse_document, parse_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gateway.core.event import Event

REMEMBERED = 2048
"""Filters that stay compiled, for cases that ask the same one about many events."""

Answer: TypeAlias = "bool | dict[str, object]"


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """One line; what else stands in it (an id, what is expected) is passed over."""

    event: Raw | UnsetType = UNSET
    event_text: str | UnsetType = UNSET
    pattern: Raw | UnsetType = UNSET
    pattern_text: str | UnsetType = UNSET
    filter: Raw | UnsetType = UNSET
    cesql: str | UnsetType = UNSET
    cel: str | UnsetType = UNSET


_case = msgspec.json.Decoder(Case).decode


def answers(lines: Iterable[bytes]) -> Iterator[Answer]:
    """One answer for each line that is not blank, in order."""
    for line in lines:
        if line.strip():
            yield answer(line)


def answer(line: bytes) -> Answer:
    """What one case comes to; what is wrong with it is an answer too."""
    try:
        case = _case(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as problem:
        return {"error": f"not a case: {problem}"}
    document = _text(case.event, case.event_text)
    asked = [one for one in (case.pattern, case.pattern_text, case.filter, case.cesql, case.cel) if one is not UNSET]
    if document is None or len(asked) != 1:
        return {"error": "not a case: expected an event, and one of pattern, filter, cesql and cel"}
    try:
        return _answer(case, document)
    except ConfigError as problem:
        return {"error": "; ".join(problem.problems)}
    except InvalidEvent as problem:
        return {"error": f"event: {problem}"}


def _answer(case: Case, document: bytes) -> Answer:
    if isinstance(case.cesql, str):
        return _value(case.cesql, document)
    if isinstance(case.cel, str):
        return _cel(case.cel)(decode(document))
    if isinstance(case.filter, Raw):
        return _filter(bytes(case.filter))(decode(document))
    return _pattern(_text(case.pattern, case.pattern_text) or b"")(parse_document(document))


def _text(raw: Raw | UnsetType, text: str | UnsetType) -> bytes | None:
    """JSON given as such or as text; None: it is not given."""
    if isinstance(text, str):
        return text.encode()
    return bytes(raw) if isinstance(raw, Raw) else None


def _value(text: str, document: bytes) -> Answer:
    try:
        evaluate = _cesql(text)
    except ConfigError:
        return {"value": None, "error": "parse"}
    value, error = evaluate(decode(document))
    return {"value": value, "error": error}


@lru_cache(REMEMBERED)
def _pattern(text: bytes) -> Callable[[object], bool]:
    return document_pattern(parse_pattern(text), "pattern")


@lru_cache(REMEMBERED)
def _filter(text: bytes) -> Callable[[Event], bool]:
    try:
        spec = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as problem:
        raise ConfigError(f"filter: not JSON: {problem}") from None
    return compile_filter(spec).matches


@lru_cache(REMEMBERED)
def _cesql(text: str) -> Callable[[Event], tuple[object, str | None]]:
    return evaluator(text)


@lru_cache(REMEMBERED)
def _cel(text: str) -> Callable[[Event], bool]:
    return compile_cel(text).matches
