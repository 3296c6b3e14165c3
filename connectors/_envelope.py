"""Envelopes: what a bus cannot hold as it is goes as base64; what arrives without one is wrapped once."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import msgspec

from gateway.codec import json
from gateway.codec.validate import disallowed

if TYPE_CHECKING:
    from collections.abc import Container

    from gateway.core.event import Event

_NO_NAME = re.compile(r"[^a-z0-9]+")


def with_base64(event: Event) -> bytes:
    """The event as structured JSON with its data as `data_base64`: ASCII on one line, whatever the data is."""
    document = json.encode(event.but(data=None))
    return document[:-1] + b',"data_base64":"' + base64.b64encode(event.data or b"") + b'"}'


def media_type(data: bytes) -> str:
    """What the bytes are: JSON, other text, or unknown."""
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    else:
        return "application/json"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/plain"


def extension_name(native: str, prefix: str, taken: Container[str]) -> str:
    """A name for a native attribute: [a-z0-9] only, and none of those taken."""
    wanted = prefix + _NO_NAME.sub("", native.lower())
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}{number}", number + 1
    return name


def is_plain(text: str) -> bool:
    """Whether a CloudEvents String may hold this (CloudEvents 1.0, Type System)."""
    return disallowed(text) is None
