"""HTTP/1.1 requests out of bytes, without I/O (RFC 9112), as strict as a front door should be.

Feed what came, then ask for the `next` request until it is None. Whatever two
parsers could read in two ways is refused: bare LF, folded lines, a second
Content-Length, Content-Length beside Transfer-Encoding, blanks before a colon.
Memory is bounded by the limits: the head is counted while it comes, a body is
refused by its Content-Length before the first byte of it, a chunked one as soon
as it has grown too large.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from gateway.api.limits import Limits

_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_line = re.compile(rf"({_NAME}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])\r\n")
_field = re.compile(rf"^({_NAME}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)\r\n", re.MULTILINE)
_chunk = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_absolute = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
_LONGEST_CHUNK_LINE = 256
_LONGEST_LENGTH = 15
_PART = 128 * 1024
_CRLF = b"\r\n"
_ONCE = frozenset({"host", "content-length", "transfer-encoding", "content-type", "content-encoding", "expect"})
_IDLE, _HEAD, _BODY = "idle", "head", "body"
_SHORT = 512
"""Bytes of a head up to which it is remembered …"""
_REMEMBERED = 512
"""… among so many."""


class BadRequest(Exception):
    """Not a request we can read. The connection cannot be used afterwards."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(slots=True)
class Request:
    """One request with its whole body."""

    method: str
    path: str
    """Without the query, not decoded."""
    query: str
    headers: list[tuple[str, str]]
    """In order; names in lower case, values as UTF-8, other bytes as lone surrogates."""
    fields: dict[str, str]
    """The same; of a repeated name the last."""
    keep: bool
    """Whether the connection may go on after the answer."""
    body: bytes = b""


class _Head(NamedTuple):
    """What a head says; the same of the same bytes."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    fields: dict[str, str]
    keep: bool
    length: int
    """Bytes of the body, unless it comes in chunks."""
    is_chunked: bool
    is_asking: bool
    """The client waits for `100 Continue`."""


_heads: dict[bytes, _Head] = {}
"""Heads seen lately: who sends whole documents sends a few of them over and over. Bounded: a hostile one costs time."""


class _Body:
    """Bytes that grow in parts: one buffer would be copied while it grows, and cost twice its size."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytearray] = []
        self._size = 0

    def __iadd__(self, data: memoryview) -> Self:
        if not self._parts or len(self._parts[-1]) >= _PART:
            self._parts.append(bytearray())
        self._parts[-1] += data
        self._size += len(data)
        return self

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self._parts)


class Requests:
    """The requests of one connection."""

    def __init__(self, limits: Limits) -> None:
        self.stage = _IDLE
        """`idle` between requests, `head` or `body` in the middle of one."""
        self.wants_continue = False
        """The client waits for `100 Continue` before it sends the body; clear it when told."""
        self._limits = limits
        self._pending = b""
        self._at = 0
        self._request: Request | None = None
        self._body = _Body()
        self._left = 0
        self._chunked = False
        self._between = False
        self._trailers = False

    @property
    def held(self) -> int:
        """Bytes received and not yet given out."""
        return len(self._pending) - self._at + len(self._body)

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        self._pending = self._pending[self._at :] + data if len(self._pending) > self._at else data
        self._at = 0

    def next(self) -> Request | None:
        """The next complete request; None while more bytes are needed.

        :raises BadRequest: the answer is its status, then the connection is closed.
        """
        if self._request is None:
            self._request = self._read_head()
        request = self._request
        if request is None or not (self._read_chunks(request) if self._chunked else self._read_body(request)):
            return None
        self._request = None
        self._chunked = self.wants_continue = False
        self.stage = _IDLE
        return request

    def _read_head(self) -> Request | None:
        pending = self._pending
        while pending.startswith(b"\r\n", self._at):  # RFC 9112 2.2: empty lines before a request line
            self._at += 2
        end = pending.find(b"\r\n\r\n", self._at)
        if (len(pending) if end < 0 else end) - self._at > self._limits.head:
            raise BadRequest(431, f"the head of the request is larger than {self._limits.head} bytes")
        if end < 0:
            self.stage = _HEAD if len(pending) > self._at else _IDLE
            return None
        raw = pending[self._at : end + 2]
        self._at = end + 4
        head = _heads.get(raw) or _remembered(raw)
        method, path, query, headers, fields, keep, length, self._chunked, is_asking = head
        if len(headers) > self._limits.fields:
            raise BadRequest(431, f"more than {self._limits.fields} header fields")
        if length > self._limits.request:
            raise self._too_large(f"{length} bytes")
        self._left = length
        if is_asking:
            self.wants_continue = self._chunked or length > 0
        if self._chunked:
            self._between = self._trailers = False
        self.stage = _BODY
        return Request(method, path, query, headers, fields, keep)

    def _too_large(self, size: str) -> BadRequest:
        return BadRequest(413, f"the body has {size}, allowed are {self._limits.request}")

    def _read_body(self, request: Request) -> bool:
        there = len(self._pending) - self._at
        if not self._body and there >= self._left:  # nearly always: the body came with its head
            request.body = self._pending[self._at : self._at + self._left]
            self._at += self._left
            return True
        taken = min(there, self._left - len(self._body))
        self._body += memoryview(self._pending)[self._at : self._at + taken]
        self._at += taken
        if len(self._body) < self._left:
            return False
        request.body = bytes(self._body)
        self._body = _Body()
        return True

    def _read_chunks(self, request: Request) -> bool:
        """Take the chunks that are there; True when the last one and the trailers are (RFC 9112 7.1)."""
        while not self._trailers:
            if self._left:
                taken = min(self._left, len(self._pending) - self._at)
                self._body += memoryview(self._pending)[self._at : self._at + taken]
                self._at += taken
                self._left -= taken
                if self._left:
                    return False
            if not self._read_chunk_line():
                return False
        if not self._skip_trailers():
            return False
        request.body = bytes(self._body)
        self._body = _Body()
        return True

    def _read_chunk_line(self) -> bool:
        at = self._at
        if self._between:
            if len(self._pending) - at < len(_CRLF):
                return False
            if not self._pending.startswith(_CRLF, at):
                raise BadRequest(400, "a chunk does not end where it said")
            at += len(_CRLF)
        line = _chunk.match(self._pending, at, at + _LONGEST_CHUNK_LINE)
        if line is None:
            if len(self._pending) - at >= _LONGEST_CHUNK_LINE or b"\n" in self._pending[at:]:
                raise BadRequest(400, "a chunk does not begin with its size")
            return False
        self._at = line.end()
        self._left = int(line[1], 16)
        self._between = self._left > 0
        self._trailers = self._left == 0
        if len(self._body) + self._left > self._limits.request:
            raise self._too_large("more bytes")
        return True

    def _skip_trailers(self) -> bool:
        if self._pending.startswith(b"\r\n", self._at):
            self._at += 2
            return True
        end = self._pending.find(b"\r\n\r\n", self._at)
        if (len(self._pending) if end < 0 else end) - self._at > self._limits.head:
            raise BadRequest(431, f"the trailers are larger than {self._limits.head} bytes")
        if end < 0:
            return False
        self._at = end + 4
        return True


def _remembered(raw: bytes) -> _Head:
    head = _parse(raw.decode("utf-8", "surrogateescape"))
    if len(raw) <= _SHORT and "ce-id" not in head.fields:  # with an id it never comes again
        if len(_heads) >= _REMEMBERED:
            _heads.clear()
        _heads[raw] = head
    return head


def _parse(head: str) -> _Head:
    line = _line.match(head)
    if line is None:
        raise BadRequest(400, "the request line is not METHOD TARGET HTTP/1.1")
    method, target, major, minor = line.groups()
    if major != "1":
        raise BadRequest(505, f"HTTP/{major}.{minor} is not spoken here, HTTP/1.1 is")
    found = _field.findall(head, line.end())
    if len(found) != head.count("\n") - 1:
        raise BadRequest(400, "a header field is not NAME: VALUE on one line that ends with CR LF")
    headers = [(name.lower(), value.rstrip(" \t")) for name, value in found]
    fields = dict(headers)
    if len(fields) != len(headers):
        _refuse_repeated(headers)
    modern = minor != "0"
    if modern and "host" not in fields:
        raise BadRequest(400, "the header field Host is missing")
    path, _, query = _origin(method, target).partition("?")
    keep = modern and "close" not in fields.get("connection", "").lower()
    length, is_chunked = _framing(fields, modern=modern)
    is_asking = False
    if (expect := fields.get("expect")) is not None:
        if expect.lower() != "100-continue":
            raise BadRequest(417, f"the expectation {expect!r} cannot be met")
        is_asking = modern
    return _Head(method, path, query, headers, fields, keep, length, is_chunked, is_asking)


def _framing(fields: dict[str, str], *, modern: bool) -> tuple[int, bool]:
    """How the body will come: its length, and whether in chunks instead (RFC 9112 6.3)."""
    length, coding = fields.get("content-length"), fields.get("transfer-encoding")
    if coding is not None:
        if length is not None or not modern:
            raise BadRequest(400, "Transfer-Encoding beside Content-Length, or in HTTP/1.0")
        if coding.lower() != "chunked":
            raise BadRequest(501, f"Transfer-Encoding {coding!r} is not supported, chunked is")
        return 0, True
    if length is None:
        return 0, False
    if not (length.isascii() and length.isdigit() and len(length) <= _LONGEST_LENGTH):
        raise BadRequest(400, "Content-Length is not a number")
    return int(length), False


def _refuse_repeated(headers: list[tuple[str, str]]) -> None:
    names = [name for name, _ in headers]
    for name in _ONCE:
        if names.count(name) > 1:
            raise BadRequest(400, f"the header field {name} is there more than once")


def _origin(method: str, target: str) -> str:
    """The path and query of a request target; of an absolute one what follows its authority."""
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return target
    absolute = _absolute.match(target)
    if absolute is None:
        raise BadRequest(400, "the request target is neither a path nor an http URL")
    return target[absolute.end() :] or "/"
