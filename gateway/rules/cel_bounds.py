"""What a CEL expression may not contain, because the evaluator runs to its end and cannot be stopped.

What is left takes time in proportion to the event: macros are few, `map` and
`filter` (quadratic in the library) are not among them, their bodies name only
the macro's own variable, and regular expressions stand in the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LENGTH = 4096
"""Characters of an expression."""
MAX_NESTING = 64
"""Brackets inside each other."""
MAX_MACROS = 4
"""Macros in one expression: each may walk an array, 3 µs an element."""
MAX_SUMS = 32
"""Uses of `+`: each may copy a text as long as the data."""
MAX_REGEX = 200
"""Characters of a regular expression."""
MAX_REPETITIONS = 2
"""Counted repetitions in one; nested ones cost milliseconds an event."""

_MACROS = frozenset({"all", "exists", "exists_one"})
_QUADRATIC = frozenset({"map", "filter"})
_WORDS = frozenset({"true", "false", "null", "in"})
_STRING = r"""[bB]?[rR][bB]?(?:\"\"\".*?\"\"\"|'''.*?'''|"[^"\n]*+"|'[^'\n]*+')
    |[bB]?(?:\"\"\"(?:[^\\"]|\\.|"(?!""))*+\"\"\"|'''(?:[^\\']|\\.|'(?!''))*+'''|"(?:[^\\"\n]|\\.)*+"|'(?:[^\\'\n]|\\.)*+')"""
_TOKEN = re.compile(rf"""\s+|//[^\n]*|{_STRING}|[A-Za-z_][A-Za-z0-9_]*|[0-9][0-9A-Za-z.]*|.""", re.VERBOSE | re.DOTALL)


def check_size(text: str, path: str) -> list[str]:
    """Return the tokens of an expression that the library's parser may be given.

    :raises ConfigError: it is too long or too deep.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"{path}: {len(text)} characters, expected at most {MAX_LENGTH}")
    tokens = [found for found in _TOKEN.findall(text) if not found.isspace() and not found.startswith("//")]
    depth = 0
    for found in tokens:
        depth += (found in "([{") - (found in ")]}")
        if depth > MAX_NESTING:
            raise ConfigError(f"{path}: more than {MAX_NESTING} brackets inside each other")
    return tokens


def check_time(tokens: Sequence[str], path: str) -> frozenset[str]:
    """Return the variables of the macros of an expression that parses.

    :raises ConfigError: it could take long; the message says what is expected instead.
    """
    macros = _Macros(tokens, path)
    for at, found in enumerate(tokens):
        if found in ("(", "[", "{"):
            macros.enter(at)
        elif found in (")", "]", "}"):
            macros.leave()
        else:
            macros.name(at)
    if macros.count > MAX_MACROS:
        raise ConfigError(f"{path}: {macros.count} macros, expected at most {MAX_MACROS}")
    if tokens.count("+") > MAX_SUMS:
        raise ConfigError(f"{path}: {tokens.count('+')} times `+`, expected at most {MAX_SUMS}")
    return frozenset(macros.bound)


class _Macros:
    """Which macro the walk through the tokens is inside of."""

    def __init__(self, tokens: Sequence[str], path: str) -> None:
        self.bound: set[str] = set()
        self.inside: list[bool] = []
        """For each open bracket whether it holds a macro's arguments."""
        self.count = 0
        self._tokens = tokens
        self._path = path

    def enter(self, at: int) -> None:
        tokens = self._tokens
        is_macro = (
            tokens[at] == "("
            and at > 1
            and tokens[at - 2] == "."
            and tokens[at - 1] in _MACROS
            and tokens[at + 2 : at + 3] == [","]
        )
        if is_macro:
            if any(self.inside) and not self._is_rooted(at - 2):
                raise ConfigError(f"{self._path}: a macro inside another may only walk what the other's variable holds")
            self.count += 1
            self.bound.add(tokens[at + 1])
        self.inside.append(is_macro)

    def leave(self) -> None:
        if not self.inside:
            raise ConfigError(f"{self._path}: a bracket is closed that was not opened")
        self.inside.pop()

    def name(self, at: int) -> None:
        """Look at a token that is no bracket."""
        tokens, found = self._tokens, self._tokens[at]
        is_member = at > 0 and tokens[at - 1] == "."
        is_call = tokens[at + 1 : at + 2] == ["("]
        if found in _QUADRATIC and is_member and is_call:
            expected = ", ".join(sorted(_MACROS))
            raise ConfigError(f"{self._path}: {found}() takes quadratic time, expected one of {expected}")
        if found == "matches" and is_call:
            self._check_regex(at)
        elif any(self.inside) and found.isidentifier() and not (is_member or is_call or found in _WORDS | self.bound):
            raise ConfigError(f"{self._path}: {found} inside a macro, where only the macro's variable may be named")

    def _is_rooted(self, dot: int) -> bool:
        """Whether what stands before that dot is a macro's variable, or a member of one."""
        at, tokens = dot - 1, self._tokens
        while at > 1 and tokens[at - 1] == "." and tokens[at].isidentifier():
            at -= 2
        return tokens[at] in self.bound and tokens[at - 1] != "."

    def _check_regex(self, at: int) -> None:
        """`text.matches('literal')`: what is compiled anew for each event must be small, and known."""
        tokens, literal = self._tokens, "".join(self._tokens[at + 2 : at + 3])
        if tokens[at - 1] != "." or literal[-1:] not in ("'", '"') or tokens[at + 3 : at + 4] != [")"]:
            raise ConfigError(f"{self._path}: matches() takes its regular expression as a literal: text.matches('...')")
        if any(self.inside):
            raise ConfigError(f"{self._path}: matches() inside a macro would compile its expression for each element")
        if len(literal) > MAX_REGEX or literal.count("{") > MAX_REPETITIONS:
            raise ConfigError(
                f"{self._path}: expected a regular expression of at most {MAX_REGEX} characters "
                f"and {MAX_REPETITIONS} counted repetitions"
            )
