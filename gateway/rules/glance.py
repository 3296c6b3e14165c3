"""Glance: rules out most events by the members that an index keys on, before anybody looks into their data in earnest.

    indexes of a batch ─ decode only the keyed members, look them up ─▶ indexes of those that may lead to a rule

It errs on one side only. Arrays inside arrays, data of another shape and what is
no JSON are left to those who look properly.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec

from gateway.rules.lens import ABSENT, PLAIN, holding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import CodeType

    from gateway.core.event import Event
    from gateway.rules.keyed import Place, Values
    from gateway.rules.rule import Path

MOST: Final = 8
"""Places, and lengths of prefixes and suffixes at one place: with more a look costs less. More ranges at a place are
taken for the one that spans them."""

DEEPEST: Final = 4
"""Names of a path; each more doubles the code."""

Glance: TypeAlias = "Callable[[Sequence[Event], Sequence[int]], list[int]]"

_is_plain: Final = re.compile(r"[ !#-\[\]-~]+").fullmatch
"""Names of ASCII characters that JSON writes as they are."""
_SOURCE: Final = """
def glance(events, indexes):
    found = []
    left = found.append
    for i in indexes:
        e = events[i]
        if (data := e.data) is not None:
            if e.datacontenttype in plain:
                try:
                    d = decode(data)
                except odd:
                    left(i)
                    continue
                if {tests}:
                    left(i)
            else:
                left(i)
    return found
"""


def glance_at(places: Sequence[Place]) -> Glance | None:
    """Compile one for these places; None: they are none, too many, or cannot be told apart by decoding members."""
    if not 0 < len(places) <= MOST or not all(map(_is_narrow, places)):
        return None
    members = _members(tuple(place.path for place in places))
    if members is None:
        return None
    space: dict[str, Any] = {
        "plain": PLAIN,
        "odd": (msgspec.MsgspecError, UnicodeError, RecursionError),
        "decode": members.decode,
        "absent": ABSENT,
        "numbers": frozenset((int, float)),
    }
    tests = []
    for number, (place, steps) in enumerate(zip(places, members.steps, strict=True)):
        test = _of_scalar(place.values, number, space)
        space[f"one{number}"] = eval(_code(f"lambda v: v.__class__ is list or ({test})", "eval"), space)  # noqa: S307
        tests.append(_reached("d", steps, f"any(map(one{number}, v))", test, space))
    exec(_code(_SOURCE.format(tests=" or ".join(tests)), "exec"), space)  # noqa: S102 - by our names only
    glance: Glance = space["glance"]
    return glance


def _is_narrow(place: Place) -> bool:
    names_are_found = all(map(_is_plain, place.path))  # the decoder finds no others
    return (
        names_are_found
        and len(place.path) <= DEEPEST
        and len(place.values.prefixes) + len(place.values.suffixes) <= MOST
    )


def _of_scalar(values: Values[Any], number: int, space: dict[str, Any]) -> str:
    """Whether the scalar v may be one of these; of nothing and of objects it says no."""
    space[f"x{number}"] = values.exact
    of_text = [f"v in x{number}"] if values.exact else []
    of_others = [f"v in x{number}"]
    for length, same in values.prefixes.items():
        space[f"b{number}_{length}"] = same
        of_text.append(f"v[:{length}] in b{number}_{length}")
    for length, same in values.suffixes.items():
        space[f"n{number}_{length}"] = same
        of_text.append(f"v[-{length}:] in n{number}_{length}")
    for index, (least, greatest) in enumerate(_apart(values.ranges)):
        space |= {f"l{number}_{index}": least, f"g{number}_{index}": greatest}
        of_others.append(f"v.__class__ in numbers and l{number}_{index} <= v <= g{number}_{index}")
    is_other = f"v is not absent and v.__class__ is not dict and ({' or '.join(of_others)})"
    return f"({' or '.join(of_text) or 'False'}) if v.__class__ is str else {is_other}"


def _apart(ranges: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same numbers as ranges that do not overlap; all in one where they would be many."""
    found: list[tuple[float, float]] = []
    for least, greatest in sorted(ranges):
        if found and least <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], greatest))
        else:
            found.append((least, greatest))
    return found if len(found) <= MOST else [(found[0][0], found[-1][1])]


def _reached(at: str, steps: Sequence[_Step], of_list: str, test: str, space: dict[str, Any]) -> str:
    """The test of what these steps lead to from a decoded object, or from each in an array: twice for each step."""
    (attribute, inside), *further = steps
    if inside is None:
        return f"({of_list} if (v := {at}.{attribute}).__class__ is list else {test})"
    name, shape = f"{at}{attribute}", f"S{len(space)}"
    space[shape] = inside
    ahead, each = (_reached(where, further, of_list, test, space) for where in (name, f"{name}_"))
    return (
        f"({ahead} if ({name} := {at}.{attribute}).__class__ is {shape} else {name}.__class__ is list"
        f" and any([{each} for {name}_ in {name} if {name}_.__class__ is {shape}]))"
    )


class _Step(NamedTuple):
    """From a decoded object to a member."""

    attribute: str
    inside: type[msgspec.Struct] | None
    """What the member is where it is an object with members that are wanted; None: its value is wanted."""


class _Members(NamedTuple):
    """How to decode members of an object and no others."""

    decode: Callable[[bytes], object]
    steps: tuple[tuple[_Step, ...], ...]
    """To the value of each path; on the way, and at its end, is ABSENT what is not there."""


@lru_cache(maxsize=256)
def _members(paths: tuple[Path, ...]) -> _Members | None:
    """None: one path leads through another, or nowhere."""
    tree: dict[str, Any] = {}
    for path in paths:
        inner = tree
        for name in path:
            inner = inner.setdefault(name, {})
    if any(not path or _at(tree, path) for path in paths):
        return None
    shapes: dict[Path, type[msgspec.Struct]] = {}
    decode = msgspec.json.Decoder(_shape(tree, (), shapes)).decode
    return _Members(decode, tuple(tuple(_steps(tree, path, shapes)) for path in paths))


def _at(tree: dict[str, Any], path: Path) -> dict[str, Any]:
    for name in path:
        tree = tree[name]
    return tree


def _shape(tree: dict[str, Any], at: Path, shapes: dict[Path, type[msgspec.Struct]]) -> type[msgspec.Struct]:
    fields: list[tuple[str, Any, Any]] = []
    for number, (name, inner) in enumerate(tree.items()):
        kind = holding(_shape(inner, (*at, name), shapes)) if inner else object
        fields.append((f"m{number}", kind, ABSENT))
    names = {f"m{number}": name for number, name in enumerate(tree)}
    shapes[at] = msgspec.defstruct("Shape", fields, rename=names, frozen=True, gc=False)
    return shapes[at]


def _steps(tree: dict[str, Any], path: Path, shapes: dict[Path, type[msgspec.Struct]]) -> Iterable[_Step]:
    for depth, name in enumerate(path, start=1):
        yield _Step(f"m{list(tree).index(name)}", shapes.get(path[:depth]))
        tree = tree[name]


@lru_cache(maxsize=256)
def _code(source: str, mode: str) -> CodeType:
    return compile(source, "<glance>", mode)
