"""Answers of the HTTP door: bytes out of a status, headers and a body; problems as RFC 9457 documents."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

import msgspec

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request gets."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    keep: bool = True
    """False: the connection is closed after it."""


ACCEPTED = Answer(202)


def problem(
    status: int, detail: str, *, headers: tuple[tuple[str, str], ...] = (), keep: bool = True, **members: object
) -> Answer:
    """An application/problem+json document (RFC 9457); `members` are its extension members."""
    text = detail.encode("utf-8", "replace").decode()  # it may quote what is not UTF-8
    document = {"type": "about:blank", "title": _PHRASES[status], "status": status, "detail": text, **members}
    return Answer(status, _encode(document), "application/problem+json", headers, keep)


FAILED = problem(500, "an error inside the gateway; it is in its log", keep=False)
"""What a request gets that met a bug of ours."""


def render(answer: Answer, *, keep: bool, date: str, with_body: bool = True) -> bytes:
    """The answer on the wire. `date` is an HTTP date; `with_body` is False for HEAD."""
    lines = [f"HTTP/1.1 {answer.status} {_PHRASES[answer.status]}", f"Date: {date}"]
    if answer.body:
        lines.append(f"Content-Type: {answer.content_type}")
    lines.append(f"Content-Length: {len(answer.body)}")
    lines += [f"{name}: {value}" for name, value in answer.headers]
    if not keep:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + (answer.body if with_body else b"")
