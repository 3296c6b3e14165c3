"""Cases: `isthmus match --cases`, a filter and an event on each line, an answer on each line.

    {"pattern": {...}, "event": {...}}         → true | false | {"error": "..."}
    {"filter": {...}, "event": {...}}          → the same; so for "cel"
    {"cesql": "...", "event": {...}}           → {"value": ..., "error": null | "cast" | "parse" | ...}

`pattern_text` and `event_text` hold JSON as text. A pattern is asked about the
document as it is; the others about the CloudEvent that it is in JSON.

To compile a filter that was never seen takes most of the time, so many lines
are shared out over processes:

    stream ─ chunks of lines ─▶ helpers, in turns ─ answers ─▶ in the same turns
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections import deque
from functools import lru_cache
from multiprocessing import connection
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from gateway.app.documents import MARK
from gateway.codec.json import decode
from gateway.codec.payload import MALFORMED, why
from gateway.core.errors import ConfigError, InvalidEvent, IsthmusError
from gateway.rules.cel import compile_cel
from gateway.rules.cesql import evaluator
from gateway.rules.dialects import compile_filter
from gateway.rules.pattern import document_pattern, parse_document, parse_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import RawIOBase

    from gateway.core.event import Event

REMEMBERED = 512
"""Filters of each language that stay compiled, for cases that ask the same one about many events."""
LONGEST_REMEMBERED = 4096
"""Characters of a filter that stays compiled; what is compiled takes up to fifty times as many bytes."""
MAX_LINE = 16 * 1024 * 1024
"""Bytes of one case."""
CHUNK = 256 * 1024
"""Bytes read, and answered, at once; what has come is never held back until there are more."""
MOST_HELPERS = 8

Text = TypeVar("Text", str, bytes)
Compiled = TypeVar("Compiled")
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


def answers(stream: RawIOBase) -> Iterator[bytes]:
    """One answer for each line that is not blank, in order and each with a line break; as many together as there are.

    :raises OSError: the stream cannot be read.
    """
    chunks = _chunks(stream)
    if first := next(chunks, b""):
        yield _answered(first)  # mostly that is all
    helpers = min(os.cpu_count() or 1, MOST_HELPERS) if "fork" in multiprocessing.get_all_start_methods() else 1
    if helpers == 1:
        yield from map(_answered, chunks)
        return
    idle: deque[_Helper] = deque()
    busy: deque[_Helper] = deque()
    while True:
        if len(busy) < helpers and (not busy or connection.wait([stream], 0)):  # type: ignore[list-item]  # has fileno()
            chunk = next(chunks, None)
            if chunk is None:
                break
            busy.append(idle.popleft() if idle else _Helper())
            busy[-1].ask(chunk)
        else:
            yield busy[0].answers()
            idle.append(busy.popleft())
    yield from [helper.answers() for helper in busy]


class _Helper:
    """Another process that answers; it ends when this one does, however that ends."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("fork")  # it needs what is compiled and imported here
        self._ours, theirs = context.Pipe()
        context.Process(target=_help, args=(theirs, self._ours), daemon=True).start()
        theirs.close()

    def ask(self, chunk: bytes) -> None:
        """Give it lines; it takes all of them before it answers."""
        self._ours.send_bytes(chunk)

    def answers(self) -> bytes:
        """Wait for its answers.

        :raises IsthmusError: it has ended, for instance because the machine has no more memory.
        """
        try:
            return self._ours.recv_bytes()
        except EOFError:
            raise IsthmusError("a process that answers cases has ended") from None


def _help(pipe: connection.Connection, theirs: connection.Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who reads the answers; then the pipe ends
    theirs.close()
    gc.freeze()  # what came from there stays, and need not be looked through again and again
    try:
        while True:
            pipe.send_bytes(_answered(pipe.recv_bytes()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _chunks(stream: RawIOBase) -> Iterator[bytes]:
    """Whole lines, as many as come at once; of one that is longer than a case may be no more than its beginning."""
    rest, is_skipping = b"", False
    block = (stream.read(CHUNK) or b"").removeprefix(MARK)
    while block:
        if is_skipping:
            _, end, block = block.partition(b"\n")
            is_skipping = not end
        whole, end, rest = (rest + block).rpartition(b"\n")
        if end:
            yield whole
        if len(rest) > MAX_LINE:
            yield rest
            rest, is_skipping = b"", True
        block = stream.read(CHUNK) or b""
    if rest:
        yield rest


def _answered(chunk: bytes) -> bytes:
    return b"".join([_encode(answer(line)) + b"\n" for line in chunk.split(b"\n") if line.strip()])


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
        value, error = _cesql(text)(decode(document))
    except ConfigError:
        return {"value": None, "error": "parse"}
    except InvalidEvent as problem:
        return {"value": None, "error": f"event: {problem}"}
    return {"value": value, "error": error}


def _remembered(compiler: Callable[[Text], Compiled]) -> Callable[[Text], Compiled]:
    """Keep what was compiled last, unless it is long."""
    keep = lru_cache(REMEMBERED)(compiler)
    return lambda text: keep(text) if len(text) <= LONGEST_REMEMBERED else compiler(text)


@_remembered
def _pattern(text: bytes) -> Callable[[object], bool]:
    return document_pattern(parse_pattern(text), "pattern")


@_remembered
def _filter(text: bytes) -> Callable[[Event], bool]:
    try:
        spec = msgspec.json.decode(text)
    except MALFORMED as problem:
        raise ConfigError(f"filter: not JSON: {why(problem)}") from None
    return compile_filter(spec, any_name=True).matches


@_remembered
def _cesql(text: str) -> Callable[[Event], tuple[object, str | None]]:
    return evaluator(text)


@_remembered
def _cel(text: str) -> Callable[[Event], bool]:
    return compile_cel(text).matches
