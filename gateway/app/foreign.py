"""Filters of other systems, on their way to subscriptions: what every language that is imported shares.

    bytes ─parse─▶ document ─find─▶ filters ─foreign_sns, foreign_eventbridge, foreign_eventmesh─▶ Imported
                                                                      foreign_fragment ─▶ YAML ◀────┘

The law: a filter is carried over with its meaning, or refused with the place
and the reason. What means something else here is said in a warning, what is
taken for granted in a note; nothing is dropped in silence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.core.errors import ConfigError
from gateway.rules.pattern import compile_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_PROBLEMS: Final = 50
"""Problems, notes and warnings of one filter that are told, of each kind."""
LARGEST: Final = 10**18
"""Whole numbers below it, and above its negative, are whole numbers in a config."""

_LONGEST_NAME = 63
_NO_LABEL = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Imported:
    """A filter as a subscription has it."""

    name: str
    """A DNS label."""
    pattern: dict[str, object] | None
    """An event pattern that compiles; None: every event passes."""
    notes: tuple[str, ...] = ()
    """What was taken for granted, each with its place."""
    warnings: tuple[str, ...] = ()
    """What means something else here, or was left behind, each with its place."""
    called: str = ""
    """What the file calls it."""


class Found(NamedTuple):
    """A filter in a file."""

    place: str
    """Where it stands, empty where the file is nothing else."""
    spec: object
    """What stands there: an object, or its JSON text."""
    name: str = ""
    """What the file calls it."""
    around: Mapping[str, object] = {}
    """The object in which it stands, with what else is said about it."""


@dataclass(slots=True)
class Findings:
    """What there is to say about one filter; `problems` refuse it."""

    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def note(self, place: str, what: str) -> None:
        """Something was taken for granted."""
        _say(self.notes, place, what)

    def warn(self, place: str, what: str) -> None:
        """Something means something else here, or was left behind."""
        _say(self.warnings, place, what)

    def wrong(self, place: str, what: str) -> None:
        """Something cannot be carried over."""
        _say(self.problems, place, what)

    def check(self) -> None:
        """Go on only if nothing was wrong.

        :raises ConfigError: all that was.
        """
        if self.problems:
            raise ConfigError(*self.problems)

    def imported(self, name: str, pattern: dict[str, object] | None, *, place: str = "match") -> Imported:
        """The filter with all that was said; `place`: where the pattern stands, for what is wrong with it as such.

        :raises ConfigError: something was wrong, or the pattern does not compile.
        """
        self.check()
        if pattern is not None:
            compile_pattern(pattern, place)
        return Imported(label_of(name), pattern, tuple(self.notes), tuple(self.warnings), name)


def _say(known: list[str], place: str, what: str) -> None:
    text = f"{place}: {what}" if place else what
    if len(known) < MAX_PROBLEMS and text not in known:
        known.append(text)


def inner(place: str, name: str) -> str:
    """The place of a member, long names cut: files have as many places as they have values."""
    return f"{place}.{name:.100}" if place else name[:100]


def kind_of(value: object) -> str:
    """What a value is, in a message."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return f"{value!a:.40}"


def number_text(value: float) -> str:
    """A number as most writers of text have it: no fraction where there is none."""
    return str(int(value)) if abs(value) < LARGEST and value == int(value) else repr(value)


def holds_without(spec: Mapping[str, object]) -> bool:
    """Whether a pattern, or a policy of SNS, holds where there is nothing at all to look at."""
    return all(_field_holds_without(name, content) for name, content in spec.items())


def _field_holds_without(name: str, content: object) -> bool:
    if isinstance(content, dict):
        return holds_without(content)
    if not isinstance(content, list):
        return False
    if name == "$or":
        return any(holds_without(part) for part in content if isinstance(part, dict))
    return {"exists": False} in content


def label_of(name: str) -> str:
    """The DNS label nearest to a name."""
    label = _NO_LABEL.sub("-", name[:1000].lower()).strip("-")[:_LONGEST_NAME].strip("-")
    return label or "imported"


def with_name(one: Imported, name: str = "") -> Imported:
    """The filter under that name; under its own, with a note if the file calls it something else."""
    if name or one.called == one.name:
        return replace(one, name=name or one.name)
    note = f"{one.called!a:.80} is called {one.name} here: the name of a subscription is a DNS label, and its own"
    return replace(one, notes=(*one.notes, note))


def import_all(founds: Sequence[Found], convert: Callable[[Found], Imported]) -> list[Imported]:
    """Convert them all; of two that have one name the second gets a number.

    :raises ConfigError: all that is wrong with any of them.
    """
    made: list[Imported] = []
    problems: list[str] = []
    for found in founds:
        try:
            made.append(convert(found))
        except ConfigError as problem:
            problems += problem.problems
    if problems:
        raise ConfigError(*problems[:MAX_PROBLEMS])
    return _with_own_names(made)


def leave_out(made: Sequence[Imported], found: Sequence[Found], what: str) -> list[Imported]:
    """Say with the first filter which places of the file were found to have none."""
    texts = [f"{one.place or 'the file'}: left out, {what}" for one in found if one.spec is None]
    first = replace(made[0], warnings=(*made[0].warnings, *texts[:MAX_PROBLEMS]))
    return [first, *made[1:]]


def _with_own_names(made: Sequence[Imported]) -> list[Imported]:
    taken: set[str] = set()
    named: list[Imported] = []
    for one in made:
        name, number = one.name, 2
        while name in taken:
            name, number = f"{one.name[: _LONGEST_NAME - 5]}-{number}", number + 1
        taken.add(name)
        named.append(replace(one, name=name))
    return named
