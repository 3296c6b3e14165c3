"""The functions of CESQL 1.0 (3.5.1, 3.5.2, and the casts that its conformance suite calls).

Arguments come cast to the types of the parameters. Characters are Unicode code
points, and the first is number 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from gateway.codec.validate import CORE
from gateway.rules import cesql_tree as tree
from gateway.rules.cesql_values import FUNCTION, LARGEST, MATH, MAX_STRING, SPACE, boolean_of, integer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.rules.cesql_tree import Node, Value
    from gateway.rules.cesql_values import Fail

Kind: TypeAlias = type[str] | type[int] | type[bool] | type[object]
"""The type of a value where it is known before there is one; object: it is not."""


class Signature(NamedTuple):
    """How a function is called."""

    code: str
    """The Python function; it gets `fail` first."""
    parameters: tuple[Kind, ...]
    result: Kind
    rest: Kind | None = None
    """The type of any number of further arguments; None: there are none."""
    fails: bool = True
    """Whether it can fail by itself."""


FUNCTIONS: Mapping[str, tuple[Signature, ...]] = {
    "INT": (Signature("integer", (object,), int),),
    "BOOL": (Signature("boolean", (object,), bool),),
    "STRING": (Signature("string", (str,), str, fails=False),),
    "IS_INT": (Signature("is_integer", (object,), bool, fails=False),),
    "IS_BOOL": (Signature("is_boolean", (object,), bool, fails=False),),
    "ABS": (Signature("absolute", (int,), int),),
    "LENGTH": (Signature("length", (str,), int, fails=False),),
    "CONCAT": (Signature("concatenated", (), str, str),),
    "CONCAT_WS": (Signature("joined", (str,), str, str),),
    "LOWER": (Signature("lower", (str,), str),),
    "UPPER": (Signature("upper", (str,), str),),
    "TRIM": (Signature("trimmed", (str,), str, fails=False),),
    "LEFT": (Signature("left", (str, int), str),),
    "RIGHT": (Signature("right", (str, int), str),),
    "SUBSTRING": (Signature("substring", (str, int), str), Signature("substring", (str, int, int), str)),
}


def signature(name: str, count: int) -> Signature | None:
    """How the function of that name is called with so many arguments; None: there is none."""
    for known in FUNCTIONS.get(name, ()):
        fixed = len(known.parameters)
        if count == fixed or (known.rest is not None and count > fixed):
            return known
    return None


def kind_of(node: Node) -> Kind:
    """The type of the node's value; object: it is known only with an event."""
    match node:
        case tree.Literal(value=value):
            return value.__class__
        case tree.Attribute(name=name):
            return str if name in CORE else object
        case tree.Negative() | tree.Arithmetic():
            return int
        case tree.Call(name=name, arguments=arguments):
            known = signature(name, len(arguments))
            return bool if known is None else known.result
        case _:
            return bool


def string(_: Fail, value: str | None) -> str | None:
    """STRING: the argument, which was cast on its way."""
    return value


def is_integer(_: Fail, value: Value | None) -> bool | None:
    """Whether INT would succeed."""
    return None if value is None else not isinstance(value, str) or integer_of(value) is not None


def is_boolean(_: Fail, value: Value | None) -> bool | None:
    """Whether BOOL would succeed."""
    return None if value is None else not isinstance(value, str) or boolean_of(value) is not None


def absolute(fail: Fail, number: int | None) -> int | None:
    """ABS; of the smallest Integer it is the largest, with an error."""
    if number is not None and number < -LARGEST:
        fail(MATH, LARGEST)
        return None
    return None if number is None else abs(number)


def length(_: Fail, value: str | None) -> int | None:
    """LENGTH, in characters."""
    return None if value is None else len(value)


def concatenated(fail: Fail, *parts: str | None) -> str | None:
    """CONCAT."""
    return joined(fail, "", *parts)


def joined(fail: Fail, delimiter: str | None, *parts: str | None) -> str | None:
    """CONCAT_WS; longer than `MAX_STRING` it is an error."""
    if delimiter is None:
        return None
    size = -len(delimiter)
    whole: list[str] = []
    for part in parts:
        if part is None:
            return None
        whole.append(part)
        size += len(part) + len(delimiter)
    if size > MAX_STRING:
        fail(FUNCTION)
        return None
    return delimiter.join(whole)


def lower(fail: Fail, value: str | None) -> str | None:
    """LOWER, for all of Unicode."""
    return None if value is None else _bounded(fail, value.lower())


def upper(fail: Fail, value: str | None) -> str | None:
    """UPPER, for all of Unicode."""
    return None if value is None else _bounded(fail, value.upper())


def trimmed(_: Fail, value: str | None) -> str | None:
    """TRIM: without what Unicode calls white space at both ends; control characters stay."""
    return None if value is None else value.strip(SPACE)


def left(fail: Fail, value: str | None, count: int | None) -> str | None:
    """LEFT: the first characters; of less than 0 the value of the function is all of them, with an error."""
    if value is None or count is None:
        return None
    if count < 0:
        fail(FUNCTION, value)
        return None
    return value[:count]


def right(fail: Fail, value: str | None, count: int | None) -> str | None:
    """RIGHT: the last characters; of less than 0 the value of the function is all of them, with an error."""
    if value is None or count is None:
        return None
    if count < 0:
        fail(FUNCTION, value)
        return None
    return value[max(0, len(value) - count) :]


def substring(fail: Fail, value: str | None, position: int | None, count: int | None = LARGEST) -> str | None:
    """SUBSTRING: from the position on, or from so far before the end; 0 is the empty string, whatever the count."""
    if value is None or position is None or count is None:
        return None
    if position == 0:
        return ""
    if abs(position) > len(value) or count < 0:
        fail(FUNCTION)
        return None
    start = position - 1 if position > 0 else len(value) + position
    return value[start : start + count]


def _bounded(fail: Fail, value: str) -> str | None:
    if len(value) <= MAX_STRING:
        return value
    fail(FUNCTION)
    return None
