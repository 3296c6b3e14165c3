"""The grammar of CESQL 1.0: text to tree, within bounds.

    expression   OR AND XOR, all of one rank, the right one first
      operand    = != <> < <= > >=   then + -   then * / %   then IN   then LIKE
        primary  NOT and - (they bind closest), EXISTS, calls, ( ), attributes, literals

The lexer takes the longest token, so a sign that touches a digit belongs to the
number: `4 -1` is two numbers and no subtraction. What the grammar does not know
is refused; nothing is skipped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NoReturn

from gateway.core.errors import ConfigError
from gateway.rules import cesql_tree as tree
from gateway.rules.cesql_like import MAX_FLOATING, floating
from gateway.rules.cesql_values import LARGEST, SMALLEST, integer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.rules.cesql_tree import Node

MAX_TEXT = 16_384
"""Characters of an expression."""
MAX_DEPTH = 64
"""Operators, calls and parentheses inside each other. A chain of one of AND, OR and XOR counts once, one of
arithmetic as often as it has operators."""
MAX_TERMS = 4096
"""Attributes, literals and calls in an expression."""
MAX_PROBLEMS = 20
"""Problems of one expression that are told."""

_AROUND = 24
"""Characters shown on each side of a mistake."""
_token = re.compile(
    r"""[ \t\r\n]*+(?:
        ([A-Za-z0-9_]++)
      | ((?:<>|<=|>=|!=|[=<>(),*/%]|[+-](?![0-9])))
      | ('(?:\\.|''|[^'\\])*'|"(?:\\.|""|[^"\\])*")
      | ([+-][0-9]++)
      | (\Z))""",
    re.DOTALL | re.VERBOSE,
).match
_is_function = re.compile(r"[A-Za-z][A-Za-z_]*").fullmatch
_WORD, _OPERATOR, _STRING, _SIGNED = 1, 2, 3, 4
_KEYWORDS = frozenset(("AND", "OR", "XOR", "NOT", "LIKE", "IN", "EXISTS", "TRUE", "FALSE"))
_LEVELS = {"LIKE": 5, "IN": 4, "*": 3, "/": 3, "%": 3, "+": 2, "-": 2}
_COMPARISON = 1
_LEVELS |= dict.fromkeys(("=", "!=", "<>", "<", "<=", ">", ">="), _COMPARISON)
_LOGIC = frozenset(("AND", "OR", "XOR"))
_VALUE = "a value (an attribute, a literal, a function or an expression in parentheses)"
_END: Final = ""


def parse(text: str, path: str) -> Node:
    """Read an expression.

    :raises ConfigError: it is none, or beyond the bounds; where, and what was expected there.
    """
    if len(text) > MAX_TEXT:
        raise ConfigError(f"{path}: {len(text)} characters; expected at most {MAX_TEXT}")
    parser = _Parser(text, path)
    node = parser.expression(1)
    if parser.kinds[parser.at] is not _END:
        parser.expect_an_operator()
    if parser.problems:
        raise ConfigError(*parser.problems)
    return node


def problem(text: str, path: str, start: int, what: str) -> str:
    """What is wrong at a place of the text, with the place."""
    line = text.count("\n", 0, start) + 1
    column = start - text.rfind("\n", 0, start)
    before, after = text[max(0, start - _AROUND) : start], text[start : start + _AROUND]
    shown = "".join(letter if letter.isprintable() else " " for letter in f"{before}>>>{after}")
    return f"{path}: line {line}, column {column}: {what}; here: {shown}"


class _Parser:
    """Tokens, and how far they are read."""

    def __init__(self, text: str, path: str) -> None:
        self.text = text
        self.path = path
        self.problems: list[str] = []
        self.kinds: list[str] = []
        """Keywords and operators themselves; else `name`, `function`, `integer`, `string`, and `_END` at the end."""
        self.words: list[str] = []
        self.starts: list[int] = []
        self.at = 0
        self.terms = 0
        self.floating = 0
        self.deep = 0
        """Depth of the node that was read last."""
        self._cut()

    def _cut(self) -> None:
        """Cut the text into tokens."""
        text, kinds, words, starts = self.text, self.kinds, self.words, self.starts
        position = 0
        while True:
            found = _token(text, position)
            if found is None:
                self._refuse_character(position)
            group = found.lastindex
            if group is None or group > _SIGNED:
                break
            word = found[group]
            if group == _WORD:
                kinds.append(_kind_of(word))
            elif group == _OPERATOR:
                kinds.append(word)
            else:
                kinds.append("string" if group == _STRING else "integer")
            words.append(word)
            position = found.end()
            starts.append(position - len(word))
        kinds.append(_END)
        words.append("")
        starts.append(len(text))

    def _refuse_character(self, position: int) -> NoReturn:
        while self.text[position] in " \t\r\n":
            position += 1
        letter = self.text[position]
        what = f"{letter!a} has no meaning in CESQL" if letter not in "'\"" else f"the string has no closing {letter}"
        raise ConfigError(problem(self.text, self.path, position, what))

    def expression(self, depth: int) -> Node:
        """Operands joined by AND, OR and XOR. These are of one rank, and `a AND b OR c` is `a AND (b OR c)`."""
        start = self.starts[self.at]
        first = self.operand(1, depth)
        if self.kinds[self.at] not in _LOGIC:
            return first
        operands, hows, deeps = [(start, first)], [], [self.deep]
        while (how := self.kinds[self.at]) in _LOGIC:
            self.at += 1
            hows.append(how)
            operands.append((self.starts[self.at], self.operand(1, depth + 1)))
            deeps.append(self.deep)
        return self._fold(operands, hows, deeps)

    def _fold(self, operands: Sequence[tuple[int, Node]], hows: Sequence[str], deeps: Sequence[int]) -> Node:
        """Join the operands from the right; neighbours with the same operator make one chain."""
        end = self._last_end()
        index = len(hows)
        (_, node), deep = operands[-1], deeps[-1]
        while index:
            how = hows[index - 1]
            run = [node]
            while index and hows[index - 1] == how:
                index -= 1
                run.append(operands[index][1])
                deep = max(deep, deeps[index])
            deep += 1
            self._check_depth(deep)
            node = tree.Logic(how, tuple(reversed(run)), start=operands[index][0], end=end)
        self.deep = deep
        return node

    def operand(self, least: int, depth: int) -> Node:
        """Everything that binds at least as close as the level `least`, left to right."""
        start = self.starts[self.at]
        left = self.primary(depth)
        deep = self.deep
        while True:
            kind = self.kinds[self.at]
            negated = kind == "NOT" and self.kinds[self.at + 1] in {"LIKE", "IN"}
            if negated:
                kind = self.kinds[self.at + 1]
            level = _LEVELS.get(kind, 0)
            if level < least:
                self.deep = deep
                return left
            self.at += 1 + negated
            left = self._join(left, kind, start, depth + 1)
            if negated:
                left = tree.Not(left, start=start, end=left.end)
            deep = max(deep, self.deep) + 1 + negated
            self._check_depth(deep)

    def _join(self, left: Node, kind: str, start: int, depth: int) -> Node:
        """What follows the operator, joined with what stands before it."""
        match kind:
            case "LIKE":
                if self.kinds[self.at] != "string":
                    self._fail("expected a string literal as the pattern of LIKE")
                pattern = _unquoted(self.words[self.at])
                if "_" in pattern:
                    self._float(pattern)
                self.at += 1
                self.deep = 0
                return tree.Like(left, pattern, start=start, end=self._last_end())
            case "IN":
                if self.kinds[self.at] != "(":
                    self._fail("expected ( and the set of IN")
                if self.kinds[self.at + 1] == ")":
                    self.at += 1
                    self._fail("expected at least one element in the set of IN")
                elements = self._list(depth)
                return tree.In(left, elements, start=start, end=self._last_end())
        level = _LEVELS[kind]
        right = self.operand(level + 1, depth)
        end = self._last_end()
        if level > _COMPARISON:
            return tree.Arithmetic(kind, left, right, start=start, end=end)
        return tree.Comparison("!=" if kind == "<>" else kind, left, right, start=start, end=end)

    def primary(self, depth: int) -> Node:  # noqa: PLR0911  # one case a kind of token
        """One value, with the unary operators before it."""
        self._check_depth(depth)
        at = self.at
        kind, word, start = self.kinds[at], self.words[at], self.starts[at]
        self.at += 1
        self.deep = 1
        match kind:
            case "name" if self.kinds[self.at] == "(":
                return self._call(word, start, depth)
            case "name":
                self._count()
                return tree.Attribute(word.lower(), start=start, end=start + len(word))
            case "string":
                self._count()
                return tree.Literal(_unquoted(word), start=start, end=start + len(word))
            case "integer":
                return self._integer(word, start)
            case "TRUE" | "FALSE":
                self._count()
                return tree.Literal(kind == "TRUE", start=start, end=start + len(word))
            case "(":
                node = self.expression(depth + 1)
                self._take(")", "expected an operator or )")
                return node
            case "NOT" | "-":
                part = self.primary(depth + 1)
                self.deep += 1
                make = tree.Not if kind == "NOT" else tree.Negative
                return make(part, start=start, end=self._last_end())
            case "EXISTS":
                return self._exists(start)
            case "function" if self.kinds[self.at] == "(":
                return self._call(word, start, depth)
        self.at = at
        return self._fail(f"expected {_VALUE}")

    def _integer(self, word: str, start: int) -> Node:
        self._count()
        value = integer_of(word)
        if value is None:
            self._note(start, f"expected an Integer from {SMALLEST} to {LARGEST}")
        return tree.Literal(value or 0, start=start, end=start + len(word))

    def _exists(self, start: int) -> Node:
        if self.kinds[self.at] != "name":
            self._fail("expected the name of an attribute after EXISTS")
        self._count()
        self.at += 1
        return tree.Exists(self.words[self.at - 1].lower(), start=start, end=self._last_end())

    def _call(self, word: str, start: int, depth: int) -> Node:
        if not _is_function(word):
            self._note(start, "expected the name of a function to have only letters and _")
        self._count()
        if self.kinds[self.at + 1] == ")":
            self.at += 2
            return tree.Call(word.upper(), (), start=start, end=self._last_end())
        arguments = self._list(depth + 1)
        self.deep += 1
        self._check_depth(self.deep)
        return tree.Call(word.upper(), arguments, start=start, end=self._last_end())

    def _list(self, depth: int) -> tuple[Node, ...]:
        """Expressions in parentheses with commas between them; `deep` is the depth of the deepest."""
        found = []
        deep = 0
        while True:
            self.at += 1  # over the parenthesis or the comma
            found.append(self.expression(depth))
            deep = max(deep, self.deep)
            if self.kinds[self.at] != ",":
                break
        self._take(")", "expected an operator, a comma or )")
        self.deep = deep
        return tuple(found)

    def _take(self, kind: str, otherwise: str) -> None:
        if self.kinds[self.at] != kind:
            self.expect_an_operator(otherwise)
        self.at += 1

    def _last_end(self) -> int:
        """Where the token that was read last ends."""
        return self.starts[self.at - 1] + len(self.words[self.at - 1])

    def _count(self) -> None:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise ConfigError(f"{self.path}: expected at most {MAX_TERMS} attributes, literals and calls")

    def _float(self, pattern: str) -> None:
        self.floating += floating(pattern)
        if self.floating > MAX_FLOATING:
            self._fail(f"expected at most {MAX_FLOATING} characters, of all patterns, between two % and beside a _")

    def _check_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            self._fail(f"expected at most {MAX_DEPTH} operators, calls and parentheses inside each other")

    def expect_an_operator(self, otherwise: str = "expected an operator or the end") -> NoReturn:
        """Refuse the token that stands where an operator should."""
        if self.kinds[self.at] == "integer" and self.words[self.at][0] in "+-":
            sign = self.words[self.at][0]
            otherwise += f" (a {sign} that touches a digit belongs to the number: put a space after it)"
        self._fail(otherwise)

    def _note(self, start: int, what: str) -> None:
        """Something is wrong, and yet the rest can be read."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem(self.text, self.path, start, what))

    def _fail(self, what: str) -> NoReturn:
        word = self.words[self.at]
        got = f"got {word[:_AROUND]!a}" if self.kinds[self.at] is not _END else "got the end"
        raise ConfigError(*self.problems, problem(self.text, self.path, self.starts[self.at], f"{what}, {got}"))


def _kind_of(word: str) -> str:
    if (keyword := word.upper()) in _KEYWORDS:
        return keyword
    if word.isdecimal():
        return "integer"
    return "function" if "_" in word else "name"


def _unquoted(word: str) -> str:
    """The characters of a string literal: only its own quote is escaped, all else stands for itself (2.2)."""
    quote = word[0]
    return word[1:-1].replace(f"\\{quote}", quote) if "\\" in word else word[1:-1]
