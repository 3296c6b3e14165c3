"""CESQL at run time: casts, operators and functions over values that may be errors.

None is the error: whoever gets it as an operand hands it on, and no result of
his own counts (the fail fast mode, CESQL 1.0, 4.1). Where an error begins, its
kind is told to `fail`, so the kind that was told first is the expression's.
Every function is total: it returns a value or None, and raises nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from gateway.core.event import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.event import ExtensionValue
    from gateway.rules.cesql_tree import Value

MAX_STRING = 65_536
"""Characters of a string that a function makes; a longer one is an error. The longest attribute fits."""

SMALLEST, LARGEST = -(2**31), 2**31 - 1
"""The Integers (CESQL 1.0, 3.1)."""

MATH: Final = "math"
CAST: Final = "cast"
MISSING_ATTRIBUTE: Final = "missingAttribute"
MISSING_FUNCTION: Final = "missingFunction"
FUNCTION: Final = "functionEvaluation"

SPACE: Final = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What Unicode calls White_Space; Python's own idea of it has four control characters more."""
_number = re.compile(r"([+-]?)0*([0-9]{1,10})").fullmatch
_TEN = len(str(LARGEST))
_BOOLEANS = {"true": True, "false": False}


class Fail(Protocol):
    """Told of an error where it begins."""

    def __call__(self, kind: str, value: Value | None = None, /) -> None:
        """Take the kind, and the value that the operator or function has nevertheless; None: the zero of its type."""


def ignore(kind: str, value: Value | None = None, /) -> None:
    """Fail without telling anybody."""


def integer_of(text: str) -> int | None:
    """The Integer that a text is in base 10, with or without a sign; None: it is none (CESQL 1.0, 3.7)."""
    if len(text) < _TEN and text.isascii() and text.isdigit():
        return int(text)  # the usual case, and fast
    found = _number(text)
    if found is None:
        return None
    value = int(found[2])
    if found[1] == "-":
        value = -value
    return value if SMALLEST <= value <= LARGEST else None


def boolean_of(text: str) -> bool | None:
    """The Boolean that a text is, in any case; None: it is none (CESQL 1.0, 3.7)."""
    return _BOOLEANS.get(text.lower()) if len(text) <= len("false") else None


def wrap(number: int) -> int:
    """The Integer that is left of a number in 32 bits, two's complement."""
    return ((number + 2**31) & (2**32 - 1)) - 2**31


def attribute(fail: Fail, value: ExtensionValue | None) -> Value | None:
    """An extension as CESQL sees it: what is no String, Integer or Boolean is its canonical string (3.2)."""
    if value is None:
        fail(MISSING_ATTRIBUTE)
        return None
    return value if isinstance(value, (str, int)) else canonical(value)


def attribute_text(fail: Fail, value: ExtensionValue | None) -> str | None:
    """An extension, cast to String."""
    if value is None:
        fail(MISSING_ATTRIBUTE)
        return None
    return canonical(value)


def core(fail: Fail, value: str | None) -> str | None:
    """An optional attribute of the core."""
    if value is None:
        fail(MISSING_ATTRIBUTE)
    return value


def text(value: Value | None) -> str | None:
    """Cast to String; it never fails."""
    return None if value is None else canonical(value)


def integer(fail: Fail, value: Value | None) -> int | None:
    """Cast to Integer."""
    if value is None:
        return None
    if isinstance(value, str):
        number = integer_of(value)
        if number is None:
            fail(CAST)
        return number
    return int(value)


def boolean(fail: Fail, value: Value | None) -> bool | None:
    """Cast to Boolean."""
    if value is None:
        return None
    if isinstance(value, str):
        answer = boolean_of(value)
        if answer is None:
            fail(CAST)
        return answer
    return value != 0


def inverse(fail: Fail, value: Value | None) -> bool | None:
    """NOT.

    An Integer is refused, and the result is true: so the conformance suite says
    (`NOT 10`), though section 3.7 could cast it.
    """
    if value.__class__ is int:
        fail(CAST, True)  # noqa: FBT003  # the value of the expression
        return None
    answer = boolean(fail, value)
    return None if answer is None else not answer


def parity(*values: bool | None) -> bool | None:
    """XOR of all."""
    return None if None in values else sum(map(bool, values)) % 2 == 1


def equal(fail: Fail, left: Value | None, right: Value | None) -> bool | None:
    """`=`: the left is cast to the type of the right (3.7)."""
    if left is None or right is None:
        return None
    if left.__class__ is right.__class__:
        return left == right
    if isinstance(right, str):
        return canonical(left) == right
    cast = boolean(fail, left) if right.__class__ is bool else integer(fail, left)
    return None if cast is None else cast == right


def different(fail: Fail, left: Value | None, right: Value | None) -> bool | None:
    """`!=` and `<>`."""
    answer = equal(fail, left, right)
    return None if answer is None else not answer


def among(fail: Fail, value: Value | None, elements: Sequence[Value]) -> bool | None:
    """IN a set of literals: these are cast to the type of the value, one after the other (3.4.5)."""
    if value is None:
        return None
    for element in elements:
        answer = equal(fail, element, value)
        if answer is not False:
            return answer
    return False


def less(fail: Fail, left: Value | None, right: Value | None) -> bool | None:
    """`<`."""
    pair = _integers(fail, left, right)
    return None if pair is None else pair[0] < pair[1]


def at_most(fail: Fail, left: Value | None, right: Value | None) -> bool | None:
    """`<=`."""
    pair = _integers(fail, left, right)
    return None if pair is None else pair[0] <= pair[1]


def greater(fail: Fail, left: Value | None, right: Value | None) -> bool | None:
    """`>`."""
    pair = _integers(fail, left, right)
    return None if pair is None else pair[0] > pair[1]


def at_least(fail: Fail, left: Value | None, right: Value | None) -> bool | None:
    """`>=`."""
    pair = _integers(fail, left, right)
    return None if pair is None else pair[0] >= pair[1]


def negative(fail: Fail, value: Value | None) -> int | None:
    """`-` before a value; of the smallest Integer it is the same."""
    number = integer(fail, value)
    return None if number is None else wrap(-number)


def add(fail: Fail, left: Value | None, right: Value | None) -> int | None:
    """`+`; beyond 32 bits it wraps around."""
    pair = _integers(fail, left, right)
    return None if pair is None else wrap(pair[0] + pair[1])


def subtract(fail: Fail, left: Value | None, right: Value | None) -> int | None:
    """`-`; beyond 32 bits it wraps around."""
    pair = _integers(fail, left, right)
    return None if pair is None else wrap(pair[0] - pair[1])


def multiply(fail: Fail, left: Value | None, right: Value | None) -> int | None:
    """`*`; beyond 32 bits it wraps around."""
    pair = _integers(fail, left, right)
    return None if pair is None else wrap(pair[0] * pair[1])


def divide(fail: Fail, left: Value | None, right: Value | None) -> int | None:
    """`/`, rounded towards 0."""
    pair = _integers(fail, left, right)
    if pair is None:
        return None
    if pair[1] == 0:
        fail(MATH)
        return None
    quotient = abs(pair[0]) // abs(pair[1])
    return wrap(quotient if (pair[0] < 0) is (pair[1] < 0) else -quotient)


def remainder(fail: Fail, left: Value | None, right: Value | None) -> int | None:
    """`%`, with the sign of the left."""
    pair = _integers(fail, left, right)
    if pair is None:
        return None
    if pair[1] == 0:
        fail(MATH)
        return None
    rest = abs(pair[0]) % abs(pair[1])
    return -rest if pair[0] < 0 else rest


def _integers(fail: Fail, left: Value | None, right: Value | None) -> tuple[int, int] | None:
    """Both, cast to Integer, once both are there."""
    if left is None or right is None:
        return None
    first = integer(fail, left)
    if first is None:
        return None
    second = integer(fail, right)
    return None if second is None else (first, second)
