"""What a CEL expression may not contain, because the evaluator runs to its end and cannot be stopped.

What is left takes time in proportion to the event: macros are few and short,
`map` and `filter` (quadratic in the library) are not among them, they walk what
a name holds and name only their own variable; the library copies a value
whenever it is named, so that is counted; and regular expressions stand in the
text, where their size can be seen. The slowest that is left takes one to two
seconds for 1 MiB of data, and 0.5 GiB of memory.
"""

from __future__ import annotations

import re
from math import prod
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
MAX_INSIDE = 40
"""Words and signs between the brackets of all macros: each costs up to 0.1 µs an element."""
MAX_READS = 24
"""Places that name `data`, `attributes` or a macro's variable: each may copy all of the data, 15 ms a MiB."""
MAX_SUMS = 4
"""Uses of `+`: each may copy a list, and what was added to it so far."""
MAX_REGEXES = 8
"""Uses of `matches`: each may take 70 ms a MiB."""
MAX_REGEX = 200
"""Characters of a regular expression."""
MAX_REPETITIONS = 2
"""Counted repetitions in one."""
MAX_WEIGHT = 2000
"""Characters of a regular expression, times its counts: `(.{99}){99}` would take minutes."""
MAX_CLASSES = 40
"""Unicode classes like `\\w` in a regular expression, times its counts: from 50 on each letter takes 1 µs."""

_MACROS = frozenset({"all", "exists", "exists_one"})
_QUADRATIC = frozenset({"map", "filter"})
_WORDS = frozenset({"true", "false", "null", "in"})
_LARGE = frozenset({"data", "attributes"})
_RAW = ("r'", 'r"', "R'", 'R"')
_ESCAPE = re.compile(r"""\\(?:[^\\'"]|$)""")
_COUNTED = re.compile(r"\{([0-9]*),?([0-9]*)\}")
_VERBOSE = re.compile(r"\(\?[A-Za-z-]*x")
_CLASS = re.compile(r"\\[wWdDsSpP]")
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
    large = _LARGE | macros.bound
    reads = sum(found in large and not (at and tokens[at - 1] == ".") for at, found in enumerate(tokens))
    for count, most, what in (
        (macros.count, MAX_MACROS, "macros"),
        (macros.size, MAX_INSIDE, "words and signs in macros"),
        (macros.regexes, MAX_REGEXES, "uses of matches()"),
        (reads, MAX_READS, f"uses of {', '.join(sorted(large))}"),
        (tokens.count("+"), MAX_SUMS, "uses of `+`"),
    ):
        if count > most:
            raise ConfigError(f"{path}: {count} {what}, expected at most {most}")
    return frozenset(macros.bound)


class _Macros:
    """Which macro the walk through the tokens is inside of."""

    def __init__(self, tokens: Sequence[str], path: str) -> None:
        self.bound: set[str] = set()
        self.inside: list[bool] = []
        """For each open bracket whether it holds a macro's arguments."""
        self.literals: list[bool] = []
        """For each open bracket whether it holds what a list or a map is made of."""
        self.count = self.size = self.regexes = 0
        """Macros, tokens inside of them, and uses of `matches`."""
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
        self.size += any(self.inside)
        if is_macro:
            root = self._root(at - 2)
            if any(self.inside) and root not in self.bound:
                raise ConfigError(f"{self._path}: a macro inside another may only walk what the other's variable holds")
            if root is None:
                raise ConfigError(f"{self._path}: a macro may only walk what a name holds, like data.items")
            self.count += 1
            self.bound.add(tokens[at + 1])
        self.inside.append(is_macro)
        self.literals.append(tokens[at] == "{" or (tokens[at] == "[" and not self._ends_value(at - 1)))

    def leave(self) -> None:
        if not self.inside:
            raise ConfigError(f"{self._path}: a bracket is closed that was not opened")
        self.inside.pop()
        self.literals.pop()

    def name(self, at: int) -> None:
        """Look at a token that is no bracket."""
        self.size += any(self.inside)
        tokens, found = self._tokens, self._tokens[at]
        is_member = at > 0 and tokens[at - 1] == "."
        is_call = tokens[at + 1 : at + 2] == ["("]
        if found in _QUADRATIC and is_member and is_call:
            expected = ", ".join(sorted(_MACROS))
            raise ConfigError(f"{self._path}: {found}() takes quadratic time, expected one of {expected}")
        if found in _LARGE | self.bound and any(self.literals) and not is_member:
            raise ConfigError(
                f"{self._path}: {found} in a list or a map would be kept, expected values that stand there"
            )
        if found == "matches" and is_call:
            self._check_regex(at)
        elif any(self.inside) and found.isidentifier() and not (is_member or is_call or found in _WORDS | self.bound):
            raise ConfigError(f"{self._path}: {found} inside a macro, where only the macro's variable may be named")

    def _ends_value(self, at: int) -> bool:
        """Whether what stands there may be followed by an index."""
        last = self._tokens[at] if at >= 0 else ""
        return last in (")", "]", "}") or last[-1:] in ("'", '"') or (last.isidentifier() and last not in _WORDS)

    def _root(self, dot: int) -> str | None:
        """The name at the beginning of what stands before that dot: `data` of `data.items[0]`; None: there is more."""
        at, tokens = dot - 1, self._tokens
        while at >= 0:
            if tokens[at] == "]" and tokens[at - 2] == "[":
                at -= 3
            elif not tokens[at].isidentifier() or tokens[at] in _WORDS:
                return None
            elif at > 0 and tokens[at - 1] == ".":
                at -= 2
            else:
                return tokens[at]
        return None

    def _check_regex(self, at: int) -> None:
        """`text.matches('literal')`: what is compiled anew for each event must be small, and known."""
        tokens, literal = self._tokens, "".join(self._tokens[at + 2 : at + 3])
        if tokens[at - 1] != "." or literal[-1:] not in ("'", '"') or tokens[at + 3 : at + 4] != [")"]:
            raise ConfigError(f"{self._path}: matches() takes its regular expression as a literal: text.matches('...')")
        if any(self.inside):
            raise ConfigError(f"{self._path}: matches() inside a macro would compile its expression for each element")
        self.regexes += 1
        check_regex(literal, self._path)


def check_regex(literal: str, path: str) -> None:
    """Pass if the regular expression in a literal of CEL is small.

    :raises ConfigError: it is not, or nobody could tell.
    """
    if not literal.startswith(_RAW):
        text = literal.replace("\\\\", "")
        if literal[0] not in "'\"" or _ESCAPE.search(text):
            raise ConfigError(f"{path}: expected a regular expression as a raw literal: text.matches(r'...')")
        literal = literal.replace("\\\\", "\\")
    if _VERBOSE.search(literal):
        raise ConfigError(f"{path}: the flag x in a regular expression, expected it without blanks")
    if len(literal) > MAX_REGEX or literal.count("{") > MAX_REPETITIONS:
        raise ConfigError(
            f"{path}: expected a regular expression of at most {MAX_REGEX} characters "
            f"and {MAX_REPETITIONS} counted repetitions"
        )
    times = prod([max([1, *map(int, filter(None, counts))]) for counts in _COUNTED.findall(literal)])
    if len(literal) * times > MAX_WEIGHT or len(_CLASS.findall(literal)) * times > MAX_CLASSES:
        raise ConfigError(
            f"{path}: a regular expression that repeats too much: its characters times its counts may be "
            f"{MAX_WEIGHT}, its classes (\\w, \\d, \\p) times its counts {MAX_CLASSES}"
        )
