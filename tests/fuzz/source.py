"""Source: the bytes of one input, read as choices.

An input whose first byte is odd is text, as a user or a peer could have sent
it, in parts that `SEPARATOR` divides; the fuzzer changes it byte by byte. Any
other input is a row of choices from which a grammar makes something that
mostly compiles. Bytes that are not there count as 0, and every grammar takes
0 for the choice that ends, so that each input comes to an end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

SEPARATOR = b"\x1e"
"""Between the parts of a text input; no language here has it."""

T = TypeVar("T")


class Source:
    """One input."""

    def __init__(self, data: bytes) -> None:
        self.is_text = bool(data) and data[0] % 2 == 1
        self._data = data
        self._at = 1

    @property
    def is_empty(self) -> bool:
        """Whether all that follows is 0."""
        return self._at >= len(self._data)

    def rest(self) -> bytes:
        """All that was not read yet."""
        rest = self._data[self._at :]
        self._at = len(self._data)
        return rest

    def parts(self, count: int) -> list[bytes]:
        """The rest in so many parts; those that are not there are empty."""
        parts = self.rest().split(SEPARATOR, count - 1)
        return parts + [b""] * (count - len(parts))

    def byte(self) -> int:
        """The next byte."""
        value = self._data[self._at] if self._at < len(self._data) else 0
        self._at += 1
        return value

    def below(self, limit: int) -> int:
        """A number from 0 to below the limit."""
        return (self.byte() if limit <= 256 else self.byte() << 8 | self.byte()) % limit

    def rarely(self, of: int = 16) -> bool:
        """True once in so many times; never at the end."""
        return self.below(of) == of - 1

    def pick(self, choices: Sequence[T]) -> T:
        """One of these; at the end the first."""
        return choices[self.below(len(choices))]

    def taken(self, size: int) -> bytes:
        """Up to so many bytes."""
        found = self._data[self._at : self._at + size]
        self._at += size
        return found

    def text(self, size: int = 8) -> str:
        """Up to so many bytes as text; what is not UTF-8 becomes lone surrogates."""
        return text_of(self.taken(self.below(size + 1)))


def text_of(data: bytes) -> str:
    """Bytes as text; what is not UTF-8 becomes lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def written(*parts: bytes | str) -> bytes:
    """A text input of these parts: what a seed is."""
    return b"\x01" + SEPARATOR.join(
        part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part for part in parts
    )
