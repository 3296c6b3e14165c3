"""The JSON text of patterns and of the documents they are asked about, with nothing lost that a pattern can see.

Two things that an ordinary parser drops decide here: an object may name a
member twice, and then both count; and a number may have more digits than a
double holds, and then it is no quantity but a row of digits, equal only to the
same digits.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import TYPE_CHECKING, Final, NoReturn

from gateway.core.errors import ConfigError, InvalidEvent

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_INTEGER: Final = 2**53
"""Up to here, and down to its negative, every integer is a double."""
_MAX_DIGITS = 400
"""Longer integers are beyond every double (and some beyond what int() takes)."""
_PLAIN_LENGTH = 16
"""A number written so short has at most 15 digits, and a double gives them back."""


class Digits:
    """A number that no double holds, as it was written; equal to nothing but the same text."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digits) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return self.text


class Twice(dict[str, object]):
    """An object in which a member stands twice: a mapping to the last of each, and all of them in `pairs`."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def members(value: dict[str, object]) -> Iterable[tuple[str, object]]:
    """The members of an object, also those that stand twice."""
    return value.pairs if isinstance(value, Twice) else value.items()


def is_exact(number: float) -> bool:
    """Whether the number, in the digits that Python writes, is the double nearest to it."""
    if -MAX_INTEGER <= number <= MAX_INTEGER:
        return True
    if isinstance(number, float):
        return isfinite(number)
    try:
        return int(Decimal(repr(float(number)))) == number
    except OverflowError:
        return False


def parse_pattern(text: str | bytes) -> object:
    """The pattern that stands in a JSON text, for `compile_pattern` and `document_pattern`.

    :raises ConfigError: it is not JSON, with the line and the column.
    """
    try:
        return _parse(text)
    except (ValueError, RecursionError) as problem:
        raise ConfigError(f"not a JSON text: {_why(problem)}") from None


def parse_document(text: str | bytes) -> object:
    """The JSON document that stands in a text.

    :raises InvalidEvent: it is not JSON.
    """
    try:
        return _parse(text)
    except (ValueError, RecursionError) as problem:
        raise InvalidEvent(f"not a JSON text: {_why(problem)}") from None


def _parse(text: str | bytes) -> object:
    return _decode(str(text, "utf-8") if isinstance(text, bytes) else text)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else Twice(pairs)


def _integer(text: str) -> int | Digits:
    return int(text) if len(text) <= _MAX_DIGITS else Digits(text)


def _fraction(text: str) -> float | Digits:
    number = float(text)
    if len(text) <= _PLAIN_LENGTH and 1e-200 < abs(number) < 1e200:  # noqa: PLR2004  # far from where digits get lost
        return number
    try:
        return number if isfinite(number) and Decimal(repr(number)) == Decimal(text) else Digits(text)
    except InvalidOperation:  # an exponent beyond what Decimal takes
        return Digits(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _why(problem: Exception) -> str:
    if isinstance(problem, json.JSONDecodeError):
        return f"{problem.msg}, line {problem.lineno} column {problem.colno}"
    return "nested too deep" if isinstance(problem, RecursionError) else str(problem)


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_refuse
).decode
