"""Documents with arrays, or with dots in names: the careful way, for those that the compiled expression leaves alone.

A field is reached through every array on its way, and by every way of reading
dots: `a.b` is a member of `a` or a member with a dot in its name. The law of
arrays, as AWS's engine has it: fields that are found inside one array must be
found inside the same element of it; scalars that stand directly in an array
are bound to none of its elements. Fields are taken in the order of their
names; one that must be absent (`exists: false`) is looked for in the element
that an earlier field has chosen, and in all of the array where none has.
"""

from __future__ import annotations

from itertools import islice, product
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from gateway.rules.pattern_nodes import conjunctions
from gateway.rules.pattern_text import Twice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gateway.rules.pattern_nodes import Leaf, Node
    from gateway.rules.rule import Path

MAX_LEVELS: Final = 100
"""Objects and arrays inside each other that are looked into where fields share an array."""
MAX_CHOICES: Final = 64
"""Ways of reading dots in names that are tried where fields share them."""
MAX_STEPS: Final = 200_000
"""Values and elements that are tried for one question; what would take more (half a second) does not match."""


_NONE: Final = object()


class _Field(NamedTuple):
    """A field on its way: how many names of its path lie behind, and what may satisfy it."""

    path: Path
    behind: int
    test: Callable[[object], bool]
    by_value: bool
    by_absence: bool

    def at(self, end: int) -> _Field:
        """The same, further on its way."""
        return _Field(self.path, end, self.test, self.by_value, self.by_absence)


class _Way(NamedTuple):
    """One member that a path leads to from an object."""

    member: object
    end: int
    """How many names of the path lie behind there."""
    key: tuple[str, int]
    """Which member it is: its name, and its number where the name stands twice."""


_Choice: TypeAlias = list[tuple[_Way, _Field]]
"""Ways that are gone together, and with which demand."""


class Documents:
    """A pattern, to be asked about documents of any shape.

    `test_of` compiles the terms of a field to a test of one scalar: with the
    same writer as the expression, and only when a document needs it.
    """

    def __init__(
        self, node: Node, fields: Sequence[Leaf], behind: int, test_of: Callable[[Leaf], Callable[[object], bool]]
    ) -> None:
        self._node = node
        self._fields = fields
        self._behind = behind
        """How many names of every path lie behind the objects that are asked about, but for `holds`."""
        self._test_of = test_of
        self._tests: dict[int, Callable[[object], bool]] = {}
        self._conjunctions: list[list[_Field]] | None = None

    def any_of(self, values: list[object], index: int) -> bool:
        """Whether a scalar in the list, or in lists in it, passes the terms of the field."""
        return any(map(self._test(index), scalars(values)))

    def reaches(self, value: object, index: int) -> bool:
        """Whether a value of the field does, wherever it is."""
        return any(map(self._test(index), found(value, self._fields[index].path, self._behind)))

    def strays(self, value: dict[str, object], index: int) -> bool:
        """Whether a value of the field does that is not where plain objects would have it."""
        return self.is_odd(value, index) and self.reaches(value, index)

    def is_odd(self, value: dict[str, object], index: int) -> bool:
        """Whether the field may have more values than the one in plain objects, or others."""
        path = self._fields[index].path
        at: object = value
        for behind in range(self._behind, len(path)):
            if not isinstance(at, dict):
                return False
            if behind + 1 < len(path) and _has_joined(at, path, behind):
                return True
            at = at.get(path[behind])
            if isinstance(at, list | Twice):
                return True
        return False

    def lacks(self, value: object, index: int) -> bool:
        """Whether the field has no value at all, or one that passes its terms."""
        if next(found(value, self._fields[index].path, self._behind), _NONE) is _NONE:
            return True
        return self._fields[index].takes_values and self.reaches(value, index)

    def holds(self, root: object) -> bool:
        """Whether the whole pattern holds; nothing but an object passes."""
        if not isinstance(root, dict):
            return False
        if self._conjunctions is None:
            self._conjunctions = self._multiplied()
        search = _Search()
        return any(search.holds_in(root, fields, MAX_LEVELS) for fields in self._conjunctions)

    def _test(self, index: int) -> Callable[[object], bool]:
        test = self._tests.get(index)
        if test is None:
            test = self._tests[index] = self._test_of(self._fields[index])
        return test

    def _multiplied(self) -> list[list[_Field]]:
        index_of = {id(leaf): index for index, leaf in enumerate(self._fields)}
        multiplied = []
        for fields in conjunctions(self._node):
            ordered = sorted(fields.values(), key=_rank)
            multiplied.append([self._start(leaf, index_of[id(leaf)]) for leaf in ordered])
        return multiplied

    def _start(self, leaf: Leaf, index: int) -> _Field:
        return _Field(leaf.path, 0, self._test(index), leaf.takes_values, leaf.takes_absence)


def _rank(leaf: Leaf) -> bytes:
    """The order in which AWS's engine takes fields: by name, in UTF-16."""
    return ".".join(leaf.path).encode("utf-16-be", "surrogatepass")


def _has_joined(value: dict[str, object], path: Path, behind: int) -> bool:
    """Whether a member's name is several names of the path, joined by dots."""
    name = path[behind]
    for end in range(behind + 1, len(path)):
        name = f"{name}.{path[end]}"
        if name in value:
            return True
    return False


def scalars(values: list[object]) -> Iterator[object]:
    """The scalars of a list and of the lists in it."""
    waiting = [iter(values)]
    while waiting:
        for value in waiting[-1]:
            if isinstance(value, list):
                waiting.append(iter(value))
                break
            if not isinstance(value, dict):
                yield value
        else:
            waiting.pop()


def found(value: object, path: Path, behind: int = 0) -> Iterator[object]:
    """All scalars at the path, through arrays and by every reading of dots."""
    last = len(path) - 1
    waiting = [(value, behind)]
    while waiting:
        value, behind = waiting.pop()
        if isinstance(value, list):
            waiting.extend([(item, behind) for item in reversed(value)])
        elif behind == last and value.__class__ is dict:  # most of them: no dots to read, nothing that stands twice
            member = value.get(path[last], _NONE)
            if isinstance(member, list):
                waiting.append((member, behind + 1))
            elif member is not _NONE and not isinstance(member, dict):
                yield member
        elif isinstance(value, dict):
            waiting.extend([(way.member, way.end) for way in _ways(value, path, behind)])
        elif behind == len(path):
            yield value


def _ways(value: dict[str, object], path: Path, behind: int) -> list[_Way]:
    """Where the path leads on from an object: to each member whose name is the next of its names, or several joined."""
    ways = []
    name = ""
    for end in range(behind + 1, len(path) + 1):
        name = f"{name}.{path[end - 1]}" if end > behind + 1 else path[behind]
        if name not in value:
            continue
        if isinstance(value, Twice):
            pairs = enumerate(value.pairs)
            ways.extend([_Way(member, end, (name, number)) for number, (known, member) in pairs if known == name])
        else:
            ways.append(_Way(value[name], end, (name, 0)))
    return ways


class _Search:
    """One search for values that agree; `levels` bounds its depth, and its own count of steps its length."""

    __slots__ = ("_steps",)

    def __init__(self) -> None:
        self._steps = MAX_STEPS

    def holds_in(self, value: object, fields: list[_Field], levels: int) -> bool:
        """Whether all fields are satisfied in what stands where their paths have led."""
        self._steps -= len(fields)
        if self._steps <= 0:
            return False
        if len(fields) == 1:  # which shares no array any more
            return _holds_alone(value, fields[0])
        if isinstance(value, dict):
            return levels > 0 and self._in_object(value, fields, levels - 1)
        if isinstance(value, list):
            return levels > 0 and self._in_array(value, fields, levels - 1)
        return all(
            field.by_absence if field.behind < len(field.path) else field.by_value and field.test(value)
            for field in fields
        )

    def _in_object(self, value: dict[str, object], fields: list[_Field], levels: int) -> bool:
        if value.__class__ is dict:
            left = _unsettled(value, fields)
            if not left:
                return left is not None
            fields = left
        groups: dict[tuple[str, int], tuple[object, list[_Field]]] = {}
        for field in fields:
            ways = _ways(value, field.path, field.behind)
            if len(ways) > 1:
                return self._in_forked(value, fields, levels)
            if ways:
                way = ways[0]
                groups.setdefault(way.key, (way.member, []))[1].append(field.at(way.end))
            elif not field.by_absence:
                return False
        return all(self.holds_in(member, group, levels) for member, group in groups.values())

    def _in_forked(self, value: dict[str, object], fields: list[_Field], levels: int) -> bool:
        """The same where a field has several ways to go: each is tried; the order of the fields stays theirs."""
        choices: list[list[_Choice]] = []
        for field in fields:
            ways = _ways(value, field.path, field.behind)
            if ways:
                choices.append(_choices(field, ways))
            elif not field.by_absence:
                return False
        return any(self._in_members(choice, levels) for choice in islice(product(*choices), MAX_CHOICES))

    def _in_members(self, choices: Sequence[_Choice], levels: int) -> bool:
        """Whether the fields are satisfied, those that go through one member all in it."""
        groups: dict[tuple[str, int], tuple[object, list[_Field]]] = {}
        for choice in choices:
            for way, field in choice:
                groups.setdefault(way.key, (way.member, []))[1].append(field)
        return all(self.holds_in(member, group, levels) for member, group in groups.values())

    def _in_array(self, values: list[object], fields: list[_Field], levels: int) -> bool:
        for field in fields:
            if field.behind == len(field.path) and field.by_value:
                others = [other for other in fields if other is not field]
                is_direct = any(field.test(value) for value in values if not isinstance(value, list | dict))
                if is_direct and self._in_element(values, others, levels):
                    return True
                break  # only one field can end here
        return self._in_element(values, fields, levels)

    def _in_element(self, values: list[object], fields: list[_Field], levels: int) -> bool:
        """Whether the fields are satisfied in one element, or by absence from all of them before one is chosen."""
        inside: list[_Field] = []
        for field in fields:
            if inside or not field.by_absence:
                inside.append(field)
            elif next(found(values, field.path, field.behind), _NONE) is not _NONE:
                if not field.by_value:
                    return False
                inside.append(field._replace(by_absence=False))
        if not inside:
            return True
        self._steps -= len(values)
        return self._steps > 0 and any(
            self.holds_in(value, inside, levels) for value in values if isinstance(value, list | dict)
        )


def _unsettled(value: dict[str, object], fields: list[_Field]) -> list[_Field] | None:
    """The fields that do not end at a scalar member of this object; None: one that does is not satisfied."""
    left: list[_Field] = []
    for field in fields:
        member = value.get(field.path[field.behind], _NONE) if field.behind == len(field.path) - 1 else value
        if isinstance(member, list | dict):
            left.append(field)
        elif not (field.by_absence if member is _NONE else field.by_value and field.test(member)):
            return None
    return left


def _holds_alone(value: object, field: _Field) -> bool:
    """Whether one field is satisfied, however deep its value is."""
    values = found(value, field.path, field.behind)
    if field.by_absence:
        first = next(values, _NONE)
        return first is _NONE or (field.by_value and (field.test(first) or any(map(field.test, values))))
    return any(map(field.test, values))


def _choices(field: _Field, ways: list[_Way]) -> list[_Choice]:
    """How a field can be satisfied: by a value on one of its ways, or by absence on all."""
    if len(ways) == 1:
        return [[(ways[0], field.at(ways[0].end))]]
    choices: list[_Choice] = []
    if field.by_value:
        leading = [way for way in ways if any(map(field.test, found(way.member, field.path, way.end)))]
        choices.extend([[(way, field._replace(behind=way.end, by_absence=False))] for way in leading])
    if field.by_absence:
        choices.append([(way, field._replace(behind=way.end, by_value=False)) for way in ways])
    return choices
