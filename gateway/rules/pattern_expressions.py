"""The terms of a field, written as one Python expression that tests a value.

The law: an expression mentions the value as `v`, and its first `v` is the first
thing that is evaluated, so whoever needs it may put an assignment there. It is
false for whatever is no scalar: an object, a list, nothing. What users wrote
stands in it under names of ours only, so patterns of one shape are one source.
"""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Final

from gateway.rules.pattern_nodes import Constant, Network, Numbers, Range, Strings
from gateway.rules.pattern_strings import Folding, address_of, pieces_of, wildcard
from gateway.rules.pattern_text import MAX_INTEGER, Digits, is_exact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gateway.rules.pattern_nodes import How, Number, Term

SPACE: Final[dict[str, object]] = {
    "S": frozenset((str, int, float, bool, NoneType, Digits)),
    "N": frozenset((int, float)),
    "exact": is_exact,
    "Digits": Digits,
    "address": address_of,
}
"""The names that every expression may use."""

_IS_TEXT = "v.__class__ is str"
_IS_SCALAR = "v.__class__ in S"
_IS_NUMBER = "v.__class__ in N"


def written(terms: Iterable[Term], space: dict[str, object]) -> str | None:
    """The test that any of the terms passes, or None if only absence can satisfy them; `space` takes names it needs."""
    tests = [test for term in terms if (test := _written(term, space)) is not None]
    return " or ".join(tests) if tests else None


def _written(term: Term, space: dict[str, object]) -> str | None:
    if isinstance(term, Strings):
        return _written_strings(term, space)
    if isinstance(term, Numbers):
        return _written_numbers(term, space)
    if isinstance(term, Range):
        return _written_range(term, space)
    if isinstance(term, Network):
        return _written_network(term, space)
    if isinstance(term, Constant):
        return f"v is {term.value}"
    return _IS_SCALAR if term.there else None


def _written_strings(term: Strings, space: dict[str, object]) -> str:
    if term.how == "exact" and len(term.values) == 1:
        value = bound(term.values[0], space)
        return f"{_IS_SCALAR} and v != {value}" if term.but else f"v == {value}"
    tests = _compared(term.how, term.values, space)
    if term.but:
        return f"{_IS_SCALAR} and not ({_IS_TEXT} and ({tests}))"
    return f"{_IS_TEXT} and ({tests})" if tests != "True" else _IS_TEXT


def _compared(how: How, values: Sequence[str], space: dict[str, object]) -> str:
    """The test that the string `v` compares so with any of the values."""
    match how:
        case "exact":
            return f"v in {bound(frozenset(values), space)}"
        case "prefix" | "suffix":
            method = "startswith" if how == "prefix" else "endswith"
            if "" in values:
                return "True"
            return f"v.{method}({bound(values[0] if len(values) == 1 else tuple(values), space)})"
        case "wildcard":
            return " or ".join([_compared_wildcard(value, space) for value in values])
        case _:
            return " or ".join([_compared_folded(how, value, space) for value in values])


def _compared_wildcard(value: str, space: dict[str, object]) -> str:
    match pieces_of(value):
        case (piece,):
            return f"v == {bound(piece, space)}"
        case ("", ""):
            return "True"
        case (first, ""):
            return f"v.startswith({bound(first, space)})"
        case ("", last):
            return f"v.endswith({bound(last, space)})"
        case ("", piece, ""):
            return f"{bound(piece, space)} in v"
        case pieces:
            return f"{bound(wildcard(pieces), space)}(v)"


def _compared_folded(how: How, value: str, space: dict[str, object]) -> str:
    if not value.isascii():
        folding = Folding(value)
        by_how: dict[How, Callable[[str], bool]] = {
            "equals-ignore-case": folding.equals,
            "prefix-ignore-case": folding.starts,
            "suffix-ignore-case": folding.ends,
        }
        return f"{bound(by_how[how], space)}(v)"
    if not value:
        return "not v" if how == "equals-ignore-case" else "True"
    # some characters outside ASCII have lower forms inside it
    lower = bound(value.lower(), space)
    size = bound(-len(value) if how == "suffix-ignore-case" else len(value), space)
    match how:
        case "equals-ignore-case":
            return f"v.lower() == {lower} and v.isascii()"
        case "prefix-ignore-case":
            return f"v[:{size}].lower() == {lower} and v[:{size}].isascii()"
        case _:
            return f"v[{size}:].lower() == {lower} and v[{size}:].isascii()"


def bound(value: object, space: dict[str, object]) -> str:
    """A name for a value, or for a function that tests one; the same for the same place in patterns of one shape."""
    name = f"t{len(space)}"
    space[name] = value
    return name


def _written_numbers(term: Numbers, space: dict[str, object]) -> str:
    rows = [number for number in term.values if isinstance(number, Digits)]
    numbers = [number for number in term.values if not isinstance(number, Digits)]
    tests = []
    if len(numbers) == 1:
        tests.append(_equal(numbers[0], space))
    elif numbers:
        # an integer that is no double equals only itself, and in Python it does
        tests.append(f"{_IS_NUMBER} and v in {bound(frozenset(numbers), space)}")
    if rows:
        tests.append(f"v.__class__ is Digits and v in {bound(rows, space)}")
    if term.but:
        return f"{_IS_SCALAR} and not ({' or '.join(tests)})"
    return " or ".join(tests)


def _equal(number: Number, space: dict[str, object]) -> str:
    value = bound(number, space)
    if number in (0, 1):  # which False and True are, too
        return f"v == {value} and v.__class__ is not bool"
    if isinstance(number, int) and not is_exact(number):
        return f"v == {value} and v.__class__ is int"
    return f"v == {value}"


def _written_range(term: Range, space: dict[str, object]) -> str:
    tests = [_IS_NUMBER]
    if term.low is not None:
        tests.append(f"v {'>=' if term.low_in else '>'} {bound(term.low, space)}")
    if term.high is not None:
        tests.append(f"v {'<=' if term.high_in else '<'} {bound(term.high, space)}")
    if term.high is None or term.high > MAX_INTEGER:
        tests.append(f"(v <= {MAX_INTEGER} or exact(v))")
    if term.low is None or term.low < -MAX_INTEGER:
        tests.append(f"(v >= -{MAX_INTEGER} or exact(v))")
    return " and ".join(tests)


def _written_network(term: Network, space: dict[str, object]) -> str:
    here = f"(a := address(v)) is not None and a[0] == {term.version}"
    if term.first == term.last:
        return f"{_IS_TEXT} and {here} and a[1] == {bound(term.first, space)}"
    return f"{_IS_TEXT} and {here} and {bound(term.first, space)} <= a[1] <= {bound(term.last, space)}"
