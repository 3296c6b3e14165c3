"""Documents: events in files as people have them: JSON lines, batches, or one document over many lines."""

from __future__ import annotations

import json
import re
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import msgspec
from msgspec import Raw

from gateway.codec.json import decode
from gateway.codec.payload import MALFORMED, why
from gateway.core.errors import ConfigError, InvalidEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.core.event import Event

MAX_BYTES = 256 * 1024 * 1024
"""Bytes of a line, and of a file that is not JSON lines and so is read as a whole."""
MARK = b"\xef\xbb\xbf"
"""The byte order mark, with which some programs begin a file; it is no part of the text."""

_raw = msgspec.json.Decoder(Raw).decode
_items = msgspec.json.Decoder(list[Raw]).decode
_blank = re.compile(r"[ \t\r\n]*").match


class Document(NamedTuple):
    """One JSON value, and where it stood."""

    place: str
    """`FILE:LINE`, and its index if it stood in an array."""
    raw: bytes

    def event(self) -> Event:
        """The CloudEvent it is.

        :raises InvalidEvent: it is none; the message names the field.
        """
        return decode(self.raw)


def read(files: list[str]) -> Iterator[Document]:
    """The documents of these files, `-` or none for standard input; JSON lines one by one as they come.

    An array counts as the documents in it.

    :raises ConfigError: a file cannot be read, or holds no JSON; with file and line.
    """
    for file in files or ["-"]:
        try:
            if file == "-":
                yield from _documents(sys.stdin.buffer, "-")
            else:
                with Path(file).open("rb") as opened:
                    yield from _documents(opened, file)
        except OSError as problem:
            raise ConfigError(f"{file}: cannot be read: {problem.strerror}") from None


def one_event(file: str) -> Event:
    """The only event of a file.

    :raises ConfigError: there is none, there are several, or it is not a CloudEvent; with file and line.
    """
    found = list(islice(read([file]), 2))
    if len(found) != 1:
        raise ConfigError(f"{file}: {'several documents' if found else 'no document'}, expected one event")
    try:
        return found[0].event()
    except InvalidEvent as problem:
        raise ConfigError(f"{found[0].place}: not a CloudEvent: {problem}") from None


def one_line(raw: bytes) -> bytes:
    """The same JSON without line breaks; every number and string as it stood."""
    return msgspec.json.format(raw, indent=-1) if b"\n" in raw or b"\r" in raw else raw


def _documents(stream: BinaryIO, file: str) -> Iterator[Document]:
    is_begun = False
    for number, line in enumerate(iter(lambda: stream.readline(MAX_BYTES + 1), b""), 1):
        if len(line) > MAX_BYTES:
            raise ConfigError(f"{file}:{number}: longer than {MAX_BYTES} bytes")
        text = (line.removeprefix(MARK) if number == 1 else line).strip()
        if not text:
            continue
        try:
            found = list(_values(_raw(text), f"{file}:{number}"))
        except MALFORMED as problem:
            if is_begun:
                raise ConfigError(f"{file}:{number}: not JSON: {why(problem)}") from None
            yield from _whole(text + b"\n", stream, file, number)
            return
        is_begun = True
        yield from found


def _whole(begun: bytes, stream: BinaryIO, file: str, number: int) -> Iterator[Document]:
    """Documents that go over many lines, one after the other."""
    rest = begun + stream.read(MAX_BYTES)
    if stream.read(1):
        raise ConfigError(f"{file}: not JSON lines, and larger than {MAX_BYTES} bytes, which is read as a whole")
    try:
        text = rest.decode()
    except UnicodeDecodeError as problem:
        line = number + rest.count(b"\n", 0, problem.start)
        raise ConfigError(f"{file}:{line}: not JSON: not UTF-8") from None
    decoder, end, line = json.JSONDecoder(), 0, number
    while (begin := _after_blanks(text, end)) < len(text):
        line += text.count("\n", end, begin)
        try:
            _, end = decoder.raw_decode(text, begin)
            raw = _raw(text[begin:end].encode())
        except json.JSONDecodeError as problem:
            raise ConfigError(f"{file}:{number + problem.lineno - 1}: not JSON: {problem.msg}") from None
        except (*MALFORMED, ValueError) as problem:
            raise ConfigError(f"{file}:{line}: not JSON: {why(problem)}") from None
        yield from _values(raw, f"{file}:{line}")
        line += text.count("\n", begin, end)


def _after_blanks(text: str, at: int) -> int:
    blanks = _blank(text, at)
    return blanks.end() if blanks else at


def _values(raw: Raw, place: str) -> Iterator[Document]:
    data = bytes(raw)
    if data[:1] != b"[":
        yield Document(place, data)
        return
    for index, item in enumerate(_items(data)):
        yield Document(f"{place}[{index}]", bytes(item))
