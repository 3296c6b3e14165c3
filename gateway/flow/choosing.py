"""Choosing: which events each subscription wants, decided once for all who share them.

    batch ─ at the door, while its events are at hand ──┐
                                                        ├▶ every rule, behind one index ─▶ decided ─▶ each takes its own
    frame of another log, or read again ─ who asks first ┘

A frame that only one reader holds (it is behind, and read from disk) is decided
for that one alone. Where nobody else looks into them, only the events that
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
    from gateway.core.frame import Batch
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
        self._lens = lens
        self._single: dict[str, Matcher] = {}
        """For those who read alone."""
        self._is_needed = is_needed
        self._by_all = frozenset[str]().union(*(regions[name] for name in regions.keys() - rules.keys()))
        self._matchers = {
            region: Matcher({name: rules[name] for name in rules if region in regions[name]}, lens)
            for region in frozenset[str]().union(*(regions[name] for name in rules))
        }

    def of(self, name: str) -> Wanted | None:
        """How to ask for one subscription; None: it wants everything."""
        return partial(self._choose, name) if name in self._rules else None

    def at(self, region: str) -> Callable[[Batch], Batch]:
        """How to decide what comes in at this node, of that region, before it is in the log."""
        if region in self._matchers:
            return partial(self._decide, region)
        return _as_it_is if region in self._by_all else _without_events

    def _decide(self, region: str, batch: Batch) -> Batch:
        events = batch.events
        decided = None if events is None else self._matchers[region].choose(events)
        return batch.known(events if self._keeps(region) else None, decided)

    def _choose(self, name: str, stored: Stored) -> Sequence[tuple[int, Event]]:
        if stored.decided is not None:
            return stored.decided.get(name, ())
        events = open_frame(stored.frame) if stored.opened is None else stored.opened
        if not stored.is_shared:
            return self._alone(name).choose(events).get(name, ())
        region = stored.frame.header.origin.partition("/")[0]
        stored.decided = self._matchers[region].choose(events)
        if not self._keeps(region):
            stored.opened = None  # while they are fresh in the cache, dropping them costs a third
        return stored.decided.get(name, ())

    def _alone(self, name: str) -> Matcher:
        if name not in self._single:
            self._single[name] = Matcher({name: self._rules[name]}, self._lens)
        return self._single[name]

    def _keeps(self, region: str) -> bool:
        """Whether somebody reads events of that region that no rule here chose."""
        return region in self._by_all or self._is_needed(region)


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _without_events(batch: Batch) -> Batch:
    return batch.known(None, None)
