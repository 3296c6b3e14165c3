"""CESQL 1.0, the CloudEvents SQL Expression Language, compiled to one predicate.

    text ─ cesql_grammar ─▶ cesql_tree ─ cesql_writing ─▶ a Python expression ─▶ Rule
                                 ├────── cesql_anchors ─▶ what an index may look up
                                 └────── cesql_explaining ─▶ which term was false

An expression always has a value and may have an error; errors end it at once
(the fail fast mode, CESQL 1.0, 4.1). As a filter it passes the events for which
it is the Boolean true without an error, and no others (1.2). The syntax is that
of the specification's grammar, what it means is said by its text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from gateway.core.errors import ConfigError
from gateway.rules.cesql_anchors import anchors
from gateway.rules.cesql_explaining import Explanation
from gateway.rules.cesql_functions import FUNCTIONS, kind_of, signature
from gateway.rules.cesql_grammar import MAX_PROBLEMS, parse, problem
from gateway.rules.cesql_tree import Attribute, Call, attributes, children
from gateway.rules.cesql_writing import predicate, valuation
from gateway.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.event import Event
    from gateway.rules.cesql_tree import Node, Value
    from gateway.rules.lens import Lens

Outcome: TypeAlias = "tuple[Value, str | None]"
"""The value of an expression, and the kind of its error: math, cast, missingAttribute, missingFunction or
functionEvaluation; None: it has none."""


def compile_cesql(text: object, path: str = "cesql", *, lens: Lens | None = None) -> Rule:  # noqa: ARG001  # as all languages
    """Compile an expression as a filter. CESQL does not see data, so the lens stays unused.

    Calls of functions that do not exist are refused here, although the
    specification lets them wait until they are evaluated: such a filter is
    a mistake (3.3 asks for checks at compile time where they are possible).

    :raises ConfigError: all that is wrong with it, each with its place in the text.
    """
    node = _read(text, path)
    if problems := _missing_functions(node, str(text), path):
        raise ConfigError(*problems)
    named = attributes(node)
    return Rule(
        matches=predicate(node, path),
        explain=Explanation(str(text), path, node).lines,
        reads=frozenset(name for name in named if name != "specversion"),  # which never changes
        anchors=anchors(node),
    )


def evaluator(text: str) -> Callable[[Event], Outcome]:
    """Compile an expression to what it is as a language: a function from an event to a value and an error.

    It never raises. What ends with an error has the value that its outermost
    operator or function gives it: mostly the zero value of its type (3.3).

    :raises ConfigError: it is no expression (the error kind `parse`).
    """
    node = _read(text, "cesql")
    evaluate = valuation(node, "cesql")
    kind = bool if isinstance(node, Attribute) else kind_of(node)  # one that is missing is false (3.2)
    zero: Value = "" if kind is str else 0 if kind is int else False

    def outcome(event: Event) -> Outcome:
        errors: list[tuple[str, Value | None]] = []

        def inside(kind: str, _: Value | None = None, /) -> None:
            errors.append((kind, None))

        def outermost(kind: str, value: Value | None = None, /) -> None:
            errors.append((kind, value))

        value = evaluate(event, inside, outermost)
        if value is not None:
            return value, None
        kind, own = errors[0]
        return zero if own is None else own, kind

    return outcome


def _read(text: object, path: str) -> Node:
    if not isinstance(text, str):
        raise ConfigError(f"{path}: expected a CESQL expression, a string, got {text!a:.40}")
    return parse(text, path)


def _missing_functions(node: Node, text: str, path: str) -> list[str]:
    problems: list[str] = []
    waiting = [node]
    while waiting and len(problems) < MAX_PROBLEMS:
        inner = waiting.pop()
        waiting.extend(reversed(children(inner)))
        if isinstance(inner, Call) and signature(inner.name, count := len(inner.arguments)) is None:
            what = f"there is no function {inner.name[:40]} of {count} argument{'' if count == 1 else 's'}"
            if inner.name not in FUNCTIONS:
                what += f"; expected one of {', '.join(FUNCTIONS)}"
            problems.append(problem(text, path, inner.start, what))
    return problems
