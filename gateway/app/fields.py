"""The kinds of values a config is made of: names, addresses, moments, counts."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gateway.api.address import parse_address

_LABEL = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_ATTRIBUTE = r"^[a-z0-9]{1,64}$"
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


class Section(BaseModel):
    """A part of the config. A key written without a value counts as not written."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_by_name=True,
        validate_by_alias=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, value: object) -> object:
        if isinstance(value, dict):
            return {key: inner for key, inner in value.items() if inner is not None}
        return value


def host_and_port(address: str) -> tuple[str, int]:
    """Split an address; the host of `[::1]:80` is `::1`.

    :raises ValueError: it is not `host:port`.
    """
    if _ADDRESS.fullmatch(address):
        with suppress(ValueError):
            return parse_address(address)
    raise ValueError("not an address, expected host:port such as 127.0.0.1:8080 or [::1]:8080")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def label(value: str) -> str:
    """The name itself, if it is a DNS label.

    :raises ValueError: it is not one; the message says what was expected.
    """
    if not re.fullmatch(_LABEL.strip("^$"), value):
        raise ValueError(
            "not a name, expected a DNS label: 1 to 63 of a-z, 0-9 and -, which begins and ends with a-z or 0-9"
        )
    return value


def _attribute(value: str) -> str:
    if not re.fullmatch(_ATTRIBUTE.strip("^$"), value):
        raise PydanticCustomError(
            "attribute", "not an attribute, expected the name of one such as subject: a-z and 0-9"
        )
    return value


def _address(value: str) -> str:
    try:
        host_and_port(value)
    except ValueError as problem:
        raise PydanticCustomError("address", "{reason}", {"reason": str(problem)}) from None
    return value


def _count(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("count", "expected a whole number")
    return value


def _start(value: object) -> object:
    if not isinstance(value, str) or value in ("latest", "earliest"):
        return value
    try:
        return moment(value)
    except ValueError as problem:
        raise PydanticCustomError("start", "expected latest, earliest or {reason}", {"reason": str(problem)}) from None


def moment(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 time.

    :raises ValueError: it is not one; the message says what was expected.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or len(text) < len("2026-01-01T00:00Z"):
        raise ValueError("an RFC 3339 time with its zone such as 2026-11-23T05:00:00Z")
    return found.timestamp()


Name = Annotated[str, AfterValidator(label), WithJsonSchema({"type": "string", "pattern": _LABEL})]
"""A DNS label."""

Attribute = Annotated[str, AfterValidator(_attribute), WithJsonSchema({"type": "string", "pattern": _ATTRIBUTE})]
"""The name of a context attribute."""

Address = Annotated[
    str,
    AfterValidator(_address),
    WithJsonSchema({"type": "string", "pattern": r"^.+:[0-9]{1,5}$", "examples": ["127.0.0.1:8080"]}),
]
"""`host:port`; see `host_and_port`."""

WHOLE = BeforeValidator(_count)
Count = Annotated[int, WHOLE]
"""A whole number; `true` is not 1."""

Start = Annotated[
    Literal["latest", "earliest"] | float,
    BeforeValidator(_start),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "examples": ["latest", "earliest", "2026-11-23T05:00:00Z"]}),
]
"""`latest`, `earliest`, or seconds since 1970 (written as an RFC 3339 time)."""
