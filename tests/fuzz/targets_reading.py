"""Target: what a reader in another region says to the server of a log."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from federation import federation_pb2 as wire
from federation.readers import Readers
from federation.server import FederationServer
from gateway.codec.frames import open_frame, parse
from gateway.core.errors import ConfigError, Damaged
from gateway.core.frame import FORMAT
from gateway.log.memory import MemoryLog
from gateway.rules.dialects import compile_filter
from tests.fuzz import languages, seeds
from tests.fuzz.logs import BETWEEN, HUGE, LAST_WORDS, LOG, NOW, OTHER, forged, frame, parsed, written
from tests.fuzz.source import Source
from tests.fuzz.target import Target, demand
from tests.fuzz.wire import Aborted, Clock, Stream, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.core.event import Event
    from gateway.core.frame import Frame
    from gateway.rules.rule import Rule


@cache
def _kept() -> tuple[Frame, ...]:
    """What lies in the log that is read: own frames, a large one, one that cannot be opened, one of another."""
    closed = frame(15, 2)
    return (
        frame(1, 5), frame(900, 3, OTHER), frame(9, 4), frame(13, 1), frame(14, 1),
        parse(forged(closed, closed.header, b"no events")), frame(17, 1), frame(18, 1, size=20_000), frame(19, 2),
        frame(21, 1),
    )  # fmt: skip


async def _served(source: Source) -> MemoryLog:
    served = MemoryLog("us")
    served.log_id = LOG
    await served.append(_kept()[: 10 - source.below(10)])
    if source.rarely(4):
        await served.trim(1 + source.below(24))
    return served


def check_reading(data: bytes) -> bool:
    """What a reader says to the server of a log: hello, then one read from its start to its end."""
    source = Source(data)
    messages = source.rest().split(BETWEEN)[:16] if source.is_text else [*_said(source)]
    pause, takes = (
        (12, 1 << 30) if source.is_text else (source.below(16), source.below(6) if source.rarely(5) else 1 << 30)
    )
    return run(_read(source, messages, Stream(messages, pause=pause, takes=takes)))


def _said(source: Source) -> Iterator[bytes]:
    yield wire.FromReader(start=_start(source)).SerializeToString()
    for _ in range(source.below(8)):
        match source.below(5):
            case 0:
                yield wire.FromReader(
                    ack=wire.Ack(durable=wire.Place(offset=source.pick((*range(23), HUGE))))
                ).SerializeToString()
            case 1:
                yield wire.FromReader(interest=_interest(source)).SerializeToString()
            case 2:
                yield wire.FromReader(window=wire.Window(bytes=source.pick((0, 1, 1 << 20, HUGE)))).SerializeToString()
            case 3:
                yield wire.FromReader(
                    ack=wire.Ack(durable=wire.Place(offset=source.below(24), hash=source.taken(8)))
                ).SerializeToString()
            case _:
                odd = (b"", source.taken(12), wire.FromReader(start=_start(source)).SerializeToString())
                yield source.pick(odd)


def _start(source: Source) -> wire.Start:
    start = wire.Start(
        log_id=source.pick((LOG, LOG, LOG, LOG, LOG, LOG, OTHER, "", "x" * 999)),
        region=source.pick(("eu", "eu", "eu", "ap", "eu", "a" * 64, "", "../x", "Eu\n")),
        node=source.pick(("n1", "n1", "n1", "n2", "n1", "n1", "", "é")),
        term=source.pick((0, 1, HUGE)),
        interest=_interest(source),
        window=source.pick((1 << 20, 0, 1, HUGE)),
        frame_format=source.pick((FORMAT, FORMAT, FORMAT, FORMAT, FORMAT, FORMAT + 1, FORMAT - 1)),
        relays=["a"] * source.pick((0, 0, 0, 500)),
    )
    if source.rarely(2):
        start.position.offset = source.pick((*range(24), HUGE))
        start.position.hash = source.pick((b"", b"", b"", b"", source.taken(8), b"x" * 500))
    elif source.rarely(3):
        start.since = source.pick((0.0, NOW - 90, NOW, -1.0, 1e308, float("nan"), float("inf"), float("-inf")))
    return start


def _interest(source: Source) -> wire.Interest:
    wanted = (
        "",
        '{"exact":{"type":"ab"}}',
        '{"sql":"n > 5 AND n <> 16"}',
        '{"any":[{"exact":{"type":"b"}},{"sql":"n = 9"}]}',
    )
    expression = source.pick((*wanted, *wanted, "null", "[", "[" * 2500))
    if source.rarely(8):
        expression = json.dumps(languages.filters(source))
    return wire.Interest(version=source.pick((1, 2, 3, HUGE)), expression=expression)


async def _read(source: Source, messages: Sequence[bytes], stream: Stream) -> bool:
    served = await _served(source)
    server = FederationServer({LOG: served}, region="us", node="n1", listen="", clock=Clock())
    try:
        hello = wire.HelloReply.FromString(await server._hello(messages[0], stream))  # type: ignore[arg-type]  # its context
        demand(
            [(state.first, state.end) for state in hello.logs] == [(served.first, served.end)], "a hello tells", hello
        )
    except Aborted as problem:
        demand(all(problem.args), "who is not welcome is told why", problem)
    try:
        await server._read(None, stream)  # type: ignore[arg-type]  # as above
    except Aborted as problem:
        demand(all(problem.args), "what is no message is refused with a reason", problem)
        return False
    answers = [wire.FromLog.FromString(data) for data in stream.sent]
    told = [message for data in messages if (message := parsed(data, wire.FromReader)) is not None]
    if answers and answers[0].HasField("begun"):
        _check_served(served, told, answers)
    else:
        reasons = [one.closed.reason != "" for one in answers]
        demand(reasons == [True] or not stream.takes, "who is not served is told why", answers)
    _check_ends(stream, answers)
    readers, again = server._readers[LOG], Readers(LOG, served, Clock())
    await readers.save()
    again.load()
    rows = readers.rows()
    demand(again.rows() == rows, "what is known of readers is kept", rows, again.rows())
    sent = max((parse(data).header.last for one in answers for data in one.page.frames), default=0)
    for row in rows.values():
        demand(sent <= row.handed_out, "no record has left beyond what is said to have", sent, row)
        demand(row.durable <= served.end, "nothing is durable that is not there", row)
    return any(one.HasField("page") for one in answers)


def _check_ends(stream: Stream, answers: Sequence[wire.FromLog]) -> None:
    last = [index for index, one in enumerate(answers) if one.WhichOneof("what") in LAST_WORDS]
    whole = len(stream.sent) < stream.takes
    demand(last == [len(answers) - 1] or (not last and not whole), "a read ends once, and says why", answers)
    for one in answers[-1:]:
        demand("cannot be read" not in one.closed.reason, "a log that is there is read to its end", one)
        demand(
            one.closed.reason or one.diverged.reason or not (one.HasField("closed") or one.HasField("diverged")),
            "a reason",
            one,
        )


def _check_served(served: MemoryLog, told: Sequence[wire.FromReader], answers: Sequence[wire.FromLog]) -> None:
    """Each page is exactly what is wanted of what it looked at."""
    interests = [told[0].start.interest, *(one.interest for one in told[1:] if one.HasField("interest"))]
    rules: list[tuple[int, Rule | None]] = []
    at = answers[0].begun.after
    for one in answers[1:]:
        if one.HasField("holds"):
            interest = interests[len(rules)]
            demand(one.holds.version == interest.version, "interests hold in the order they were told", one, interest)
            demand(one.holds.after >= at, "an interest holds for what was not looked at", one, at)
            rules.append((one.holds.after, None if one.holds.uncompiled else _rule(interest.expression)))
        elif one.HasField("page"):
            upto = one.page.upto.offset
            demand(at <= upto <= served.end, "pages go on", at, one)
            offsets = [offset for data in one.page.frames for offset in _offsets(data)]
            wanted = _wanted(served, answers[0].begun.after, at, upto, rules)
            demand(offsets == wanted, "what is served is what was asked for", at, upto, offsets, wanted, rules)
            at = upto


def _offsets(data: bytes) -> list[int]:
    sent = parse(data)
    demand(sent.header.origin == LOG, "only what began here is served", sent.header)
    return sent.origin_offsets()


def _rule(expression: str) -> Rule | None:
    if not expression:
        return None
    try:
        return compile_filter(msgspec.json.decode(expression), "interest", depth=40, terms=100_000)
    except ConfigError:
        return None  # in what counts as everything


def _wanted(
    served: MemoryLog, begun: int, after: int, upto: int, rules: Sequence[tuple[int, Rule | None]]
) -> list[int]:
    """The log's own offsets behind `after` up to `upto` that the rule there wants; what cannot be opened is wanted."""
    found: list[int] = []
    for stored in served._frames:
        if stored.frame.header.origin != LOG:
            continue
        try:
            events: Sequence[Event | None] = open_frame(stored.frame)
        except Damaged:
            events = [None] * stored.frame.count
            if stored.first <= begun:  # it cannot be cut either: its rest is not sent
                continue
        for offset, event in enumerate(events, stored.first):
            if after < offset <= upto:
                rule = next(rule for since, rule in reversed(rules) if since < offset)
                if rule is None or event is None or rule.matches(event):
                    found.append(offset)
    return found


def _reading_seeds() -> Iterator[bytes]:
    start = wire.Start(log_id=LOG, region="eu", node="n1", window=1 << 20, frame_format=FORMAT)
    yield written(wire.FromReader(start=start))
    start.interest.expression = seeds.FILTERS[0]
    ack = wire.FromReader(ack=wire.Ack(durable=wire.Place(offset=5)))
    changed = wire.FromReader(interest=wire.Interest(version=2, expression=seeds.FILTERS[2]))
    parts = (wire.FromReader(start=start), ack, changed, wire.FromReader(window=wire.Window(bytes=7)))
    yield written(*parts)
    start.position.offset = 9
    yield written(*(wire.FromReader(start=start), changed))


TARGETS = (
    Target(
        "reading",
        "a reader is served exactly what it asked for, and told why it ends",
        check_reading,
        (LOG, '{"exact":{"type":"ab"}}', BETWEEN.decode()),
        _reading_seeds,
    ),
)
