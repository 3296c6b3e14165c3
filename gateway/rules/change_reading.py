"""What is wrong with the steps of a change: collected, bounded, each with its path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.rules.places import Unreadable, read_place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.rules.mask import MaskKeys
    from gateway.rules.places import Part, Place

MAX_STEPS = 100
"""Steps of one change."""
MAX_PLACES = 200
"""Places of one step."""
MAX_PROBLEMS = 50
"""Problems of one change that are told."""
MAX_VALUES = 1024 * 1024
"""Characters of all values and templates of one change, brackets and names counted too."""


@dataclass(slots=True)
class Reading:
    """Reads what users wrote, and notes all that is wrong with it."""

    keys: Mapping[str, MaskKeys]
    room: int = MAX_VALUES
    """Characters that values may still have."""
    problems: list[str] = field(default_factory=list)
    reads: set[tuple[Part, ...]] = field(default_factory=set)
    """Where in the data templates look."""

    @property
    def is_full(self) -> bool:
        """Whether no more problems are taken."""
        return len(self.problems) >= MAX_PROBLEMS

    def wrong(self, path: str, problem: object) -> None:
        """Note a problem."""
        if not self.is_full:
            self.problems.append(f"{path}: {problem}" if path else str(problem))

    def spend(self, size: int, path: str) -> bool:
        """Take some of the room for values; false, and a problem once, if there is not enough."""
        had = self.room >= 0
        self.room -= size
        if had and self.room < 0:
            self.wrong(path, f"the values of all steps have more than {MAX_VALUES} characters, expected fewer")
        return self.room >= 0

    def place(self, text: object, path: str) -> Place | None:
        """A place; None, and a problem, if it is none."""
        try:
            return read_place(text)
        except Unreadable as problem:
            self.wrong(path, problem)
            return None

    def mapping(self, content: object, path: str, what: str) -> dict[object, object]:
        """A mapping of something; empty, and a problem, if it is none."""
        if isinstance(content, dict) and 0 < len(content) <= MAX_PLACES:
            return content
        return dict(self._not(content, path, f"a mapping of 1 to {MAX_PLACES} {what}"))

    def sequence(self, content: object, path: str, what: str) -> list[object]:
        """A list of something; empty, and a problem, if it is none."""
        if isinstance(content, list) and 0 < len(content) <= MAX_PLACES:
            return content
        return list(self._not(content, path, f"a list of 1 to {MAX_PLACES} {what}"))

    def _not(self, content: object, path: str, expected: str) -> tuple[()]:
        self.wrong(path, f"{shown(content)}, expected {expected}")
        return ()


def shown(content: object) -> str:
    """What kind of thing a user wrote, for a message; short, and without what stands in it."""
    match content:
        case None:
            return "nothing"
        case list() | dict():
            return f"a {'list' if isinstance(content, list) else 'mapping'} of {len(content)}"
        case str() | int() | float():
            return f"{content!a:.40}"
    return type(content).__name__
