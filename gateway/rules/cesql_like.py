"""LIKE: patterns of `%` (any characters) and `_` (one character), matched in linear time.

A pattern is cut at each `%` into stretches of known length. The first must begin
the value and the last must end it; those between are searched for from left to
right, each as early as it goes, which is enough: what is behind only gets room.
There is no going back.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_FLOATING = 256
"""Characters, in one expression, of stretches that have `_` and stand between two `%`: such a stretch may cost its
length at each character of the value."""

_piece = re.compile(r"\\[%_]|[%_]|[^\\%_]+|\\", re.DOTALL).findall


class Stretch(NamedTuple):
    """What stands between two `%`."""

    size: int
    texts: tuple[tuple[int, str], ...]
    """What must be where; all other characters are free. Neighbours are one."""

    @property
    def is_plain(self) -> bool:
        """Whether it is one text and no more (or nothing)."""
        return sum(len(text) for _, text in self.texts) == self.size


def stretches(pattern: str) -> tuple[Stretch, ...]:
    """Cut a pattern. After a backslash `%` and `_` are themselves; any other backslash is itself (CESQL 1.0, 3.4.3)."""
    found = []
    size = 0
    texts: list[tuple[int, str]] = []
    for piece in _piece(pattern):
        if piece == "%":
            found.append(Stretch(size, tuple(texts)))
            size, texts = 0, []
        elif piece == "_":
            size += 1
        else:
            text = piece[1:] if len(piece) > 1 and piece[0] == "\\" else piece
            if texts and texts[-1][0] + len(texts[-1][1]) == size:
                texts[-1] = (texts[-1][0], texts[-1][1] + text)
            else:
                texts.append((size, text))
            size += len(text)
    found.append(Stretch(size, tuple(texts)))
    return tuple(found)


def floating(pattern: str) -> int:
    """How much of `MAX_FLOATING` the pattern takes."""
    return sum(stretch.size for stretch in stretches(pattern)[1:-1] if not stretch.is_plain)


def matcher(cut: Sequence[Stretch]) -> Callable[[str], bool]:
    """Whether a value is like the pattern that was cut so."""
    first, last = cut[0], cut[-1]
    least = sum(stretch.size for stretch in cut)
    if len(cut) == 1:
        return lambda value: len(value) == least and _stands(first, value, 0)
    finders = [_finder(stretch) for stretch in cut[1:-1] if stretch.size]

    def is_like(value: str) -> bool:
        end = len(value) - last.size
        if len(value) < least or not _stands(first, value, 0) or not _stands(last, value, end):
            return False
        position = first.size
        for find in finders:
            position = find(value, position, end)
            if position < 0:
                return False
        return True

    return is_like


def _stands(stretch: Stretch, value: str, start: int) -> bool:
    """Whether the stretch is there; the value is long enough."""
    return all(value.startswith(text, start + offset) for offset, text in stretch.texts)


def _finder(stretch: Stretch) -> Callable[[str, int, int], int]:
    """Where the first such stretch between two positions ends; -1: there is none."""
    size = stretch.size
    if stretch.is_plain:
        text = stretch.texts[0][1]

        def find(value: str, start: int, end: int) -> int:
            position = value.find(text, start, end)
            return position if position < 0 else position + size

        return find
    letters = ["."] * size
    for offset, text in stretch.texts:
        letters[offset : offset + len(text)] = map(re.escape, text)
    search = re.compile("".join(letters), re.DOTALL).search  # of fixed length: nothing in it repeats

    def find_loose(value: str, start: int, end: int) -> int:
        found = search(value, start, end)
        return -1 if found is None else found.end()

    return find_loose
