"""Keyed: what a value at a place of an event leads to: exactly, by its beginning or end, or by a range of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from gateway.rules.lens import ABSENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.core.event import Event
    from gateway.rules.rule import Key, Path

_Found = TypeVar("_Found")
_Made = TypeVar("_Made")


class Asked(NamedTuple):
    """A rule to be asked about an event."""

    name: str
    matches: Callable[[Event], bool]


class Values(Generic[_Found]):
    """What keys of one place lead to."""

    __slots__ = ("exact", "prefixes", "ranges", "suffixes")

    def __init__(self) -> None:
        self.exact: dict[object, _Found] = {}
        self.prefixes: dict[int, dict[str, _Found]] = {}
        """By length, so that a text is cut once for each length there is."""
        self.suffixes: dict[int, dict[str, _Found]] = {}
        self.ranges: dict[tuple[float, float], _Found] = {}

    def at(self, key: Key, make: Callable[[], _Found]) -> _Found:
        """What that key leads to, made if there is nothing yet."""
        if isinstance(key.value, tuple):
            if key.value not in self.ranges:
                self.ranges[key.value] = make()
            return self.ranges[key.value]
        if key.how == "exact" or not isinstance(key.value, str):
            if key.value not in self.exact:
                self.exact[key.value] = make()
            return self.exact[key.value]
        by_length = self.prefixes if key.how == "prefix" else self.suffixes
        same = by_length.setdefault(len(key.value), {})
        if key.value not in same:
            same[key.value] = make()
        return same[key.value]

    def made(self, make: Callable[[_Found], _Made]) -> Values[_Made]:
        """The same keys, leading to what is made of what they led to."""
        values: Values[_Made] = Values()
        values.exact = {key: make(found) for key, found in self.exact.items()}
        values.ranges = {key: make(found) for key, found in self.ranges.items()}
        for mine, theirs in ((self.prefixes, values.prefixes), (self.suffixes, values.suffixes)):
            theirs |= {length: {key: make(found) for key, found in same.items()} for length, same in mine.items()}
        return values

    def of(self, value: object) -> Sequence[_Found]:
        """What the keys of that value lead to."""
        exact = self.exact.get(value)
        found: list[_Found] = [] if exact is None else [exact]
        if isinstance(value, str):
            for length, same in self.prefixes.items():
                if (begin := value[:length]) in same:
                    found.append(same[begin])
            for length, same in self.suffixes.items():
                if (end := value[-length:]) in same:
                    found.append(same[end])
        elif self.ranges and isinstance(value, int | float):
            found += [here for (least, greatest), here in self.ranges.items() if least <= value <= greatest]
        return found


class Place:
    """A path into the data, and the rules that the values there lead to."""

    __slots__ = ("path", "values")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: Values[list[Asked]] = Values()

    def add(self, key: Key, asked: Asked) -> None:
        """Have a key lead to a rule."""
        self.values.at(key, list).append(asked)

    def candidates(self, data: object) -> Sequence[Sequence[Asked]]:
        """The rules whose keys stand at this path; arrays are entered wherever they stand."""
        value = data
        for name in self.path:
            if not isinstance(value, dict):
                break
            value = value.get(name, ABSENT)
        else:
            if not isinstance(value, list | dict):
                return self.values.of(value)
        return [found for value in _scalars(data, self.path) for found in self.values.of(value)]


def _scalars(value: object, path: Path) -> list[object]:
    """The scalars at that path, through arrays, however deep they are."""
    found: list[object] = []
    waiting = [(value, 0)]
    while waiting:
        value, depth = waiting.pop()
        while depth < len(path) and isinstance(value, dict):
            value, depth = value.get(path[depth], ABSENT), depth + 1
        if isinstance(value, list):
            waiting.extend([(inner, depth) for inner in value])
        elif depth == len(path) and value is not ABSENT and not isinstance(value, dict):
            found.append(value)
    return found
