"""Data as bytes ⇄ the members `data` and `data_base64` of the JSON format."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

import msgspec
from msgspec import Raw

from gateway.codec.media import UTF_8, charset_of, is_json
from gateway.core.errors import InvalidEvent

JSON = "application/json"
MALFORMED = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""All that reading hostile JSON can raise."""

_text = msgspec.json.Decoder(str | None).decode
_any = msgspec.json.Decoder(Raw).decode


def why(problem: Exception) -> str:
    """What was wrong with a document, without its content."""
    return "nested too deeply" if isinstance(problem, RecursionError) else str(problem)


def of_data(data: Raw, content_type: object) -> bytes | None:
    """The bytes that the member `data` stands for; null is a value in JSON, and no data in anything else.

    :raises InvalidEvent: the content type wants a string, or a charset that we do not know.
    """
    if not isinstance(content_type, str):
        raise InvalidEvent(f"datacontenttype: expected a string, got {type(content_type).__name__}")
    if is_json(content_type):
        return bytes(data)
    try:
        text = _text(data)
    except msgspec.ValidationError:
        raise InvalidEvent(f"data: must be a string, as datacontenttype is {content_type!a:.80}") from None
    except MALFORMED as problem:
        raise InvalidEvent(f"data: {why(problem)}") from None
    return None if text is None else of_text(text, content_type)


def of_text(text: str, content_type: str | None) -> bytes:
    """The bytes of a payload that came as text: in the charset that its content type declares, or else UTF-8.

    :raises InvalidEvent: a charset that we do not know, or that has no such character.
    """
    charset = UTF_8 if content_type is None or is_json(content_type) else charset_of(content_type)
    if charset is None:
        raise InvalidEvent("data: the charset of datacontenttype is not known here; send it as binary data")
    try:
        return text.encode(charset)
    except UnicodeEncodeError:
        raise InvalidEvent("data: has a character that the charset of datacontenttype does not know") from None


def of_base64(text: str) -> bytes:
    """The bytes that the member `data_base64` stands for.

    :raises InvalidEvent: not base64.
    """
    try:
        return a2b_base64(text, strict_mode=True)
    except ValueError:
        raise InvalidEvent("data_base64: expected a string in base64 (RFC 4648)") from None


def put(document: dict[str, object], data: bytes, content_type: str | None) -> None:
    """Add the data by the member that gives the same bytes back."""
    if content_type is not None:
        if is_json(content_type):
            if (raw := _json_value(data)) is not None:
                document["data"] = raw
                return
        elif charset_of(content_type) == UTF_8 and (text := as_text(data)) is not None:
            document["data"] = text
            return
    document["data_base64"] = b2a_base64(data, newline=False).decode("ascii")


def as_text(data: bytes) -> str | None:
    """The data as text, if it is UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _json_value(data: bytes) -> Raw | None:
    """The data as it stands, if it is one JSON value in UTF-8 with nothing around it."""
    try:
        raw = _any(data)
    except MALFORMED:
        return None
    # the decoder takes off whitespace around the value, and does not look at the bytes inside strings
    return raw if len(bytes(raw)) == len(data) and (data.isascii() or as_text(data) is not None) else None
