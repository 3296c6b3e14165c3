"""Target: what the server of a log in another region says to the link that follows it."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING

import msgspec

from federation import federation_pb2 as wire
from federation.interest import Interests, Wanted
from federation.link import Followed, Link, decode_position
from federation.peer import Peer
from gateway.codec.frames import parse
from gateway.core.errors import Damaged, IsthmusError, Unavailable
from gateway.core.frame import Frame, Run
from gateway.log.memory import MemoryLog
from tests.fuzz.logs import BETWEEN, HUGE, LAST_WORDS, LOG, NOW, OTHER, forged, frame, parsed, written
from tests.fuzz.source import Source
from tests.fuzz.target import Target, demand
from tests.fuzz.wire import Clock, Stream, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATIENT = 12
"""Turns between two messages in which all that came before is appended."""


def check_link(data: bytes) -> bool:
    """What the server of a log says to a link that follows it, in up to three streams after each other."""
    source = Source(data)
    if source.is_text:
        return run(_follow([source.rest().split(BETWEEN)[:16]], None, PATIENT))
    placed = None
    if source.rarely(2):
        placed = Followed(
            source.below(6), source.pick((b"", b"12345678")), NOW - 100, since=source.pick((None, None, 5.0))
        )
    pause = source.pick((PATIENT, PATIENT, PATIENT, 0, 1, 2))
    at = 0 if placed is None else placed.offset
    return run(_follow([[*_answered(source, at)] for _ in range(1 + source.below(3))], placed, pause))


def _answered(source: Source, at: int) -> Iterator[bytes]:
    if not source.rarely():
        after = source.pick((at, at, at, at, at, at, 0, 3, HUGE))
        yield wire.FromLog(begun=wire.Begun(after=after)).SerializeToString()
    for _ in range(source.below(8)):
        match source.below(8):
            case 0:
                holds = wire.InterestHolds(
                    version=source.pick((1, 1, 2, HUGE)), after=at, uncompiled=source.pick(("", "a"))
                )
                yield wire.FromLog(holds=holds).SerializeToString()
            case 1 if source.rarely(2):
                yield source.pick(_ENDS).SerializeToString()
            case 1:
                yield source.pick((b"", b"\xfa\x01\x03abc", source.taken(9), BEGUN.SerializeToString()))
            case _:
                page = _page(source, at)
                at = min(page.upto.offset, 60)
                yield wire.FromLog(page=page).SerializeToString()


def _page(source: Source, at: int) -> wire.Page:
    page = wire.Page()
    for _ in range(source.below(4)):
        made = frame(at + 1 + source.below(3), 1 + source.below(3), *source.pick(_KINDS))
        page.frames.append(_odd(source, made) if source.rarely(8) else made.data)
        at = made.header.last
    page.upto.offset = source.pick((at, at, at, at, at, at + 1, at + 5, max(0, at - 1), 0, HUGE))
    page.upto.hash = source.pick((b"", b"12345678", b"12345678", source.taken(9), b"x" * 600))
    page.accepted = source.pick(_TIMES)
    page.end = source.pick((at, at + 9, 0, HUGE))
    if source.rarely(4):
        page.gaps.add(first=source.below(9), last=source.pick((0, 9, HUGE)))
    return page


def _odd(source: Source, made: Frame) -> bytes:
    head, first, count = made.header, made.header.first, made.count
    runs = (
        (Run(first, count, source.pick(_TIMES)),), (Run(HUGE - count + 1, count, NOW),), (Run(HUGE, count, NOW),),
        (Run(first, count - 1, NOW), Run(first + count, 1, source.pick(_TIMES))), (), (Run(-5, count, NOW),),
        (Run(first, 1, NOW), Run(first, count - 1, NOW)), (Run(first, count + 1, NOW), Run(first + 9, -1, NOW)),
    )  # fmt: skip
    headers = (
        *(msgspec.structs.replace(head, runs=one) for one in runs),
        msgspec.structs.replace(head, raw=source.pick((0, 1 << 40))),
        msgspec.structs.replace(head, key="k", codec=9),
        msgspec.structs.replace(head, origin=source.pick((OTHER, "", LOG + " "))),
        msgspec.structs.replace(head, space=source.pick(("../x", "", "a" * 64))),
    )
    flipped = bytearray(made.data)
    flipped[source.below(len(flipped))] ^= 1
    odd = (b"", bytes(flipped), made.data[: source.below(300)], *(forged(made, one) for one in headers))
    return source.pick(odd)


async def _follow(streams: Sequence[Sequence[bytes]], placed: Followed | None, pause: int) -> bool:
    store = MemoryLog("eu")
    if placed is not None:
        await store.write((), positions={f"link/{LOG}": (None, msgspec.msgpack.encode(placed))})
    interests, clock = Interests(), Clock()
    interests.want("us", [Wanted(None, None)])
    link = Link(LOG, append=store.append, store=store, interests=interests, clock=clock)
    for messages in (*streams, ()):  # the last shows that what was kept can be gone on from
        stream = Stream(messages, pause=pause)
        peer = Peer("us.example:1", region="eu", node="n1", clock=clock)
        peer._channel = stream  # type: ignore[assignment]  # the one part that is gRPC's
        before, held = _position(store), len(store._frames)
        problem: IsthmusError | None = None
        try:
            await link.run(peer)
        except IsthmusError as ended:
            problem = ended
        said = [one for data in messages if (one := parsed(data, wire.FromLog)) is not None]
        told = [wire.FromReader.FromString(data) for data in stream.sent]
        _check_followed(store, before, held, said, told)
        demand(
            isinstance(problem, Unavailable | Damaged) or _is_ended(said), "a stream ends for a reason", problem, said
        )
        demand(messages or isinstance(problem, Unavailable), "what was kept can be gone on from", problem)
        demand(link.holds.keys() <= {1}, "only an interest that was told holds", link.holds)
        if isinstance(problem, Unavailable) and pause == PATIENT:
            pages = [data for one in said if one.HasField("page") for data in one.page.frames]
            appended = [stored.frame.data for stored in store._frames[held:]]
            demand(_is_ended(said) or appended == pages, "what is not refused is appended", len(appended), len(pages))
    return store.end > 0


def _is_ended(said: Sequence[wire.FromLog]) -> bool:
    return any(one.WhichOneof("what") in LAST_WORDS for one in said)


def _position(store: MemoryLog) -> Followed | None:
    stored = store.position(f"link/{LOG}")
    return None if stored is None else decode_position(stored)


def _check_followed(
    store: MemoryLog, before: Followed | None, held: int, said: Sequence[wire.FromLog], told: Sequence[wire.FromReader]
) -> None:
    """What one stream left behind: whole pages, in order, to a place that was announced."""
    after = _position(store)
    is_placed = before is not None and before.since is None
    begun = next((one.begun.after for one in said if one.HasField("begun")), 0)
    at = before.offset if before is not None and is_placed else begun
    appended = [parse(stored.frame.data) for stored in store._frames[held:]]
    for one in appended:
        demand(one.header.origin == LOG, "only events of the log that is followed are appended", one.header)
        demand(one.header.first > at, "offsets ascend", one.header, at)
        at = one.header.last
        datetime.fromtimestamp(one.header.newest, UTC)  # as whoever looks into a log is shown it
    whole, pages = [0], [one.page for one in said if one.HasField("page")]
    for page in pages:
        whole.append(whole[-1] + len(page.frames))
    sent = [data for page in pages for data in page.frames]
    demand(len(appended) in whole, "a page is appended whole or not at all", len(appended), whole)
    demand([one.data for one in appended] == sent[: len(appended)], "nothing is left out", len(appended))
    if after is None:
        demand(not appended, "what is appended has its position", appended)
        return
    announced = {0 if before is None else before.offset, begun, *(page.upto.offset for page in pages)}
    announced |= {one.trimmed.first - 1 for one in said if one.HasField("trimmed")}
    demand(
        after.offset in announced and (not appended or at <= after.offset), "a position is announced", after, announced
    )
    demand(
        not is_placed or before is None or before.offset <= after.offset, "a position never goes back", before, after
    )
    demand(isfinite(after.accepted) and (after.since is None or isfinite(after.since)), "times are numbers", after)
    acknowledged = [one.ack.durable.offset for one in told if one.HasField("ack")]
    demand(acknowledged == sorted(acknowledged), "acknowledgements ascend", acknowledged)
    demand(
        not acknowledged or acknowledged[-1] <= after.offset,
        "only what is durable is acknowledged",
        acknowledged,
        after,
    )


BEGUN = wire.FromLog(begun=wire.Begun())
_ENDS = (
    *(wire.FromLog(trimmed=wire.Trimmed(first=first)) for first in (1, 9, 50, 0, HUGE)),
    *(wire.FromLog(diverged=wire.Diverged(reason=reason)) for reason in ("another record", "")),
    wire.FromLog(closed=wire.Closed(reason="the node stops")),
)
_KINDS: tuple[tuple[str, int, str], ...] = (
    *((LOG, 1, "main"),) * 12, (LOG, 40, "main"), (LOG, 1, "other"), (OTHER, 1, "main"), (LOG, 1, "no name"),
)  # fmt: skip
_TIMES = (NOW, NOW, NOW, NOW, 0.0, -1.0, float("nan"), float("inf"), 1e308)


def _link_seeds() -> Iterator[bytes]:
    first = wire.Page(frames=[frame(1, 2).data, frame(3, 1).data], upto=wire.Place(offset=3), end=9, accepted=NOW)
    second = wire.Page(frames=[frame(5, 1).data], upto=wire.Place(offset=9, hash=b"12345678"), end=9)
    good = [
        BEGUN,
        wire.FromLog(holds=wire.InterestHolds(version=1)),
        wire.FromLog(page=first),
        wire.FromLog(page=second),
    ]
    yield written(*good)
    for last in _ENDS[1:7:2]:
        yield written(*(*good, last))
    yield written(*(*good[:3], good[2]))


TARGETS = (
    Target(
        "link",
        "pages are refused, or appended whole, in order, up to the place that was announced",
        check_link,
        (LOG, "ISF", "main", BETWEEN.decode()),
        _link_seeds,
    ),
)
