"""The values and operators of one field, read into terms: plain values, and objects with one operator each.

    prefix suffix equals-ignore-case wildcard exactly   strings
    numeric cidr exists                                  numbers, addresses, presence
    anything-but                                         a scalar that is none of them

A plain string that is an IP address means the address, in whatever way an
event writes it. A problem is a ConfigError without a place: whoever reads the
field knows where it stands.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from gateway.core.errors import ConfigError
from gateway.rules.pattern_nodes import Constant, Exists, Network, Numbers, Range, Strings
from gateway.rules.pattern_strings import address_of, network_of, pieces_of
from gateway.rules.pattern_text import Digits, is_exact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.rules.pattern_nodes import How, Number, Term

_WITH_CASE: Mapping[str, How] = {"prefix": "prefix", "suffix": "suffix"}
_WITHOUT_CASE: Mapping[str, How] = {"prefix": "prefix-ignore-case", "suffix": "suffix-ignore-case"}
_LEVELS = 2
"""Objects inside each other that an operator can be."""
_BUT: Mapping[str, How] = {
    "prefix": "prefix",
    "suffix": "suffix",
    "equals-ignore-case": "equals-ignore-case",
    "wildcard": "wildcard",
}


def read_value(value: object) -> str | Number | Term:
    """One member of a field's list: a string or number as it is, or a term.

    :raises ConfigError: it is no scalar and no operator.
    """
    if isinstance(value, str):
        if value[:1] in _ADDRESS_STARTS and (address := address_of(value)) is not None:
            return Network(address.version, address.bits, address.bits, value)
        return value
    if isinstance(value, dict):
        return _read_operator(value)
    if value is None or isinstance(value, bool):
        return Constant(value)
    number = number_of(value)
    if number is None:
        raise ConfigError(f"expected a string, a number, true, false, null or an operator, got {shown(value)}")
    return number


def weight(value: object) -> tuple[int, int]:
    """How many terms a value is, and how many characters, before it is read."""
    for _ in range(_LEVELS):
        if isinstance(value, dict):
            value = next(iter(value.values()), None)
    if isinstance(value, list):
        return len(value), sum([len(item) for item in value if isinstance(item, str)])
    return 1, len(value) if isinstance(value, str) else 0


def shown(value: object) -> str:
    """A value in a message: shortened, and only its kind where it may be large."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list" if value else "[]"
    return f"{value!a:.40}"


def number_of(value: object) -> Number | None:
    """The number that the value is, or None.

    :raises ConfigError: infinity or NaN.
    """
    if isinstance(value, Digits):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not isfinite(value):
        raise ConfigError(f"{value} is not a number that JSON can hold")
    return value


def gathered(values: Sequence[str | Number | Term]) -> tuple[Term, ...]:
    """The terms of a field, its plain strings in one and its plain numbers in one."""
    strings = tuple([value for value in values if isinstance(value, str)])
    numbers = tuple([value for value in values if isinstance(value, int | float | Digits)])
    terms: list[Term] = []
    if strings:
        terms.append(Strings("exact", strings))
    if numbers:
        terms.append(Numbers(numbers))
    terms.extend([value for value in values if not isinstance(value, str | int | float | Digits)])
    return tuple(terms)


def _read_operator(spec: dict[str, object]) -> Term:
    name, operand = _only(spec, "an operator")
    read = _OPERATORS.get(name)
    if read is None:
        raise ConfigError(f"{name!a:.40} is not an operator; they are {', '.join(_OPERATORS)}")
    return read(name, operand)


def _only(spec: dict[str, object], what: str) -> tuple[str, object]:
    if len(spec) != 1 or type(spec) is not dict:
        raise ConfigError(f"expected an object with one key, {what}, got {len(spec)} keys")
    ((name, operand),) = spec.items()
    return name, operand


def _read_exactly(_: str, operand: object) -> Term:
    return Strings("exact", (_string(operand, "exactly"),))


def _read_affix(name: str, operand: object) -> Term:
    if not isinstance(operand, dict):
        return Strings(_WITH_CASE[name], (_string(operand, name),))
    inner, text = _only(operand, "equals-ignore-case")
    if inner != "equals-ignore-case":
        raise ConfigError(f"{name}: expected a string or equals-ignore-case, got {inner!a:.40}")
    return Strings(_WITHOUT_CASE[name], (_string(text, f"{name}.{inner}"),))


def _read_fold(name: str, operand: object) -> Term:
    return Strings("equals-ignore-case", (_string(operand, name),))


def _read_wildcard(name: str, operand: object) -> Term:
    text = _string(operand, name)
    _check_wildcard(text, name)
    return Strings("wildcard", (text,))


def _check_wildcard(text: str, name: str) -> None:
    try:
        pieces_of(text)
    except ConfigError as problem:
        raise ConfigError(f"{name}: {problem}") from None


def _string(operand: object, name: str) -> str:
    if not isinstance(operand, str):
        raise ConfigError(f"{name}: expected a string, got {shown(operand)}")
    return operand


def _read_cidr(name: str, operand: object) -> Term:
    text = _string(operand, name)
    try:
        return Network(*network_of(text), text)
    except ConfigError as problem:
        raise ConfigError(f"{name}: {problem}") from None


def _read_exists(name: str, operand: object) -> Term:
    if not isinstance(operand, bool):
        raise ConfigError(f"{name}: expected true or false, got {shown(operand)}")
    return Exists(operand)


def _read_numeric(name: str, operand: object) -> Term:
    match operand:
        case ["=", limit]:
            return Numbers((_limit(limit),))
        case [(">" | ">=") as operator, limit]:
            return Range(low=_limit(limit), low_in=operator == ">=")
        case [("<" | "<=") as operator, limit]:
            return Range(high=_limit(limit), high_in=operator == "<=")
        case [(">" | ">=") as lower, low, ("<" | "<=") as upper, high]:
            bottom, top = _limit(low), _limit(high)
            if bottom >= top:
                raise ConfigError(f"{name}: expected the lower limit to be less than the upper, got {bottom} and {top}")
            return Range(bottom, lower == ">=", top, upper == "<=")
    expected = 'one comparison (= < <= > >=) and its number, or a range such as [">", 0, "<=", 5]'
    raise ConfigError(f"{name}: expected a list of {expected}, got {shown(operand)}")


def _limit(value: object) -> float:
    number = number_of(value)
    if number is None:
        raise ConfigError(f"expected a number to compare with, got {shown(value)}")
    if isinstance(number, Digits) or not is_exact(number):
        raise ConfigError(f"{number!a:.40} has more digits than a double; it can be matched but not compared")
    return number


def _read_but(name: str, operand: object) -> Term:
    if isinstance(operand, dict):
        inner, values = _only(operand, ", ".join(_BUT))
        how = _BUT.get(inner)
        if how is None:
            raise ConfigError(f"{name}: expected {', '.join(_BUT)}, a value or a list, got {inner!a:.40}")
        return Strings(how, _texts(values, f"{name}.{inner}", how), but=True)
    values = operand if isinstance(operand, list) else [operand]
    if values and all(isinstance(value, str) for value in values):
        return Strings("exact", tuple(map(str, values)), but=True)
    numbers = [number for value in values if (number := number_of(value)) is not None]
    if not numbers or len(numbers) != len(values):
        expected = "a string, a number, or a list of only strings or only numbers"
        raise ConfigError(f"{name}: expected {expected}, got {shown(operand)}")
    return Numbers(tuple(_limit(number) for number in numbers), but=True)


def _texts(operand: object, name: str, how: How) -> tuple[str, ...]:
    values = operand if isinstance(operand, list) else [operand]
    if not values:
        raise ConfigError(f"{name}: expected a string or a list of at least one, got []")
    for value in values:
        if not isinstance(value, str):
            raise ConfigError(f"{name}: expected a string or a list of strings, got {shown(value)}")
        if how == "wildcard":
            _check_wildcard(value, name)
        elif not value and how in _WITH_CASE:
            raise ConfigError(f"{name}: expected a string that is not empty")
    return tuple(values)


_ADDRESS_STARTS = frozenset("0123456789abcdefABCDEF:")
_OPERATORS: Mapping[str, Callable[[str, object], Term]] = {
    "prefix": _read_affix,
    "suffix": _read_affix,
    "equals-ignore-case": _read_fold,
    "wildcard": _read_wildcard,
    "anything-but": _read_but,
    "numeric": _read_numeric,
    "cidr": _read_cidr,
    "exists": _read_exists,
    "exactly": _read_exactly,
}
