"""Dead letters: events that cannot be delivered, kept untouched with the reason, until somebody decides.

A letter's key follows from what it is, so that a crash between burying and
settling does not bury twice. Sending again moves it to the queue that the
running delivery takes from; if it fails again it comes back, with one redrive more.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from xxhash import xxh3_64_digest

from gateway.core import telemetry
from gateway.core.event import Event  # noqa: TC001  msgspec reads the annotations
from gateway.core.records import Row
from gateway.flow.waiting import AGAIN, VERSION, Kept, encode_kept, prefix_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from gateway.core.clock import Clock
    from gateway.core.records import Store

TABLE = "dead"
MAX_REDRIVES = 5
EXCERPT = 2000
"""Characters kept of a reason, which has the destination's answer in it."""


class DeadLetter(msgspec.Struct, frozen=True, array_like=True):
    """One buried event. The order of the fields is the format."""

    subscription: str
    """Whose; `source:NAME` for what a source could not hand over."""
    event: Event | None
    """Untouched, as the sink was to have it but without our stamp (or, `is_raw`, as it came in); None when its frame
    cannot be opened."""
    reason: str
    """What the destination or the check said, an excerpt."""
    attempts: int
    first_at: float
    """Wall clock of the first and the last attempt."""
    last_at: float
    origin: str
    """Log id of the origin; empty for a source's."""
    origin_offset: int
    count: int = 1
    """Records from `origin_offset` on that this stands for: more than 1 only for a frame that cannot be opened."""
    redrives: int = 0
    """How often it was sent again."""
    is_raw: bool = False
    """Whether the event is as it came in, because the subscription's changes failed on it; they are tried anew before
    it is sent again."""

    @property
    def id(self) -> str:
        """`subscription/` and 32 hex digits."""
        return f"{self.subscription}/{self.row[len(prefix_of(self.subscription)) :].hex()}"

    @property
    def row(self) -> bytes:
        """Its key in the table: subscription NUL origin offset, digest."""
        event = self.event
        what = b"" if event is None else f"{event.source}\0{event.id}\0".encode() + (event.data or b"")
        digest = xxh3_64_digest(f"{self.origin}\0{self.redrives}\0".encode() + what)
        return prefix_of(self.subscription) + self.origin_offset.to_bytes(8, "big") + digest


class Resent(NamedTuple):
    """What became of a request to send again."""

    sent: int
    refused: dict[str, str]
    """Id → why not."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeadLetter).decode


class DeadLetters:
    """All dead letters of a node."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._kept: Counter[str] | None = None
        self._busy: set[str] = set()
        self._takers: dict[str, Callable[[], None]] = {}

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Return once all of them are durable.

        :raises Unavailable: none is; do not settle, try again.
        """
        new = [letter for letter in letters if self._read(letter.row) is None]
        await self._store.write([Row(TABLE, letter.row, _encode(letter)) for letter in letters])
        for letter in new:
            telemetry.dead_letters.labels(letter.subscription).inc()
        self._recount(Counter(letter.subscription for letter in new))

    async def bury_refused(self, source_name: str, event: Event, reason: str) -> None:
        """Bury an event that a source got and that can never be accepted.

        :raises Unavailable: not durable; do not acknowledge.
        """
        now = self._clock.now()
        await self.bury([DeadLetter(f"source:{source_name}", event, reason[:EXCERPT], 1, now, now, "", 0)])

    def list(
        self, subscription: str | None = None, *, after: str | None = None, limit: int = 100
    ) -> tuple[DeadLetter, ...]:
        """Letters of one subscription or of all, by subscription and origin offset, from behind the id `after`."""
        prefix = b"" if subscription is None else prefix_of(subscription)
        start = prefix if after is None else _row_of(after)
        found = []
        for key, value in self._store.rows(TABLE, after=start, limit=limit):
            if not key.startswith(prefix):
                break
            found.append(_decode(value))
        return tuple(found)

    def show(self, id: str) -> DeadLetter | None:  # noqa: A002
        """The letter of that id; None: there is none."""
        row = _row_of(id)
        return None if len(row) != len(id.rpartition("/")[0].encode()) + 17 else self._read(row)

    async def resend(
        self,
        ids: Collection[str] = (),
        *,
        subscription: str | None = None,
        where: Callable[[DeadLetter], bool] | None = None,
        rate: float | None = None,
        force: bool = False,
    ) -> Resent:
        """Send these letters again, or all of a subscription that `where` chooses; at most `rate` events a second.

        On return they are in the subscription's queue, durable; order among
        them and with newer events of their key is not promised. A letter that
        was sent again five times is refused unless forced.
        """
        refused: dict[str, str] = {}
        sent = 0
        now = self._clock.now()
        for page in self._chosen(ids, subscription, where, refused):
            rows: list[Row] = []
            taken: list[DeadLetter] = []
            for letter in page:
                if letter.event is None:
                    refused[letter.id] = "its frame cannot be opened"
                elif self._may_go(letter, refused, force=force):
                    not_before = 0.0 if rate is None else now + sent / rate
                    again = _again(letter, letter.event, not_before)
                    rows += (Row(TABLE, letter.row, None), Row(AGAIN, letter.row, again))
                    taken.append(letter)
                    sent += 1
            await self._remove(taken, rows)
        return Resent(sent, refused)

    def _may_go(self, letter: DeadLetter, refused: dict[str, str], *, force: bool) -> bool:
        if letter.subscription.startswith("source:"):
            refused[letter.id] = "it never was in the log: publish it again, corrected"
        elif letter.subscription not in self._takers:
            refused[letter.id] = "no subscription of that name runs here"
        elif letter.redrives >= MAX_REDRIVES and not force:
            refused[letter.id] = f"sent again {letter.redrives} times already"
        elif letter.id in self._busy:
            refused[letter.id] = "being moved just now"
        else:
            return True
        return False

    async def drop(self, ids: Collection[str]) -> int:
        """Delete these letters for ever; return how many there were."""
        letters = [letter for letter in _each_once(map(self.show, ids)) if letter.id not in self._busy]
        await self._remove(letters, [Row(TABLE, letter.row, None) for letter in letters])
        return len(letters)

    def counts(self) -> dict[str, int]:
        """How many letters are kept, by subscription."""
        return {name: count for name, count in self._counted().items() if count}

    def on_resend(self, subscription: str, call: Callable[[], None]) -> None:
        """Have the delivery of a subscription told when something is in its queue; without one, none is sent again."""
        self._takers[subscription] = call

    async def take_over(self, was: str, name: str) -> None:
        """Give the letters of a renamed subscription its new name. Cancelled or killed, a repeat goes on."""
        while page := self.list(was, limit=500):
            rows: list[Row] = []
            for letter in page:
                renamed = msgspec.structs.replace(letter, subscription=name)
                rows += (Row(TABLE, letter.row, None), Row(TABLE, renamed.row, _encode(renamed)))
            await self._store.write(rows)
            self._recount({was: -len(page), name: len(page)})

    async def _remove(self, letters: Sequence[DeadLetter], rows: Sequence[Row]) -> None:
        if not letters:
            return
        names = {letter.id for letter in letters}
        self._busy |= names
        removed = Counter(letter.subscription for letter in letters)
        try:
            await self._store.write(rows)
            self._recount({name: -count for name, count in removed.items()})
        finally:
            self._busy -= names
            for name in removed.keys() & self._takers.keys():
                self._takers[name]()

    def _counted(self) -> Counter[str]:
        if self._kept is None:
            self._kept = Counter()
            after = b""
            while rows := self._store.rows(TABLE, after=after, limit=1000):
                self._kept.update(key[: key.index(b"\0")].decode() for key, _ in rows)
                after = rows[-1][0]
        return self._kept

    def _recount(self, changes: Mapping[str, int]) -> None:
        known = self._kept is not None
        kept = self._counted()
        for name, change in changes.items():
            kept[name] += change if known else 0
            telemetry.dead_letters_kept.labels(name).set(kept[name])

    def _chosen(
        self,
        ids: Collection[str],
        subscription: str | None,
        where: Callable[[DeadLetter], bool] | None,
        refused: dict[str, str],
    ) -> Iterable[Sequence[DeadLetter]]:
        if ids:
            letters = {each: self.show(each) for each in ids}
            refused |= {each: "no such dead letter" for each, letter in letters.items() if letter is None}
            yield _each_once(letters.values())
            return
        after: str | None = None
        while page := self.list(subscription, after=after, limit=500):
            after = page[-1].id
            yield [letter for letter in page if where is None or where(letter)]

    def _read(self, row: bytes) -> DeadLetter | None:
        before = (int.from_bytes(row[-16:], "big") - 1).to_bytes(16, "big") if any(row[-16:]) else b""
        for key, value in self._store.rows(TABLE, after=row[:-16] + before, limit=1):
            if key == row:
                return _decode(value)
        return None


def _each_once(letters: Iterable[DeadLetter | None]) -> list[DeadLetter]:
    """Those that are there, none twice: an id may be written in capitals too."""
    return list({letter.id: letter for letter in letters if letter is not None}.values())


def _row_of(id: str) -> bytes:  # noqa: A002
    subscription, _, rest = id.rpartition("/")
    try:
        tail = bytes.fromhex(rest)
    except ValueError:
        tail = b""
    return prefix_of(subscription) + tail


def _again(letter: DeadLetter, event: Event, not_before: float) -> bytes:
    """The row by which the running delivery gets it: a key of its own, one replay more."""
    kept = Kept(
        VERSION,
        None,
        event,
        letter.origin,
        letter.origin_offset,
        letter.redrives + 1,
        not_before=not_before,
        is_raw=letter.is_raw,
    )
    return encode_kept(kept)
