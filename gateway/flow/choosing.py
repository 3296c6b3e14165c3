"""Choosing: which events of a frame each subscription wants, decided once a frame for all who share it.

    frame ─ first who asks ─▶ every rule, behind one index ─▶ Stored.decided ─▶ each takes its own

A frame that only one reader holds (it is behind, and read from disk) is decided
for that one alone. Where nobody else looks into a frame, only the events that
somebody wants stay in memory.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gateway.codec.frames import open_frame
from gateway.rules.match import Matcher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.core.event import Event
    from gateway.core.records import Stored
    from gateway.flow.subscription import Wanted
    from gateway.rules.lens import Lens
    from gateway.rules.rule import Rule


class Choosing:
    """The rules of a node's subscriptions, by name, compiled with one lens."""

    def __init__(
        self,
        rules: Mapping[str, Rule],
        regions: Mapping[str, frozenset[str]],
        lens: Lens,
        *,
        is_needed: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Index the rules; those of `regions` without a rule want everything.

        `is_needed` says whether anybody but subscriptions looks into the events that came in at a region.
        """
        self._rules = rules
        self._is_needed = is_needed
        self._by_all = frozenset[str]().union(*(regions[name] for name in regions.keys() - rules.keys()))
        self._matchers = {
            region: Matcher({name: rules[name] for name in rules if region in regions[name]}, lens)
            for region in frozenset[str]().union(*regions.values())
        }

    def of(self, name: str) -> Wanted | None:
        """How to ask for one subscription; None: it wants everything."""
        return partial(self._choose, name) if name in self._rules else None

    def _choose(self, name: str, stored: Stored) -> Sequence[tuple[int, Event]]:
        if stored.decided is not None:
            return stored.decided.get(name, ())
        events = open_frame(stored.frame) if stored.opened is None else stored.opened
        if not stored.is_shared or len(self._rules) == 1:
            matches = self._rules[name].matches
            return [(index, event) for index, event in enumerate(events) if matches(event)]
        region = stored.frame.header.origin.partition("/")[0]
        stored.decided = self._matchers[region].choose(events)
        if region not in self._by_all and not self._is_needed(region):
            stored.opened = None  # while they are fresh in the cache, dropping them costs a third
        return stored.decided.get(name, ())
