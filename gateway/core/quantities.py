"""Durations and sizes as people write them: `3d`, `1h 30m`, `200ms`; `50GiB`, `1MiB`.

In code they are float seconds and int bytes. Use them as types of settings:

    timeout: Duration = 10.0
    part: Size = 1024 * 1024

A number without a unit is taken from code only: in a file (validation context
`written`) it is refused, because `keep: 3` does not say three of what.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_BYTES = {
    "TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10,
    "TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3, "B": 1,
}  # fmt: skip
_DURATION_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,9})?(ms|s|m|h|d)( *[0-9]{1,12}(\.[0-9]{1,9})?(ms|s|m|h|d))*$"
_SIZE_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,9})? *(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$"
_PART = re.compile(r"([0-9.]+)(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9.]+) *([A-Za-z]+)")


def seconds(text: str) -> float:
    """Read a duration: numbers with units d, h, m, s or ms, the sum of several.

    :raises ValueError: it is not one; the message does not repeat the text.
    """
    if not re.match(_DURATION_PATTERN, text):
        raise ValueError("not a duration, expected numbers with units such as 3d, 1h 30m, 10s or 200ms")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def size(text: str) -> int:
    """Read a size in bytes: a number and B, kB, MB, GB, TB (thousands) or KiB, MiB, GiB, TiB (1024s).

    :raises ValueError: it is not one; the message does not repeat the text.
    """
    if not re.match(_SIZE_PATTERN, text):
        raise ValueError("not a size, expected a number with a unit such as 50GiB, 1MiB or 512B")
    number, unit = _SIZE.findall(text)[0]
    return round(float(number) * _BYTES[unit])


def duration_text(value: float) -> str:
    """Write seconds as a duration that `seconds` reads back to the millisecond."""
    left = round(value * 1000)
    parts = []
    for unit, length in _SECONDS.items():
        count, left = divmod(left, round(length * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def size_text(value: int) -> str:
    """Write bytes as a size that `size` reads back exactly."""
    unit = next((unit for unit in ("TiB", "GiB", "MiB", "KiB") if value and value % _BYTES[unit] == 0), "B")
    return f"{value // _BYTES[unit]}{unit}"


def _read_duration(value: object, info: ValidationInfo) -> float:
    if isinstance(value, str):
        try:
            return seconds(value)
        except ValueError as problem:
            raise PydanticCustomError("duration", "{reason}", {"reason": str(problem)}) from None
    if isinstance(value, bool) or not isinstance(value, int | float) or _is_written(info):
        raise PydanticCustomError("duration", "expected a duration with its unit, such as 3d, 10s or 200ms")
    return float(value)


def _read_size(value: object, info: ValidationInfo) -> int:
    if isinstance(value, str):
        try:
            return size(value)
        except ValueError as problem:
            raise PydanticCustomError("size", "{reason}", {"reason": str(problem)}) from None
    if isinstance(value, bool) or not isinstance(value, int) or _is_written(info):
        raise PydanticCustomError("size", "expected a size with its unit, such as 50GiB, 1MiB or 512B")
    return value


def _is_written(info: ValidationInfo) -> bool:
    """Whether the value was written by a person, who must say the unit; code passes plain numbers."""
    return isinstance(info.context, dict) and bool(info.context.get("written"))


Duration = Annotated[
    float,
    BeforeValidator(_read_duration),
    PlainSerializer(duration_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _DURATION_PATTERN, "examples": ["3d", "10s", "200ms"]}),
]
"""Float seconds; written with units."""

Size = Annotated[
    int,
    BeforeValidator(_read_size),
    PlainSerializer(size_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _SIZE_PATTERN, "examples": ["50GiB", "1MiB"]}),
]
"""Int bytes; written with a unit."""
