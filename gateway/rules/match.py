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

from collections import Counter
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from gateway.codec.validate import CORE
from gateway.core.event import canonical
from gateway.rules.lens import ABSENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gateway.core.event import Event
    from gateway.rules.lens import Lens
    from gateway.rules.rule import Anchor, Key, Path, Rule

MAX_DECISIONS = 10_000
"""Remembered; then all are forgotten. Each takes about 300 bytes and its values; 10 MB in all, 30 at worst."""
MAX_KEY = 1024
"""Characters of the values that a decision is remembered by; for longer ones it is made anew each time."""
FEW = 4
"""So many rules are asked one by one rather than looked up in the data."""

_UNIQUE = frozenset({"id", "time"})
"""Attributes that tell every event apart: nothing is remembered by them."""

_Found = TypeVar("_Found")
_Made = TypeVar("_Made")


class Matcher:
    """Answers which of its rules match an event."""

    def __init__(self, rules: Mapping[str, Rule], lens: Lens) -> None:
        reads = frozenset(name for rule in rules.values() for name in rule.reads if name not in _UNIQUE)
        self._key = _reader(sorted(reads - {"specversion"}))
        every = [_Named(name, rule) for name, rule in rules.items()]
        anchored = _anchored(every, _is_of_attributes)
        self._attributes = _Index(anchored, lens)
        self._rest = _Bucket([each for each, anchor in anchored if anchor is None], lens)
        self._decisions: dict[tuple[object, ...], _Decision] = {}

    def of(self, event: Event) -> Sequence[str]:
        """The names of the rules that match, each once; in no particular order. Never raises."""
        key = self._key(event)
        decision = self._decisions.get(key)
        if decision is None:
            decision = self._decide(key, event)
        if not decision.open:
            return decision.names
        return self._asked(decision, event)

    def choose(self, events: Sequence[Event]) -> dict[str, list[tuple[int, Event]]]:
        """For each rule that matches any of these events, those with their indexes, ascending."""
        found: dict[str, list[tuple[int, Event]]] = {}
        key_of, known = self._key, self._decisions
        for index, event in enumerate(events):
            key = key_of(event)
            decision = known[key] if key in known else self._decide(key, event)
            for name in self._asked(decision, event) if decision.open else decision.names:
                if name in found:
                    found[name].append((index, event))
                else:
                    found[name] = [(index, event)]
        return found

    def _asked(self, decision: _Decision, event: Event) -> Sequence[str]:
        """What a decision comes to for one event."""
        names: Sequence[str] = decision.names
        for bucket in decision.open:
            if more := bucket.ask(event):
                names = [*names, *more] if names else more
        return list(dict.fromkeys(names)) if decision.doubles else names

    def _decide(self, key: tuple[object, ...], event: Event) -> _Decision:
        """Ask the rules on attributes; what else could match stays open."""
        buckets = [*self._attributes.buckets(event), self._rest]
        names = dict.fromkeys(name for bucket in buckets for name, matches in bucket.settled if matches(event))
        still = tuple(bucket for bucket in buckets if not bucket.is_settled)
        decision = _Decision(tuple(names), still, doubles=len(still) > 1)
        if sum(len(value) for value in key if isinstance(value, str)) <= MAX_KEY:
            if len(self._decisions) >= MAX_DECISIONS:
                self._decisions.clear()
            self._decisions[key] = decision
        return decision


class _Decision(NamedTuple):
    """What attributes alone say."""

    names: tuple[str, ...]
    open: tuple[_Bucket, ...]
    doubles: bool
    """Whether a rule may stand in two of these."""


class _Named(NamedTuple):
    name: str
    rule: Rule


class _Asked(NamedTuple):
    name: str
    matches: Callable[[Event], bool]


class _Values(Generic[_Found]):
    """What keys of one place lead to."""

    __slots__ = ("_exact", "_prefixes", "_suffixes")

    def __init__(self) -> None:
        self._exact: dict[object, _Found] = {}
        self._prefixes: dict[int, dict[str, _Found]] = {}
        """By length, so that a text is cut once for each length there is."""
        self._suffixes: dict[int, dict[str, _Found]] = {}

    def at(self, key: Key, make: Callable[[], _Found]) -> _Found:
        """What that key leads to, made if there is nothing yet."""
        if key.how == "exact" or not isinstance(key.value, str):
            if key.value not in self._exact:
                self._exact[key.value] = make()
            return self._exact[key.value]
        by_length = self._prefixes if key.how == "prefix" else self._suffixes
        same = by_length.setdefault(len(key.value), {})
        if key.value not in same:
            same[key.value] = make()
        return same[key.value]

    def made(self, make: Callable[[_Found], _Made]) -> _Values[_Made]:
        """The same keys, leading to what is made of what they led to."""
        values: _Values[_Made] = _Values()
        values._exact = {key: make(found) for key, found in self._exact.items()}
        for mine, theirs in ((self._prefixes, values._prefixes), (self._suffixes, values._suffixes)):
            theirs |= {length: {key: make(found) for key, found in same.items()} for length, same in mine.items()}
        return values

    def of(self, value: object) -> Sequence[_Found]:
        """What the keys of that value lead to."""
        exact = self._exact.get(value)
        found: list[_Found] = [] if exact is None else [exact]
        if isinstance(value, str):
            for length, same in self._prefixes.items():
                if (begin := value[:length]) in same:
                    found.append(same[begin])
            for length, same in self._suffixes.items():
                if (end := value[-length:]) in same:
                    found.append(same[end])
        return found


class _Place:
    """A path into the data, and what the values there lead to."""

    __slots__ = ("_path", "_values")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: _Values[list[_Asked]] = _Values()

    def add(self, key: Key, asked: _Asked) -> None:
        """Have a key lead to a rule."""
        self._values.at(key, list).append(asked)

    def candidates(self, data: object) -> Sequence[Sequence[_Asked]]:
        """The rules whose keys stand at this path; arrays are entered wherever they stand."""
        value = data
        for name in self._path:
            if not isinstance(value, dict):
                break
            value = value.get(name, ABSENT)
        else:
            if not isinstance(value, list | dict):
                return self._values.of(value)
        return [found for value in _scalars(data, self._path) for found in self._values.of(value)]


class _Bucket:
    """Rules that one key leads to."""

    __slots__ = ("_look", "_places", "_scan", "is_settled", "settled")

    def __init__(self, members: Sequence[_Named], lens: Lens) -> None:
        self._look = lens.look
        self.settled = [_Asked(name, rule.matches) for name, rule in members if _is_settled(rule)]
        """Those that attributes decide for good."""
        others = [each for each in members if not _is_settled(each.rule)]
        self.is_settled = not others
        self._scan: list[_Asked] = []
        places: dict[Path, _Place] = {}
        for (name, rule), anchor in _anchored(others, _is_of_data):
            asked = _Asked(name, rule.matches)
            if anchor is None or len(others) <= FEW:
                self._scan.append(asked)
                continue
            for key in anchor:
                if not isinstance(key.where, str):
                    places.setdefault(key.where, _Place(key.where)).add(key, asked)
        self._places = tuple(places.values())

    def ask(self, event: Event) -> Sequence[str]:
        """Those that match of the rules that attributes do not decide."""
        names = [name for name, matches in self._scan if matches(event)] if self._scan else ()
        found: Sequence[Sequence[_Asked]] = ()
        for place in self._places:
            if more := place.candidates(self._look(event)):
                found = [*found, *more] if found else more
        if not found:
            return names
        asked = found[0] if len(found) == 1 else dict.fromkeys(one for members in found for one in members)
        return [*names, *(name for name, matches in asked if matches(event))]


class _Index:
    """From the values of attributes to buckets."""

    def __init__(self, anchored: Iterable[tuple[_Named, Anchor | None]], lens: Lens) -> None:
        members: dict[str, _Values[dict[str, _Named]]] = {}
        for each, anchor in anchored:
            for key in anchor or ():
                if isinstance(key.where, str):
                    members.setdefault(key.where, _Values()).at(key, dict)[each.name] = each
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
        (each, min(anchors, key=lambda anchor: sum(shared[key] for key in anchor), default=None))
        for each, anchors in zip(members, choices, strict=True)
    ]


def _is_of_attributes(key: Key) -> bool:
    return isinstance(key.where, str) and key.where not in _UNIQUE


def _is_of_data(key: Key) -> bool:
    return not isinstance(key.where, str)


def _is_settled(rule: Rule) -> bool:
    return not rule.looks and _UNIQUE.isdisjoint(rule.reads)


def _scalars(value: object, path: Path) -> list[object]:
    """The scalars at that path, through arrays, however deep they are."""
    found: list[object] = []
    waiting = [(value, 0)]
    while waiting:
        value, depth = waiting.pop()
        while depth < len(path) and isinstance(value, dict):
            value, depth = value.get(path[depth], ABSENT), depth + 1
        if isinstance(value, list):
            waiting.extend([(inner, depth) for inner in value])
        elif depth == len(path) and value is not ABSENT and not isinstance(value, dict):
            found.append(value)
    return found


def _reader(names: Sequence[str]) -> Callable[[Event], tuple[object, ...]]:
    """What tells events apart by these attributes; True and 1 are not the same."""
    parts = [
        f"e.{name}" if name in CORE else f"(v if (v := e.extensions.get({name!r})).__class__ is not bool else (v,))"
        for name in names
    ]
    # names are attributes' names: [a-z0-9]+
    return eval(f"lambda e: ({''.join(f'{part}, ' for part in parts)})")  # type: ignore[no-any-return]  # noqa: S307
