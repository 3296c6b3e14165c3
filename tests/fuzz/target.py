"""Target: one parser and the law that every input is held to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gateway.core.errors import ConfigError
    from gateway.core.event import Event
    from gateway.rules.rule import Rule

MAX_TOLD = 200
"""Problems that one mistake of a user may be told in."""
MAX_PROBLEM = 4_000
"""Characters of one of them."""


class Broken(AssertionError):
    """An input for which a law does not hold."""


class Target(NamedTuple):
    """One parser."""

    name: str
    law: str
    check: Callable[[bytes], bool]
    """Takes one input; whether it got past the parser. What it raises is a bug."""
    words: Sequence[str] = ()
    """Of its language, for the fuzzer to put in."""
    seeds: Callable[[], Iterable[bytes]] = tuple
    """Inputs to begin with."""


def demand(held: object, law: str, *seen: object) -> None:
    """Hold something to be so.

    :raises Broken: it is not; with what was seen instead.
    """
    if not held:
        raise Broken(f"{law}: {', '.join(f'{one!r:.300}' for one in seen)}")


def refused(problem: ConfigError) -> bool:
    """False, for an input that was refused in the way that users can read."""
    demand(0 < len(problem.problems) <= MAX_TOLD, "a refusal has problems, and not too many", len(problem.problems))
    for text in problem.problems:
        demand(0 < len(text) <= MAX_PROBLEM, "a problem is a line or two", len(text), text)
    return False


def is_printable(text: str) -> bool:
    """Whether it can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def asked(rule: Rule, event: Event) -> bool:
    """The answer of a rule, held to what every rule promises."""
    answer = rule.matches(event)
    demand(isinstance(answer, bool), "an answer is true or false", answer)
    why = rule.explain(event)
    demand(bool(why) is not answer, "explained exactly when it does not match", answer, why, event)
    demand(rule.matches(event.but()) is answer, "asked twice, answered the same", answer, event)
    return answer
