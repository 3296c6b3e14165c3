"""Matcher: all rules of a node behind one index, event → names of the rules that match.

    event ─ attributes ─▶ decision, remembered ─▶ names             rules on attributes alone
                               │
                               └▶ buckets ─ data ─▶ names           rules that look into the data

A decision holds for all events whose deciding attributes are the same, so the
attributes are indexed once for each combination of values, and a dictionary
answers from then on. What no anchor leads to is asked about every event.
The law: the answer is that of asking every rule on its own.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, NamedTuple

from gateway.codec.validate import CORE
from gateway.core.event import canonical
from gateway.rules.glance import glance_at
from gateway.rules.keyed import Asked, Place, Values

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from gateway.core.event import Event
    from gateway.rules.glance import Glance
    from gateway.rules.lens import Lens
    from gateway.rules.rule import Anchor, Key, Path, Rule

MAX_DECISIONS = 10_000
"""Remembered; then all are forgotten. Each takes about 300 bytes and its values; 10 MB in all, 30 at worst."""
MAX_KEY = 1024
"""Characters of the values that a decision is remembered by; for longer ones it is made anew each time."""
FEW = 4
"""So many rules are asked one by one rather than looked up in the data."""

_WORTH = 1000
"""Events a bucket is asked about before it is worth compiling a glance, and after which that is judged, each time."""
_MOST_LEFT = 4
"""Where glances leave more than this part of the events …"""
_PAUSE = 10_000
"""… none is taken for so many."""

_index = itemgetter(0)
_UNIQUE = frozenset({"id", "time"})
"""Attributes that tell every event apart: nothing is remembered by them."""


class Matcher:
    """Answers which of its rules match an event."""

    def __init__(self, rules: Mapping[str, Rule], lens: Lens) -> None:
        reads = frozenset(name for rule in rules.values() for name in rule.reads if name not in _UNIQUE)
        self._key = _reader(sorted(reads - {"specversion"}))
        every = [_Named(name, rule) for name, rule in rules.items()]
        anchored = _anchored(every, _is_of_attributes)
        self._attributes = _Index(anchored, lens)
        self._rest = _Bucket([each for each, anchor in anchored if anchor is None], lens)
        self._decisions: dict[Hashable, _Decision] = {}

    def choose(self, events: Sequence[Event]) -> dict[str, list[tuple[int, Event]]]:
        """For each rule that matches any of these events, those with their indexes, ascending. Never raises."""
        found: dict[str, list[tuple[int, Event]]] = {}
        for index, names in self._named(events):
            for name in names:
                found.setdefault(name, []).append((index, events[index]))
        return found

    def matching(self, events: Sequence[Event]) -> list[int]:
        """The indexes of the events that any rule matches, ascending."""
        return [index for index, _ in self._named(events, all_names=False)]

    def _named(self, events: Sequence[Event], *, all_names: bool = True) -> list[tuple[int, Sequence[str]]]:
        """The indexes of the events that any rule matches, ascending, with the names of those rules, or of some."""
        decisions = self._decisions_of(events)
        kinds = set(decisions)
        soles = {decision.sole for decision in kinds}
        if len(soles) == 1 and (sole := soles.pop()) is not None:
            return sole.ask_all(events, range(len(events)))
        if not any(decision.open or decision.names for decision in kinds):
            return []
        found: list[tuple[int, Sequence[str]]] = []
        open_to: dict[_Bucket, list[int]] = {}
        for index, decision in enumerate(decisions):
            if decision.sole is not None:
                open_to.setdefault(decision.sole, []).append(index)
            elif decision.names and not all_names:
                found.append((index, decision.names))
            elif names := self._asked(decision, events[index]):
                found.append((index, names))
        for bucket, indexes in open_to.items():
            found += bucket.ask_all(events, indexes)
        if open_to:
            found.sort(key=_index)
        return found

    def _decisions_of(self, events: Sequence[Event]) -> list[_Decision]:
        known = self._decisions
        keys = list(map(self._key, events))
        decisions = [decision for decision in map(known.get, keys) if decision is not None]
        if len(decisions) == len(events):
            return decisions
        return [
            known[key] if key in known else self._decide(key, event) for key, event in zip(keys, events, strict=True)
        ]

    def _asked(self, decision: _Decision, event: Event) -> Sequence[str]:
        """What a decision comes to for one event."""
        names: Sequence[str] = decision.names
        for bucket in decision.open:
            if more := bucket.ask(event):
                names = [*names, *more] if names else more
        return list(dict.fromkeys(names)) if decision.doubles else names

    def _decide(self, key: Hashable, event: Event) -> _Decision:
        """Ask the rules on attributes; what else could match stays open."""
        buckets = [*self._attributes.buckets(event), self._rest]
        names = dict.fromkeys(name for bucket in buckets for name, matches in bucket.settled if matches(event))
        still = tuple(bucket for bucket in buckets if not bucket.is_settled)
        sole = still[0] if len(still) == 1 and not names else None
        decision = _Decision(tuple(names), still, doubles=len(still) > 1, sole=sole)
        values = key if isinstance(key, tuple) else (key,)
        if sum(len(value) for value in values if isinstance(value, str)) <= MAX_KEY:
            if len(self._decisions) >= MAX_DECISIONS:
                self._decisions.clear()
            self._decisions[key] = decision
        return decision


@dataclass(frozen=True, slots=True, eq=False)
class _Decision:
    """What attributes alone say."""

    names: tuple[str, ...]
    open: tuple[_Bucket, ...]
    doubles: bool
    """Whether a rule may stand in two of these."""
    sole: _Bucket | None
    """All that is open, where nothing else matches."""


class _Named(NamedTuple):
    name: str
    rule: Rule


class _Bucket:
    """Rules that one key leads to."""

    __slots__ = (
        "_glance", "_glanced", "_keyed", "_left", "_look", "_places", "_scan", "_wait", "is_settled", "settled",
    )  # fmt: skip

    def __init__(self, members: Sequence[_Named], lens: Lens) -> None:
        self._look = lens.look
        self.settled = [Asked(name, rule.matches) for name, rule in members if _is_settled(rule)]
        """Those that attributes decide for good."""
        others = [each for each in members if not _is_settled(each.rule)]
        self.is_settled = not others
        self._scan: list[Asked] = []
        places: dict[Path, Place] = {}
        anchored, are_few = _anchored(others, _is_of_data), len(others) <= FEW
        for (name, rule), anchor in anchored:
            asked = Asked(name, rule.matches)
            if anchor is None or are_few:
                self._scan.append(asked)
            for key in anchor or ():
                if not isinstance(key.where, str):
                    places.setdefault(key.where, Place(key.where)).add(key, asked)
        self._places = () if are_few else tuple(places.values())
        self._keyed = () if any(anchor is None for _, anchor in anchored) else tuple(places.values())
        """Places at one of which each of these rules has a key; none: some rules have no keys."""
        self._glance: Glance | None = None
        self._wait = _WORTH
        """Events still to be asked about without a glance."""
        self._glanced = self._left = 0
        """Events that were glanced at, and those of them that were left, since that was last judged."""

    def ask(self, event: Event) -> Sequence[str]:
        """Those that match of the rules that attributes do not decide."""
        names = [name for name, matches in self._scan if matches(event)] if self._scan else ()
        found: Sequence[Sequence[Asked]] = ()
        for place in self._places:
            if more := place.candidates(self._look(event)):
                found = [*found, *more] if found else more
        if not found:
            return names
        asked = found[0] if len(found) == 1 else dict.fromkeys(one for members in found for one in members)
        return [*names, *(name for name, matches in asked if matches(event))]

    def ask_all(self, events: Sequence[Event], indexes: Sequence[int]) -> list[tuple[int, Sequence[str]]]:
        """For the events at these indexes that any rule matches: the index, and what `ask` says."""
        return [(index, names) for index in self._at_a_glance(events, indexes) if (names := self.ask(events[index]))]

    def _at_a_glance(self, events: Sequence[Event], indexes: Sequence[int]) -> Sequence[int]:
        """The indexes of those that have to be asked about."""
        if self._wait > 0:
            self._wait -= len(indexes)
            return indexes
        if self._glance is None:
            self._glance = glance_at(self._keyed)
            if self._glance is None:
                self._wait = sys.maxsize
                return indexes
        left = self._glance(events, indexes)
        self._glanced, self._left = self._glanced + len(indexes), self._left + len(left)
        if self._glanced >= _WORTH:
            self._wait = _PAUSE if self._left * _MOST_LEFT > self._glanced else 0
            self._glanced = self._left = 0
        return left


class _Index:
    """From the values of attributes to buckets."""

    def __init__(self, anchored: Iterable[tuple[_Named, Anchor | None]], lens: Lens) -> None:
        members: dict[str, Values[dict[str, _Named]]] = {}
        for each, anchor in anchored:
            for key in anchor or ():
                if isinstance(key.where, str):
                    members.setdefault(key.where, Values()).at(key, dict)[each.name] = each
        self._values = {
            name: values.made(lambda found: _Bucket(list(found.values()), lens)) for name, values in members.items()
        }

    def buckets(self, event: Event) -> list[_Bucket]:
        """Where the rules are that this event's attributes lead to."""
        found: list[_Bucket] = []
        for name, values in self._values.items():
            value = getattr(event, name) if name in CORE else event.extensions.get(name)
            if value is not None:
                found += values.of(canonical(value))
        return found


def _anchored(members: Sequence[_Named], usable: Callable[[Key], bool]) -> list[tuple[_Named, Anchor | None]]:
    """Each with its anchor of usable keys that the fewest others share; None: it has none."""
    choices = [[anchor for anchor in each.rule.anchors if all(map(usable, anchor))] for each in members]
    shared = Counter(key for anchors in choices for anchor in anchors for key in anchor)
    return [
        (each, min(anchors, key=lambda anchor: (_has_range(anchor), sum(shared[key] for key in anchor)), default=None))
        for each, anchors in zip(members, choices, strict=True)
    ]


def _has_range(anchor: Anchor) -> bool:
    """Whether part of it is not looked up, but compared with one after the other."""
    return any(key.how == "range" for key in anchor)


def _is_of_attributes(key: Key) -> bool:
    return isinstance(key.where, str) and key.where not in _UNIQUE


def _is_of_data(key: Key) -> bool:
    return not isinstance(key.where, str)


def _is_settled(rule: Rule) -> bool:
    return not rule.looks and _UNIQUE.isdisjoint(rule.reads)


def _reader(names: Sequence[str]) -> Callable[[Event], Hashable]:
    """What tells events apart by these attributes; True and 1 are not the same."""
    if len(names) == 1 and names[0] in CORE:
        return attrgetter(names[0])
    parts = [
        f"e.{name}" if name in CORE else f"(v if (v := e.extensions.get({name!r})).__class__ is not bool else (v,))"
        for name in names
    ]
    # names are attributes' names: [a-z0-9]+
    return eval(f"lambda e: ({''.join(f'{part}, ' for part in parts)})")  # type: ignore[no-any-return]  # noqa: S307
