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
from gateway.codec.payload import MALFORMED, why
from gateway.core.errors import ConfigError, InvalidEvent
from gateway.rules.cel import compile_cel
from gateway.rules.cesql import evaluator
from gateway.rules.dialects import compile_filter
from gateway.rules.pattern import document_pattern, parse_document, parse_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.core.event import Event

REMEMBERED = 2048
"""Filters that stay compiled, for cases that ask the same one about many events."""
MAX_LINE = 16 * 1024 * 1024
"""Bytes of one case."""

Answer: TypeAlias = "bool | dict[str, object]"


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """One line; what else stands in it (an id, what is expected) is passed over, and text counts before JSON."""

    event: Raw | UnsetType = UNSET
    event_text: str | UnsetType = UNSET
    pattern: Raw | UnsetType = UNSET
    pattern_text: str | UnsetType = UNSET
    filter: Raw | UnsetType = UNSET
    cesql: str | UnsetType = UNSET
    cel: str | UnsetType = UNSET


_case = msgspec.json.Decoder(Case).decode
_encode = msgspec.json.Encoder().encode


def answers(lines: Sequence[bytes]) -> bytes:
    """One answer for each line that is not blank, in order, each with a line break."""
    return b"".join([_encode(answer(line)) + b"\n" for line in lines if line.strip()])


def answer(line: bytes) -> Answer:
    """What one case comes to; what is wrong with it is an answer too."""
    if len(line) > MAX_LINE:
        return {"error": f"not a case: longer than {MAX_LINE} bytes"}
    try:
        case = _case(line)
    except MALFORMED as problem:
        return {"error": f"not a case: {why(problem)}"}
    document, pattern = _text(case.event, case.event_text), _text(case.pattern, case.pattern_text)
    asked = [one for one in (pattern, case.filter, case.cesql, case.cel) if one is not None and one is not UNSET]
    if document is None or len(asked) != 1:
        return {"error": "not a case: expected an event, and one of pattern, filter, cesql and cel"}
    try:
        return _pattern(pattern)(parse_document(document)) if pattern is not None else _answer(case, document)
    except ConfigError as problem:
        return {"error": "; ".join(problem.problems)}
    except InvalidEvent as problem:
        return {"error": f"event: {problem}"}


def _answer(case: Case, document: bytes) -> Answer:
    if isinstance(case.cesql, str):
        return _value(case.cesql, document)
    if isinstance(case.cel, str):
        return _cel(case.cel)(decode(document))
    return _filter(bytes(case.filter) if isinstance(case.filter, Raw) else b"")(decode(document))


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
    except MALFORMED as problem:
        raise ConfigError(f"filter: not JSON: {why(problem)}") from None
    return compile_filter(spec).matches


@lru_cache(REMEMBERED)
def _cesql(text: str) -> Callable[[Event], tuple[object, str | None]]:
    return evaluator(text)


@lru_cache(REMEMBERED)
def _cel(text: str) -> Callable[[Event], bool]:
    return compile_cel(text).matches
