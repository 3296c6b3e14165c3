"""Explaining: what a config does with one event: who wants it, who does not and why, and what would be sent.

The same filters and changes as a running node's, compiled the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.app import rules
from gateway.core.errors import Rejected
from gateway.rules.lens import Lens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.app.config import Config, Subscription
    from gateway.core.event import Event
    from gateway.rules.change import Changes
    from gateway.rules.rule import Rule


@dataclass(frozen=True, slots=True)
class Explained:
    """One event and one subscription."""

    subscription: str
    to: str
    """The sink's name."""
    matched: bool
    why_not: Sequence[str] = ()
    """The terms that kept it out."""
    steps: Sequence[tuple[str, Event | str]] = ()
    """After each step of `change:` the event, or why that step failed."""
    sent: Event | None = None
    """What the sink would be given, without the stamp `isthorigin`; None: nothing."""
    rejected: str | None = None
    """Why a change failed: the event becomes a dead letter."""
    paused: bool = False
    """Whether nothing is done until the subscription goes on."""


@dataclass(slots=True)
class Explainer:
    """Explains events with one config."""

    config: Config
    _lens: Lens = field(default_factory=Lens)
    _compiled: dict[str, tuple[Rule | None, Changes | None]] = field(default_factory=dict)

    def explain(self, event: Event, region: str, only: Sequence[str] = ()) -> list[Explained]:
        """What each subscription (or each of `only`) does with an event that came in at that region."""
        chosen = only or list(self.config.subscriptions)
        found = [self._one(name, self.config.subscriptions[name], event, region) for name in chosen]
        return [replace(one, paused=self.config.subscriptions[one.subscription].paused) for one in found]

    def _one(self, name: str, configured: Subscription, event: Event, region: str) -> Explained:
        if region not in configured.from_:
            wanted = " and ".join(configured.from_)
            why = f"subscriptions.{name}.from: expected an event that came in at {wanted}, this one did at {region}"
            return Explained(name, configured.to, matched=False, why_not=[why])
        rule, changes = self._parts(name, configured)
        if rule is not None and not rule.matches(event):
            return Explained(name, configured.to, matched=False, why_not=rule.explain(event))
        if changes is None:
            return Explained(name, configured.to, matched=True, sent=event)
        steps = changes.trace(event)
        try:
            return Explained(name, configured.to, matched=True, steps=steps, sent=changes.apply(event))
        except Rejected as problem:
            return Explained(name, configured.to, matched=True, steps=steps, rejected=str(problem))

    def _parts(self, name: str, configured: Subscription) -> tuple[Rule | None, Changes | None]:
        if name not in self._compiled:
            path, keys = f"subscriptions.{name}", rules.mask_keys(self.config)
            self._compiled[name] = (
                rules.rule(configured, path, self._lens),
                rules.changes(configured, path, keys),
            )
        return self._compiled[name]
