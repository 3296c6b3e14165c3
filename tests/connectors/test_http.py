"""`http` (sink) against a real server on loopback."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from pydantic import ValidationError

from connectors import http
from connectors.conformance import SinkConformance
from connectors.samples import SAMPLES, assert_unchanged, numbered, outgoing
from gateway.core.errors import Gone, PartialFailure, Rejected, Unauthorized, Unavailable
from tests.connectors.webhook import Webhook, always, webhook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.core.event import Event


@pytest.fixture
async def hook() -> AsyncIterator[Webhook]:
    async with webhook() as server:
        yield server


class HttpSink(SinkConformance):
    mode = "binary"
    patience = 5.0
    hook: Webhook

    @pytest.fixture(autouse=True)
    def _hook(self, hook: Webhook) -> None:
        self.hook = hook

    def sink(self) -> http.Sink:
        return sink(self.hook, mode=self.mode)

    async def received(self) -> list[Event]:
        return self.hook.events

    def refused(self) -> Event:
        return numbered(1)[0].but(type="com.example.refused")

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        await self.hook.stop()
        yield
        await self.hook.start()


class TestBinary(HttpSink):
    keeps_empty_data = False


class TestStructured(HttpSink):
    mode = "structured"


class TestBatch(HttpSink):
    mode = "batch"


def sink(hook: Webhook, **settings: object) -> http.Sink:
    return http.Sink(http.SinkSettings.model_validate({"url": hook.url, **settings}))


async def problem_of(hook: Webhook, **settings: object) -> Exception:
    """What one send of one event raises."""
    async with sink(hook, **settings) as open_sink:
        with pytest.raises((Unavailable, Rejected)) as raised:
            await open_sink.send([outgoing(numbered(1)[0])])
    return raised.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, Rejected) for status in (400, 406, 411, 412, 413, 414, 415, 416, 417, 422, 431, 451, 499)),
        *((status, Unavailable) for status in (404, 405, 407, 408, 409, 421, 423, 425, 429, 500, 501, 502, 503, 504)),
        *((status, Unavailable) for status in (300, 301, 302, 303, 304, 307, 308)),
        (401, Unauthorized),
        (403, Unauthorized),
        (410, Gone),
    ],
)
async def test_the_status_class_decides(hook: Webhook, status: int, kind: type[Exception]) -> None:
    """F16, F17, F28: never for the event's sake, later for the address's and the moment's."""
    hook.answer = always(status, "because" if status != 304 else "")

    problem = await problem_of(hook)

    assert type(problem) is kind
    assert str(status) in str(problem)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_delivered(hook: Webhook, status: int) -> None:
    hook.answer = always(status)
    sent = numbered(1)

    async with sink(hook) as open_sink:
        await open_sink.send([outgoing(event) for event in sent])

    assert_unchanged(hook.events, sent)


async def test_redirects_are_not_followed(hook: Webhook) -> None:
    """F19: whoever controls the destination does not choose another for us."""
    hook.answer = always(307, headers={"Location": hook.url})

    problem = await problem_of(hook)

    assert hook.url in str(problem)
    assert len(hook.requests) == 1


@pytest.mark.parametrize(
    ("wish", "pause"), [("0", 0.0), ("7", 7.0), ("999999", 3600.0), ("soon", None), ("-3", None), ("", None)]
)
@pytest.mark.parametrize("status", [429, 503])
async def test_the_destinations_own_pause_is_obeyed(hook: Webhook, wish: str, pause: float | None, status: int) -> None:
    """F15: in seconds, capped at an hour."""
    hook.answer = always(status, headers={"Retry-After": wish})

    problem = await problem_of(hook)

    assert isinstance(problem, Unavailable)
    assert problem.after == pause


@pytest.mark.parametrize(("ahead", "pause"), [(90, 90.0), (-90, 0.0), (86400, 3600.0)])
async def test_a_pause_may_be_a_date(hook: Webhook, ahead: int, pause: float) -> None:
    """By the destination's own clock, whatever ours says (F11)."""
    now = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
    date = format_datetime(now + timedelta(seconds=ahead), usegmt=True)
    hook.answer = always(503, headers={"Date": format_datetime(now, usegmt=True), "Retry-After": date})

    problem = await problem_of(hook)

    assert isinstance(problem, Unavailable)
    assert problem.after == pause


async def test_the_reason_is_an_excerpt_of_the_answer(hook: Webhook) -> None:
    """At most 500 characters, on one line, without what a terminal would obey; the URL without its secrets."""
    hook.answer = always(400, "bad\r\n\x1b[31mamount " + "x" * 10_000)
    hook.url += "?token=secret"

    problem = str(await problem_of(hook))

    assert "400 Bad Request: bad [31mamount xxx" in problem
    assert len(problem) < 600
    assert "secret" not in problem


async def test_an_answer_that_drips_is_cut(hook: Webhook) -> None:
    """F19: the status decides, the body is not waited for."""
    stop = asyncio.Event()

    async def drip(request: web.Request, events: list[Event]) -> web.StreamResponse:
        answer = web.StreamResponse(status=400)
        await answer.prepare(request)
        for _ in range(200):
            if stop.is_set() or request.transport is None or request.transport.is_closing():
                break
            await answer.write(b".")
            await asyncio.sleep(0.05)
        return answer

    hook.answer = drip
    started = asyncio.get_running_loop().time()

    problem = await problem_of(hook)

    stop.set()
    assert type(problem) is Rejected
    assert asyncio.get_running_loop().time() - started < 3


async def test_a_destination_that_never_answers_is_unavailable(hook: Webhook) -> None:
    """F18: within the timeout."""
    stop = asyncio.Event()

    async def never(request: web.Request, events: list[Event]) -> web.StreamResponse | None:
        await stop.wait()
        return web.Response(status=500)

    hook.answer = never

    problem = await problem_of(hook, timeout=0.3)

    stop.set()
    assert type(problem) is Unavailable


async def test_an_endless_success_is_a_success(hook: Webhook) -> None:
    """The destination has the event when it says 200; what else it says does not matter."""

    async def endless(request: web.Request, events: list[Event]) -> web.StreamResponse | None:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"x" * 100_000)
        return answer

    hook.answer = endless
    sent = numbered(2)

    async with sink(hook) as open_sink:
        for event in sent:
            await open_sink.send([outgoing(event)])

    assert_unchanged(hook.events, sent)


async def test_a_compressed_answer_is_not_unpacked(hook: Webhook) -> None:
    """A bomb in an error page costs nothing."""
    hook.answer = always(400, headers={"Content-Encoding": "gzip"})

    assert type(await problem_of(hook)) is Rejected


async def test_connections_are_kept(hook: Webhook) -> None:
    """One connection for events sent one after the other, also after errors."""
    async with sink(hook) as open_sink:
        for number in range(30):
            hook.answer = always(422, "no") if number % 3 == 0 else always(200, "yes")
            try:
                await open_sink.send([outgoing(numbered(1)[0])])
            except Rejected:
                continue

    assert len(hook.connections) == 1


async def test_no_more_connections_than_allowed(hook: Webhook) -> None:
    async with sink(hook, connections=2) as open_sink, asyncio.TaskGroup() as tasks:
        for event in numbered(20):
            tasks.create_task(open_sink.send([outgoing(event)]))

    assert len(hook.connections) == 2
    assert len(hook.events) == 20


async def test_the_idempotency_key_goes_along(hook: Webhook) -> None:
    """So that the receiver can drop repeats."""
    event = outgoing(numbered(1)[0])
    async with sink(hook) as open_sink:
        await open_sink.send([event])

    assert hook.requests[0]["Idempotency-Key"] == event.idempotency_key


async def test_own_headers_are_sent_and_shown_nowhere(hook: Webhook) -> None:
    settings = http.SinkSettings.model_validate({"url": hook.url, "headers": {"Authorization": "Bearer s3cret"}})
    async with http.Sink(settings) as open_sink:
        await open_sink.send([outgoing(numbered(1)[0])])

    assert hook.requests[0]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in settings.model_dump_json()


async def test_cookies_are_not_kept(hook: Webhook) -> None:
    hook.answer = always(200, headers={"Set-Cookie": "a=b"})
    async with sink(hook) as open_sink:
        for event in numbered(2):
            await open_sink.send([outgoing(event)])

    assert "Cookie" not in hook.requests[1]


async def test_proxy_variables_are_not_trusted(hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with sink(hook) as open_sink:
        await open_sink.send([outgoing(numbered(1)[0])])

    assert len(hook.events) == 1


@pytest.mark.parametrize("bad", [[], [0], [6], [2, 3], [0, 1, 2, 3, 4, 5, 6]])
async def test_a_refused_batch_is_halved_until_the_bad_are_found(hook: Webhook, bad: list[int]) -> None:
    """The others arrive, each once and in order."""
    sent = [event.but(type="com.example.refused") if at in bad else event for at, event in enumerate(numbered(7))]
    async with sink(hook, mode="batch") as open_sink:
        try:
            await open_sink.send([outgoing(event) for event in sent])
        except PartialFailure as problem:
            failures = problem.failures
        else:
            failures = {}

    assert sorted(failures) == bad
    assert all(type(failure) is Rejected for failure in failures.values())
    assert [event.id for event in hook.events] == [event.id for at, event in enumerate(sent) if at not in bad]


async def test_after_an_outage_within_a_batch_nothing_more_is_sent(hook: Webhook) -> None:
    """No event overtakes another; what arrived is not sent again."""
    answers = iter([always(413), always(200), always(503, headers={"Retry-After": "5"})])

    async def next_answer(request: web.Request, events: list[Event]) -> web.StreamResponse | None:
        return await next(answers)(request, events)

    hook.answer = next_answer
    sent = numbered(4)

    async with sink(hook, mode="batch") as open_sink:
        with pytest.raises(PartialFailure) as raised:
            await open_sink.send([outgoing(event) for event in sent])

    assert sorted(raised.value.failures) == [2, 3]
    assert all(isinstance(why, Unavailable) and why.after == 5 for why in raised.value.failures.values())
    assert_unchanged(hook.events, sent[:2])


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "ftp://example.com/x"},
        {"url": "http://"},
        {"url": "http://example.com/", "mode": "xml"},
        {"url": "http://example.com/", "batch": 0},
        {"url": "http://example.com/", "headers": {"ce-id": "1"}},
        {"url": "http://example.com/", "headers": {"Content-Type": "text/plain"}},
        {"url": "http://example.com/", "headers": {"X": "a\r\nY: b"}},
        {"url": "http://example.com/", "headers": {"X Y": "a"}},
        {"url": "http://example.com/", "unknown": 1},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        http.SinkSettings.model_validate(settings)


async def test_every_sample_goes_through_a_full_batch(hook: Webhook) -> None:
    async with sink(hook, mode="batch") as open_sink:
        await open_sink.send([outgoing(event) for event in SAMPLES])

    assert_unchanged(hook.events, SAMPLES)
    assert len(hook.requests) == 1
