"""Targets: what comes over the wire beside events: messages of a queue, and requests to the admin socket."""

from __future__ import annotations

import json as plain_json
import re
from collections import Counter
from functools import cache
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

from connectors import _sqs_message
from connectors.samples import outgoing
from gateway.api.admin import Admin
from gateway.api.probes import Check
from gateway.codec import json
from gateway.codec.validate import MAX_ATTRIBUTE, validate
from gateway.core.clock import SystemClock
from gateway.core.errors import Rejected
from gateway.core.event import Binary, Event, canonical
from gateway.flow import dead_letters, waiting
from gateway.flow.dead_letters import DeadLetter, DeadLetters
from gateway.flow.ingest import Ingest
from gateway.log.memory import MemoryLog
from tests.fuzz import events, seeds
from tests.fuzz.source import SEPARATOR, Source, text_of, written
from tests.fuzz.target import Broken, Target, demand, is_printable
from tests.fuzz.wire import Transport, run, turns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from types_aiobotocore_sqs.type_defs import MessageTypeDef

ARN = "arn:aws:sqs:eu-west-1:123456789012:orders"
LIMIT = 3 << 20
_PATIENCE = 500
"""Turns of the loop within which a request is answered."""
_SQS_TAKES = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+").fullmatch
_IS_GROUP = re.compile("[!-~]{1,128}").fullmatch
_NAMES = (
    "content-type", "Content-Type", "ce-specversion", "ce-id", "ce-source", "ce-type", "ce_subject", "ce-time",
    "ce-dataschema", "cloudEvents:datacontenttype", "cloudEvents_ext", "ce-data", "Trace.Id", "trace-id", "é",
)  # fmt: skip
_VALUES = (
    "1.0", "1", "/a", "a", "application/cloudevents+json", "application/cloudevents-batch+json", "text/xml",
    "application/json; charset=utf-8", "no type", "2026-01-31T12:00:00Z", "https://a.example/s", "", "a\nb",
    "\U0001fffe", "\ufdd0", "\ud800", "é",
)  # fmt: skip


def check_sqs(data: bytes) -> bool:
    """A message of a queue, and an event on its way through one."""
    source = Source(data)
    if source.is_text:
        kind, lines, body = source.parts(3)
        attributes: dict[str, object] = {"content-type": {"DataType": "String", "StringValue": text_of(kind)}}
        for line in lines.split(b"\n")[:10]:
            name, _, value = text_of(line).partition(":")
            attributes[name] = {"DataType": "String", "StringValue": value}
        return _check_message(_message(text_of(body), attributes))
    event = events.event(source)
    _check_way(event, source)
    attributes = {source.pick((*_NAMES, source.text())): _attribute(source) for _ in range(source.below(11))}
    if source.rarely(2):
        claimed = (("specversion", "1.0"), ("id", "1"), ("source", "/a"), ("type", "a"))
        prefix = source.pick(("ce-", "ce_", "cloudEvents:", "cloudEvents_"))
        attributes |= {prefix + name: {"DataType": "String", "StringValue": value} for name, value in claimed}
    batch = b"[" + json.encode(event) + b"]"
    body = source.pick(
        (json.encode(event), batch, events.json_text(source), source.text(40).encode("utf-8", "replace"))
    )
    return _check_message(_message(body.decode("utf-8", "surrogateescape"), attributes, source))


def _attribute(source: Source) -> object:
    if source.rarely(4):
        return {"DataType": "Binary", "BinaryValue": source.taken(8)}
    return {"DataType": source.pick(("String", "Number")), "StringValue": source.pick((*_VALUES, source.text()))}


def _message(body: str, attributes: dict[str, object], source: Source | None = None) -> MessageTypeDef:
    system = {"SentTimestamp": "1767225600123", "SenderId": "AIDA"}
    if source is not None and source.rarely(4):
        system |= {"SequenceNumber": "18849496460467696128", "MessageGroupId": "a!", "AWSTraceHeader": "Root=1;a=b"}
    return {"MessageId": "m", "Body": body or "x", "Attributes": system, "MessageAttributes": attributes}  # type: ignore[typeddict-item]  # made of choices


def _check_message(message: MessageTypeDef) -> bool:
    found = _sqs_message.read(message, ARN)
    body, attributes = message["Body"].encode("utf-8", "surrogatepass"), message.get("MessageAttributes", {})
    for event in found:
        if event.type == "com.amazon.sqs.message" and event.source == ARN:
            longest = max((len(canonical(value).encode()) for value in event.extensions.values()), default=0)
            demand(longest > MAX_ATTRIBUTE or not _problem(event), "what is wrapped is valid", _problem(event), event)
            demand(event.data == body, "what is wrapped is whole", event)
            demand(len(event.extensions) >= len(attributes), "no attribute is lost", attributes, event.extensions)
    log = MemoryLog("eu")
    letters = DeadLetters(log, SystemClock())
    ingest = Ingest(log, log, bury=letters.bury_refused, clock=SystemClock(), limit=LIMIT, at_most=0)
    run(ingest.door("q", "main").accept(found))
    good = [event for event in found if not _problem(event)]
    buried = letters.list(limit=10_000)
    kept = {(event.key, event.data) for stored in log._frames for event in stored.opened or ()}
    demand(kept == {(event.key, event.data) for event in good}, "what is valid is in the log", found, kept)
    refused = {(event.key, event.data) for event in found if _problem(event)}
    demand(len(buried) == len(refused), "what is not is a dead letter", found, buried)
    demand(all(letter.reason and is_printable(letter.reason) for letter in buried), "a refusal has a reason", buried)
    for event in good:
        demand(_received(event) == _json_typed(event), "what was read is written, and read the same", event)
    return bool(good)


def _problem(event: Event) -> str:
    try:
        validate(event)
    except Rejected as problem:
        return str(problem)
    return ""


def _json_typed(event: Event) -> Event:
    kept = {name: found if isinstance(found, int) else canonical(found) for name, found in event.extensions.items()}
    return event.but(extensions=kept)


def _received(event: Event) -> Event:
    made = _sqs_message.entry(0, outgoing(event), is_fifo=False)
    (back,) = _sqs_message.read(_message(made["MessageBody"], dict(made["MessageAttributes"])), ARN)
    return back


def _check_way(event: Event, source: Source) -> None:
    """An event through a queue."""
    group = source.pick((None, "", "a", "a b", "é", "\ud800", "a" * 129, source.text(20)))
    batch = [outgoing(one, group=group) for one in (event, event.but(data=b'"' + b"x" * 600_000 + b'"'), event)]
    entries = [_sqs_message.entry(index, one, is_fifo=True) for index, one in enumerate(batch[: 1 + source.below(3)])]
    for made in entries:
        demand(_SQS_TAKES(made["MessageBody"]), "a body is what SQS takes", made)
        demand(_IS_GROUP(made["MessageGroupId"]), "a group is one that SQS takes", made)
        demand(_IS_GROUP(made["MessageDeduplicationId"]), "so is what repeats are known by", made)
    cuts = _sqs_message.parts(entries)
    demand([at for cut in cuts for at in range(*cut)] == list(range(len(entries))), "parts are all, in order", cuts)
    for start, end in cuts:
        size = sum(map(_sqs_message.size, entries[start:end]))
        demand(size <= _sqs_message.LARGEST or end - start == 1, "a part is what one call takes", cuts)
    demand(_received(event) == _json_typed(event), "an event comes back as it was", event)


class _View:
    """A node that has dead letters, two subscriptions, and nothing critical wrong."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Have nothing happened yet."""
        self.log = MemoryLog("eu")
        self.dead_letters = DeadLetters(self.log, SystemClock())
        for name in ("bill", "other"):
            self.dead_letters.on_resend(name, lambda: None)
        self.resumed: list[str] = []

    def status(self) -> dict[str, object]:
        """Plain values."""
        return {"region": "eu", "dead": self.dead_letters.counts()}

    def checks(self) -> Sequence[Check]:
        """One that is well and one that is not."""
        return [Check("log", None), Check("sink a", "503: later", is_critical=False)]

    async def resume(self, subscription: str) -> None:
        """Note it, if there is one of that name."""
        if subscription != "bill":
            raise LookupError(f"no subscription {subscription!r}")
        self.resumed.append(subscription)

    def rows(self, table: str) -> list[tuple[bytes, bytes]]:
        """What lies in a table."""
        return self.log.rows(table, limit=10_000)


_ASKED = ("GET /status", "GET /metrics", "GET /livez", "GET /readyz", "GET /dead-letters", "GET /dead-letter",
          "POST /dead-letters/resend", "POST /dead-letters/drop", "POST /subscriptions/resume")  # fmt: skip
_PLAIN = re.compile(rb"[A-Z]+ /(metrics|livez|readyz)").match
_BLANK = re.compile(rb"[\x00-\x20\x7f]+")
_EVENTS = (
    ("bill", 0, Event("1", "/a", "a", data=b'{"n": 1.10}', datacontenttype="application/json")),
    ("bill", 5, Event("2", "/a", "a", data=b"\xff", datacontenttype="application/json")),
    ("bill", 1, None),
    ("bill", 0, Event("3", "/a", "a", data=b"1e400", datacontenttype="application/json")),
    ("other", 0, Event("4", "/a", "a", extensions={"n": 1, "b": Binary(b"\xff")})),
    ("gone", 0, Event("5", "/a", "a")),
    ("source:q", 0, Event("", "a b", "a\x00", time="never", data=b"x", extensions={"data": "a", "": "b", "id": 1})),
)
_LETTERS = tuple(
    DeadLetter(name, event, "422: no", 1, 1.0, 2.0, "eu/n1@aa", number, redrives=redrives)
    for number, (name, redrives, event) in enumerate(_EVENTS, 1)
)
_IDS = tuple(letter.id for letter in _LETTERS)


def check_admin(data: bytes) -> bool:
    """Requests to the admin socket, one after the other to one node."""
    source = Source(data)
    if source.is_text:
        requests = [_written(part) for part in source.rest().split(SEPARATOR)[:4]]
    else:
        requests = [_request(source) for _ in range(1 + source.below(4))]
    return run(_ask(*_served(), requests))


def _written(part: bytes) -> bytes:
    line, _, body = part.partition(b"\n")
    method, _, target = line.partition(b" ")
    return _http(_BLANK.sub(b"", method) or b"GET", _BLANK.sub(b"", target) or b"/status", body)


def _request(source: Source) -> bytes:
    method, _, path = source.pick(_ASKED).partition(" ")
    if source.rarely(8):
        method = source.pick(("HEAD", "OPTIONS", "PUT", "DELETE", "X"))
    if source.rarely(8):
        path = source.pick(("/", "//", "/dead-letters/", "/%2e", "/x", "/dead-letters/all"))
    names = ("limit", "after", "id", "subscription", "verbose", "x")
    values = (*_IDS, _IDS[0].upper(), "10", "-1", "9" * 3000, "1e3", "bill", "", "\x00", "a" * 1000, source.text())
    query = "&".join(f"{source.pick(names)}={_quoted(source.pick(values))}" for _ in range(source.below(3)))
    body = _body(source) if method == "POST" else b""
    return _http(method.encode(), (f"{path}?{query}" if query else path).encode(), body)


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"))


def _body(source: Source) -> bytes:
    if source.rarely(8):
        return events.json_text(source)
    body: dict[str, object] = {}
    if source.rarely(2):
        ids = (*_IDS, _IDS[0][:5] + _IDS[0][5:].upper(), _IDS[0][:-30], "bill/" + " ".join(_IDS[0][5:]), "", "\x00/",
               source.text().encode("utf-8", "replace").decode())  # fmt: skip
        body["ids"] = [source.pick(ids) for _ in range(source.below(5))]
    else:
        body[source.pick(("subscription", "all", "name"))] = source.pick(
            ("bill", "gone", True, "bil", None, "\x00", "")
        )
    if source.rarely(3):
        body[source.pick(("rate", "force", "x"))] = source.pick((1, True, 1e-320, 1e308, 0, -1, 0.5, "1"))
    return plain_json.dumps(body).encode()


def _http(method: bytes, target: bytes, body: bytes) -> bytes:
    return b"%b %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (method, target, len(body), body)


@cache
def _served() -> tuple[_View, web.AppRunner]:
    view = _View()
    runner = web.AppRunner(Admin(Path("unused"), view).application(), access_log=None)
    run(runner.setup())
    return view, runner


async def _ask(view: _View, runner: web.AppRunner, requests: Sequence[bytes]) -> bool:
    view.renew()
    await view.dead_letters.bury(_LETTERS)
    passed = False
    for request in requests:
        dead, again = view.rows(dead_letters.TABLE), view.rows(waiting.AGAIN)
        resumed = list(view.resumed)
        status, kind, answer = await _answer(runner, request)
        demand(status < 600 and status != 500, "nothing fails", request, answer)
        if not (_PLAIN(request) or request.startswith(b"HEAD ") or (status == 400 and kind.startswith("text/"))):
            demand(kind.startswith("application/json"), "an answer is JSON", request, status, kind, answer)
            plain_json.loads(answer)
        changed = (dead, again, resumed) != (view.rows(dead_letters.TABLE), view.rows(waiting.AGAIN), view.resumed)
        demand(
            not changed or (status == 200 and request.startswith(b"POST ")), "what is refused changes nothing", request
        )
        if status == 200 and b"/dead-letters/" in request[:20]:
            _check_moved(view, len(dead), len(again), plain_json.loads(answer), request)
        passed |= status == 200
    return passed


def _check_moved(view: _View, dead: int, again: int, answer: dict[str, int], request: bytes) -> None:
    left = view.dead_letters.list(limit=10_000)
    gone = dead - len(left)
    rows = view.rows(waiting.AGAIN)
    demand(answer.get("dropped", answer.get("sent")) == gone, "what is counted is what went", request, answer, gone)
    demand(len(rows) - again == answer.get("sent", 0), "what is sent again is in a queue", request, answer)
    demand(view.dead_letters.counts() == Counter(one.subscription for one in left), "counted is what is left", request)
    for _, value in rows:
        demand(isfinite(waiting.decode_kept(value).not_before), "what is sent again has its time", request)


async def _answer(runner: web.AppRunner, request: bytes) -> tuple[int, str, bytes]:
    assert runner.server is not None
    transport = Transport()
    connection = runner.server()
    connection.connection_made(transport)
    connection.data_received(request)
    for _ in range(_PATIENCE):
        await turns(1)
        head, found, body = transport.written.partition(b"\r\n\r\n")
        if not found:
            continue
        lines = [line.partition(b": ") for line in head.split(b"\r\n")]
        fields = {name.lower(): value for name, _, value in lines[1:]}
        if request.startswith(b"HEAD ") or len(body) >= int(fields.get(b"content-length", b"0")):
            connection.connection_lost(None)
            await turns(2)
            return int(head.split(b" ", 2)[1]), fields.get(b"content-type", b"").decode(), body
    raise Broken(f"a request is answered: {request!r:.300}, {transport.written!r:.300}")


def _sqs_seeds() -> Iterator[bytes]:
    binary = "ce-specversion:1.0\nce-id:1\nce-source:/a\nce-type:a\nce_ext:b"
    yield written("application/cloudevents+json", "", seeds.EVENT)
    yield written("application/cloudevents-batch+json", "", f"[{seeds.EVENT}, {seeds.EVENT}]")
    yield written("text/xml", binary, "<a/>")
    yield written("", "Trace.Id:a\ntrace-id:b", '{"a": 1}')


def _admin_seeds() -> Iterator[bytes]:
    chosen = plain_json.dumps({"ids": list(_IDS)})
    yield written("GET /status", "GET /readyz?verbose", "GET /metrics")
    yield written("GET /dead-letters?subscription=bill&limit=2", f"GET /dead-letter?id={_IDS[0]}")
    yield written(f"POST /dead-letters/resend\n{chosen}", f"POST /dead-letters/drop\n{chosen}")
    yield written('POST /dead-letters/resend\n{"subscription": "bill", "rate": 5, "force": true}')
    yield written('POST /dead-letters/drop\n{"all": true}', 'POST /subscriptions/resume\n{"name": "bill"}')


TARGETS = (
    Target(
        "sqs",
        "a message becomes valid events, or dead letters with a reason; what is sent is received as it was",
        check_sqs,
        (*_NAMES, *seeds.EVENT.split('"')[1:8:2]),
        _sqs_seeds,
    ),
    Target(
        "admin",
        "every request has an answer in JSON, and changes what it says or nothing",
        check_admin,
        (*_ASKED, "limit=", "after=", "id=", "subscription=", '{"ids": ["', '"all": true', '"rate": ', _IDS[0]),
        _admin_seeds,
    ),
)
