"""The demo's count: what was acknowledged, what stands in which log, what came out of which sink.

Events are known by the footer hash of their frames (who, and what they carry),
so that nothing needs to be opened to be counted, and a changed byte shows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from gateway.app.showcase.regions import NAMES, WANTS, crosses
from gateway.codec.frames import hash_of
from gateway.core.frame import HASH_SIZE
from gateway.core.records import Position

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.core.event import Event
    from gateway.core.records import LogReader, Stored

_PAGE = 1 << 20


class Published(NamedTuple):
    """What was published where."""

    origin: str
    kind: str
    """The event's type."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of the story."""

    published: int
    """Acknowledged with a 202, or by SQS."""
    crossed: int
    """Records that came over links."""
    delivered: int
    """Events at sinks, each counted once a subscription."""
    missing: int
    """Places (a log, another region's log, a sink) where an acknowledged event should be and is not."""
    twice: int
    """Records that came over a link a second time."""
    taken_twice: int
    """Events that stand in their own region's log a second time."""
    strange: int
    """Events somewhere that nobody published, or with other bytes, or that were not wanted there."""
    repeated: int
    """Deliveries beyond the first."""

    @property
    def holds(self) -> bool:
        """Whether the contract was kept; repeats at sinks are within it."""
        return self.published > 0 and not (self.missing or self.twice or self.taken_twice or self.strange)


@dataclass
class Ledger:
    """Grows while the demo runs; `verdict` may be asked at any moment."""

    published: dict[bytes, Published] = field(default_factory=dict)
    """By footer hash: whatever was offered, acknowledged or not."""
    acknowledged: set[bytes] = field(default_factory=set)
    logs: dict[str, Counter[bytes]] = field(default_factory=lambda: {name: Counter() for name in NAMES})
    """Region → the hashes of its own events in its log."""
    links: dict[tuple[str, str], Counter[bytes]] = field(
        default_factory=lambda: {(a, b): Counter() for a in NAMES for b in NAMES if a != b}
    )
    """(origin, region) → the hashes of what came over that link."""
    places: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    """(region, origin log id) → the origin's offsets in the region's log."""
    repeated_places: int = 0
    sinks: dict[str, Counter[bytes]] = field(default_factory=lambda: {want.name: Counter() for want in WANTS})
    """Subscription → the hashes of what came out."""

    def offer(self, region: str, event: Event) -> bytes:
        """Note an event before it is sent; it may arrive even if no answer comes back."""
        key = hash_of(event)
        self.published[key] = Published(region, event.type)
        return key

    def deliver(self, subscription: str, event: Event) -> None:
        """Note what came out of a sink."""
        self.sinks[subscription][hash_of(event)] += 1

    def see(self, region: str, frames: Iterable[Stored], *, after: int) -> None:
        """Note the records of a region's log beyond an offset of it."""
        for stored in frames:
            header = stored.frame.header
            origin = header.origin.partition("/")[0]
            seen = self.places.setdefault((region, header.origin), set())
            hashes = self.logs[region] if origin == region else self.links[origin, region]
            offsets = (run.first + step for run in header.runs for step in range(run.count))
            for index, offset in enumerate(offsets):
                if stored.first + index > after:
                    self.repeated_places += offset in seen
                    seen.add(offset)
                    at = index * HASH_SIZE
                    hashes[bytes(stored.frame.hashes[at : at + HASH_SIZE])] += 1

    def verdict(self) -> Verdict:
        """Count everything."""
        missing = strange = 0
        places = [(self.logs[name], self._of(name)) for name in NAMES]
        places += [(seen, self._crossing(*link)) for link, seen in self.links.items()]
        places += [(self.sinks[want.name], self._wanted(want.name)) for want in WANTS]
        for seen, wanted in places:
            missing += len((wanted & self.acknowledged) - seen.keys())
            strange += len(seen.keys() - wanted)
        return Verdict(
            published=len(self.acknowledged),
            crossed=sum(map(len, self.links.values())),
            delivered=sum(map(len, self.sinks.values())),
            missing=missing,
            twice=max(self.repeated_places, sum(map(_beyond_first, self.links.values()))),
            taken_twice=sum(map(_beyond_first, self.logs.values())),
            strange=strange,
            repeated=sum(map(_beyond_first, self.sinks.values())),
        )

    def _of(self, origin: str) -> set[bytes]:
        return {key for key, event in self.published.items() if event.origin == origin}

    def _crossing(self, origin: str, region: str) -> set[bytes]:
        return {
            key
            for key, event in self.published.items()
            if event.origin == origin and crosses(origin, region, event.kind)
        }

    def _wanted(self, subscription: str) -> set[bytes]:
        want = next(want for want in WANTS if want.name == subscription)
        return {key for key, event in self.published.items() if want.takes(event.origin, event.kind)}


def _beyond_first(seen: Counter[bytes]) -> int:
    return seen.total() - len(seen)


class Watch:
    """Reads one region's log into the ledger, as far as it goes at the moment."""

    def __init__(self, region: str, log: LogReader, ledger: Ledger) -> None:
        self._region = region
        self._log = log
        self._ledger = ledger
        self.upto = 0

    async def catch_up(self, end: int) -> None:
        """Read up to that end of the log."""
        while self.upto < end:
            page = await self._log.read(after=Position(self._log.log_id, self.upto), limit=_PAGE)
            self._ledger.see(self._region, page.frames, after=self.upto)
            self.upto = page.upto
