"""Interest: what this region wants from each other, and what that means at the log that is read.

An interest is the JSON of one filter (the union of the subscriptions' own),
empty for everything. It has a version, so that a reader learns from which
offset on it holds.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gateway.core.errors import ConfigError, IsthmusError
from gateway.rules.dialects import compile_filter, union
from gateway.rules.lens import Lens
from gateway.rules.match import Matcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.core.event import Event

EVERYTHING = ""
LARGEST = 512 * 1024
"""Bytes of an expression; a longer one asks for everything, because a message of it would not get through."""
MOST = 20_000
"""Filters of one expression; with more everything is sent, because their index would take too much memory."""
_SHORT = 2048
"""Characters of an expression that compiles in a moment."""
_DEPTH = 40
_TERMS = 100_000
"""A union wraps and adds up what each subscription may have."""


class Interest(NamedTuple):
    """What one region wants from another."""

    version: int
    """Grows with every change, within one process."""
    expression: str
    """JSON of a filter; empty: everything."""
    since: float | None
    """Where a log without a position is begun: accepted at this time or later; None: at its first record."""


class Wanted(NamedTuple):
    """What one subscription wants of one region."""

    filter: object | None
    """In the dialects (gateway/rules/dialects.py); None: everything."""
    since: float | None
    """Its creation, seconds since 1970; None: from the earliest."""


class Interests:
    """The current interest in every region; links wait on it for changes."""

    def __init__(self) -> None:
        self._current: dict[str, Interest] = {}
        self._version = 0
        self._changed = asyncio.Event()

    @property
    def regions(self) -> frozenset[str]:
        """The regions somebody here wants something from."""
        return frozenset(self._current)

    def of(self, region: str) -> Interest | None:
        """The interest in that region; None: nobody wants anything."""
        return self._current.get(region)

    def want(self, region: str, wanted: Sequence[Wanted]) -> int:
        """Replace what is wanted from a region by the union of these; none: nothing. Return the version."""
        before = self._current.get(region)
        if not wanted:
            if self._current.pop(region, None):
                self._announce()
            return self._version
        since = None if any(one.since is None for one in wanted) else min(one.since or 0.0 for one in wanted)
        expression = _expression(wanted)
        if before is not None and (before.expression, before.since) == (expression, since):
            return before.version
        self._version += 1
        self._current[region] = Interest(self._version, expression, since)
        self._announce()
        return self._version

    async def changed(self) -> None:
        """Wait for the next change in any region."""
        await self._changed.wait()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _expression(wanted: Sequence[Wanted]) -> str:
    together = union([one.filter for one in wanted])
    expression = EVERYTHING if together is None else msgspec.json.encode(together).decode()
    return expression if len(expression) <= LARGEST else EVERYTHING


class Compiled(NamedTuple):
    """An interest at the log that is read."""

    choose: Callable[[Sequence[Event]], Sequence[int]] | None
    """Of some events the indexes of those that are wanted, ascending; None: all are, and nothing needs to be opened."""
    problem: str
    """Why it could not be compiled (everything matches then); empty: it could."""


def compile_interest(expression: str) -> Compiled:
    """Compile a peer's expression. One that cannot be compiled counts as true: too much is sent, never too little."""
    if expression == EVERYTHING:
        return Compiled(None, "")
    if len(expression) > LARGEST:
        return Compiled(None, f"{len(expression)} characters, expected at most {LARGEST}")
    try:
        return Compiled(_chooser(msgspec.json.decode(expression)), "")
    except (msgspec.DecodeError, IsthmusError, RecursionError) as problem:
        return Compiled(None, f"{type(problem).__name__}: {problem}"[:500])


async def compile_interest_aside(expression: str) -> Compiled:
    """The same; a long one in a thread, so that the loop goes on meanwhile. Cancelled, the thread ends by itself."""
    if len(expression) <= _SHORT:
        return compile_interest(expression)
    return await asyncio.to_thread(compile_interest, expression)


def _chooser(spec: object) -> Callable[[Sequence[Event]], Sequence[int]]:
    """The filter over many events; a union as an index over its parts."""
    parts = spec.get("any") if isinstance(spec, dict) and len(spec) == 1 else None
    filters = {f"interest.any[{index}]": part for index, part in enumerate(parts)} if isinstance(parts, list) else {}
    if len(filters) > MOST:
        raise ConfigError(f"interest.any: {len(filters)} filters, expected at most {MOST}")
    lens = Lens()
    rules = {
        path: compile_filter(part, path, lens=lens, depth=_DEPTH, terms=_TERMS)
        for path, part in (filters or {"interest": spec}).items()
    }
    return Matcher(rules, lens).matching
