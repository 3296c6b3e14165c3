"""Event ⇄ HTTP message: the CloudEvents HTTP binding 1.0, in its three modes.

    binary      ce-* headers, Content-Type = datacontenttype, body = data
    structured  Content-Type: application/cloudevents+json, body = the event
    batch       Content-Type: application/cloudevents-batch+json, body = an array

Structured and batch are read in the protobuf format as well. An empty body in
binary mode is no data: the binding cannot tell the two apart.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from gateway.codec import json, protobuf
from gateway.codec.media import UTF_8, charset_of, essence
from gateway.codec.validate import validate
from gateway.core.errors import InvalidEvent, UnsupportedFormat
from gateway.core.event import Event, canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gateway.core.event import ExtensionValue

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_FAMILY = "application/cloudevents"

_quoted = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL).sub
_escape = re.compile(r"\\(.)", re.DOTALL).sub
_stray = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_encoded = re.compile(r"""[^!#$&'()*+,\-./0-9:;<=>?@A-Z\[\\\]^_`a-z{|}~]""").sub

_formats: dict[str, Callable[[bytes], list[Event]]] = {
    STRUCTURED: lambda body: [json.decode(body)],
    BATCH: json.decode_batch,
    "application/cloudevents+protobuf": lambda body: [protobuf.decode(body)],
    "application/cloudevents-batch+protobuf": protobuf.decode_batch,
}


def decode(headers: Iterable[tuple[str, str]], body: bytes) -> list[Event]:
    """Read the events of a request or response and validate them: one, or those of a batch.

    :raises UnsupportedFormat: an event format, or a charset of one, that we do not read (415).
    :raises InvalidEvent: not an event; the message names the header or member.
    """
    attributes: dict[str, str] = {}
    content_type: str | None = None
    for header, value in headers:
        name = header.lower()
        if name.startswith("ce-"):
            if name in attributes:
                raise InvalidEvent(f"{name!a:.80}: the header stands twice")
            attributes[name] = value
        elif name == "content-type":
            if content_type is not None:
                raise InvalidEvent("content-type: the header stands twice")
            content_type = value.strip(" \t") or None
    if content_type is not None and (read := format_of(content_type)) is not None:
        return read(body)
    event = _binary(attributes, content_type, body)
    validate(event)
    return [event]


def format_of(content_type: str) -> Callable[[bytes], list[Event]] | None:
    """How a body of this content type is read and validated; None: in binary mode, where the headers matter.

    :raises UnsupportedFormat: see `decode`.
    """
    return _format(content_type) if content_type[: len(_FAMILY)].lower() == _FAMILY else None


def encode_binary(event: Event) -> tuple[dict[str, str], bytes]:
    """Headers and body in binary mode. No content-type header: the event has no datacontenttype; send none."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": to_header(event.id),
        "ce-source": to_header(event.source),
        "ce-type": to_header(event.type),
    }
    if event.subject is not None:
        headers["ce-subject"] = to_header(event.subject)
    if event.time is not None:
        headers["ce-time"] = event.time
    if event.dataschema is not None:
        headers["ce-dataschema"] = to_header(event.dataschema)
    for name, value in event.extensions.items():
        headers[f"ce-{name}"] = to_header(canonical(value))
    if event.datacontenttype is not None:
        headers["content-type"] = event.datacontenttype
    return headers, event.data or b""


def encode_structured(event: Event) -> tuple[dict[str, str], bytes]:
    """Headers and body in structured mode, JSON format."""
    return {"content-type": STRUCTURED}, json.encode(event)


def encode_batch(events: Sequence[Event]) -> tuple[dict[str, str], bytes]:
    """Headers and body in batch mode, JSON format. Only for receivers that asked for batches (3)."""
    return {"content-type": BATCH}, json.encode_batch(events)


def to_header(text: str) -> str:
    """Percent-encode space, quote, percent and all that is not printable ASCII (3.1.3.2)."""
    return _encoded(_percent, text)


def from_header(value: str) -> str:
    """Take off quotes, then percent-decode once, as 3.1.3.2 says.

    :raises ValueError: a stray percent sign or quote, or not UTF-8 (overlong forms are not).
    """
    if '"' in value:
        if '"' in _quoted("", value):
            raise ValueError("a quote without its other half")
        value = _quoted(lambda quoted: _escape(r"\1", quoted.group(1)), value)
    if "%" in value:
        if _stray(value):
            raise ValueError("a percent sign that encodes nothing; write it as %25")
        return unquote_to_bytes(value).decode()
    return value


def _percent(found: re.Match[str]) -> str:
    return "".join([f"%{byte:02X}" for byte in found.group().encode()])


@lru_cache(64)
def _format(content_type: str) -> Callable[[bytes], list[Event]]:
    read = _formats.get(essence(content_type))
    if read is None:
        raise UnsupportedFormat(
            f"{essence(content_type)!a:.80}: the event formats known here are {', '.join(_formats)}"
        )
    if charset_of(content_type) != UTF_8:
        raise UnsupportedFormat(f"{content_type!a:.120}: only UTF-8 is read")
    return read


def _binary(headers: dict[str, str], content_type: str | None, body: bytes) -> Event:
    """The event of a message in binary mode, unvalidated."""
    if "ce-datacontenttype" in headers:
        raise InvalidEvent("ce-datacontenttype: must not be sent; the content type stands in Content-Type (3.1.1)")
    attributes: dict[str, str] = {}
    for name, value in headers.items():
        try:
            attributes[name[3:]] = from_header(value) if '"' in value or "%" in value else value
        except ValueError as problem:
            reason = "not UTF-8" if isinstance(problem, UnicodeError) else str(problem)
            raise InvalidEvent(f"{name!a:.80}: {reason}") from None
    take = attributes.pop
    if (version := take("specversion", None)) != "1.0":
        if version is None and not headers:
            raise InvalidEvent(
                f"not a CloudEvent: no ce- headers, and Content-Type is {content_type!a:.80}; "
                f"send ce-id, ce-source, ce-type and ce-specversion, or {STRUCTURED}"
            )
        found = "the header is missing" if version is None else f"{version!a:.40} is not known"
        raise InvalidEvent(f'ce-specversion: {found}; expected "1.0"')
    event_id, source, kind = take("id", None), take("source", None), take("type", None)
    if event_id is None or source is None or kind is None:
        missing = next(name for name in ("id", "source", "type") if f"ce-{name}" not in headers)
        raise InvalidEvent(f"ce-{missing}: the header is missing")
    subject, time, schema = take("subject", None), take("time", None), take("dataschema", None)
    extensions: dict[str, ExtensionValue] = {**attributes}
    return Event(event_id, source, kind, subject, time, content_type, schema, body or None, extensions)
