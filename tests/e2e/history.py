"""The history checker: what was acknowledged against what arrived.

lost        acknowledged to a producer, never seen at the sink
reordered   first deliveries of one key that are out of order
unexpected  seen at the sink, never published
repeats     deliveries beyond the first, allowed only after a kill and bounded
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass
class History:
    """One run: ids are `key:sequence`, sequences of a key ascend in the order they were published."""

    published: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    seen: list[str] = field(default_factory=list)
    """Ids in the order in which the sink got them."""

    def check(self) -> Verdict:
        """Count."""
        arrivals = Counter(self.seen)
        return Verdict(
            acknowledged=len(self.acknowledged),
            seen=len(arrivals),
            lost=sorted(self.acknowledged - arrivals.keys()),
            unexpected=sorted(arrivals.keys() - self.published),
            reordered=self._reordered(),
            repeats=sum(arrivals.values()) - len(arrivals),
        )

    def _reordered(self) -> list[str]:
        last: dict[str, int] = defaultdict(lambda: -1)
        first: set[str] = set()
        wrong: list[str] = []
        for name in self.seen:
            if name in first:
                continue
            first.add(name)
            key, _, sequence = name.rpartition(":")
            if int(sequence) < last[key]:
                wrong.append(name)
            last[key] = max(last[key], int(sequence))
        return wrong


@dataclass(frozen=True)
class Verdict:
    """What the checker found."""

    acknowledged: int
    seen: int
    lost: list[str]
    unexpected: list[str]
    reordered: list[str]
    repeats: int

    def holds(self, *, repeats_allowed: int) -> bool:
        """Whether the contract was kept."""
        return not (self.lost or self.unexpected or self.reordered) and self.repeats <= repeats_allowed

    def __str__(self) -> str:
        """Counts, and the first few culprits."""
        return (
            f"acknowledged {self.acknowledged}, seen {self.seen}, lost {len(self.lost)} {self.lost[:5]}, "
            f"unexpected {len(self.unexpected)} {self.unexpected[:5]}, "
            f"reordered {len(self.reordered)} {self.reordered[:5]}, repeats {self.repeats}"
        )
