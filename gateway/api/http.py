"""The HTTP door: CloudEvents by POST, in binary, structured and batch mode.

    bytes ─ http1 ─▶ Request ─ codec ─▶ events ─ validate ─▶ publish ─▶ 202

202 is written after `publish` returned, and only then. A connection's requests
are answered one after the other, so events that come in through it keep their
order. The protocol is our own on top of asyncio's transports: a web framework
costs twice the CPU, buffers before it refuses, and has no time-out for a head
that never ends.
"""

from __future__ import annotations

import asyncio
import logging
from email.utils import formatdate
from typing import TYPE_CHECKING, Self

from gateway.api.address import parse_address, spell_address
from gateway.api.answering import Answering
from gateway.api.answers import ACCEPTED, Answer, problem, render
from gateway.api.connection import Connection
from gateway.codec.http import decode, format_of
from gateway.core import telemetry
from gateway.core.clock import Clock, SystemClock
from gateway.core.errors import InvalidEvent, TooLarge, UnsupportedFormat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType

    from prometheus_client import Counter

    from gateway.api.http1 import Request
    from gateway.api.limits import Limits
    from gateway.core.contracts import Publisher

log = logging.getLogger(__name__)

_open_connections = telemetry.connections.labels(door="http")
_EVENTS = ("/events", "/")
"""Where events are posted."""
_refused = telemetry.refused_events.labels(via="http")
_NOT_AN_EVENT = (
    "not a CloudEvent. Send its attributes as header fields (ce-specversion: 1.0, ce-id, ce-source, ce-type) and the "
    'data as the body; or send {"specversion": "1.0", "id": ..., "source": ..., "type": ..., "data": ...} '
    "with Content-Type: application/cloudevents+json"
)


class HttpDoor:
    """Listens while it is entered. Leaving it stops accepting and lets requests under way finish."""

    def __init__(
        self,
        address: str,
        publisher: Publisher,
        limits: Limits,
        extra: Mapping[str, Callable[[Request], Awaitable[Answer]]] | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        """`extra` adds routes such as `{"GET /metrics": ...}`; `address` is `host:port`, port 0 means any."""
        self.address = address
        """`host:port`; once entered the one it is bound to."""
        self.limits = limits
        self.held = 0
        self.is_stopping = False
        self.date = ""
        self.accepted = b""
        self._clock = clock or SystemClock()
        self.now = self._clock.monotonic()
        self._routes: dict[tuple[str, str], Callable[[Request], Awaitable[Answer]]] = {
            ("OPTIONS", "/events"): _shake_hands,
            ("OPTIONS", "/"): _shake_hands,
        }
        for route, answer in (extra or {}).items():
            method, path = route.split(" ")
            self._routes[method, path] = answer
            if method == "GET":
                self._routes["HEAD", path] = answer
        self._paths = {*_EVENTS, *(path for _, path in self._routes)}
        self._counts: dict[int, Counter] = {}
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._answering = Answering(publisher, limits, self._tasks)
        self._server: asyncio.Server
        self._ticking: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        """Bind and listen.

        :raises OSError: the address cannot be bound.
        """
        self._tick()
        await self._tasks.__aenter__()
        host, port = parse_address(self.address)
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=1024)
        except OSError:
            await self._tasks.__aexit__(None, None, None)
            raise
        self.address = spell_address(self._server.sockets[0].getsockname())
        self._ticking = self._tasks.create_task(self._tick_on(), name=f"ticks of http {self.address}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop accepting; wait `drain_timeout` for requests under way; cut off what is left."""
        self.is_stopping = True
        self._server.close()
        for connection in list(self._connections):
            connection.stop()
        try:
            async with asyncio.timeout(self.limits.drain_timeout):
                while self._connections:
                    self._empty.clear()
                    await self._empty.wait()
        except TimeoutError:
            log.warning("requests cut off while closing", extra={"door": "http", "count": len(self._connections)})
        finally:
            for connection in list(self._connections):
                connection.abort()
            self._answering.cancel()
            self._ticking.cancel()
            await self._tasks.__aexit__(None, None, None)

    # what connections ask for

    def admit(self, connection: Connection) -> bool:
        """Count a new connection in, unless there are too many or the door closes."""
        if self.is_stopping or len(self._connections) >= self.limits.connections:
            return False
        self._connections.add(connection)
        _open_connections.set(len(self._connections))
        return True

    def leave(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        _open_connections.set(len(self._connections))
        if not self._connections:
            self._empty.set()

    def count(self, status: int) -> None:
        """Count an answer by its status."""
        counter = self._counts.get(status)
        if counter is None:
            counter = self._counts[status] = telemetry.requests.labels(door="http", status=str(status))
        counter.inc()

    def handle(self, request: Request, connection: Connection) -> Answer | None:
        """Answer one request; None: the connection will be told."""
        if request.method == "POST" and request.path in _EVENTS:
            return self._publish(request, connection)
        route = self._routes.get((request.method, request.path))
        if route is None:
            return self._lost(request)
        self._answering.ask(connection, route(request))
        return None

    def _lost(self, request: Request) -> Answer:
        if request.path not in self._paths:
            return problem(404, f"nothing is at {request.path[:200]}; events are posted to /events")
        routes = [*self._routes, *(("POST", path) for path in _EVENTS)]
        allowed = ", ".join(sorted(method for method, path in routes if path == request.path))
        return problem(405, f"{request.method} is not possible here, {allowed} is", headers=(("Allow", allowed),))

    # publishing

    def _publish(self, request: Request, connection: Connection) -> Answer | None:
        fields = request.fields
        if fields.get("content-encoding", "identity") != "identity":
            return problem(
                415, "compressed bodies are not taken, send it as it is", headers=(("Accept-Encoding", "identity"),)
            )
        try:
            content_type = fields.get("content-type")
            read = None if content_type is None else format_of(content_type)
            events = decode(request.headers, request.body) if read is None else read(request.body)
            self.limits.check_count(len(events))
            self.limits.check_sizes(events, len(request.body) + self.limits.head)
        except UnsupportedFormat as wrong:
            return problem(415, str(wrong))
        except InvalidEvent as wrong:
            _refused.inc()
            return _invalid(wrong, request)
        except TooLarge as wrong:
            _refused.inc()
            return problem(413, str(wrong))
        if not events:
            return ACCEPTED
        self._answering.post(connection, events, len(request.body))
        return None

    # time

    def _tick(self) -> None:
        self.now = self._clock.monotonic()
        self.date = formatdate(self._clock.now(), usegmt=True)
        self.accepted = render(ACCEPTED, keep=True, date=self.date)

    async def _tick_on(self) -> None:
        limits = self.limits
        pause = min(1.0, limits.header_timeout / 4, limits.body_timeout / 4, limits.idle_timeout / 4)
        while True:
            await self._clock.sleep(pause)
            self._tick()
            for connection in [one for one in self._connections if one.deadline < self.now]:
                connection.expire()


def _invalid(wrong: InvalidEvent, request: Request) -> Answer:
    if wrong.index is not None:
        return problem(400, str(wrong), index=wrong.index)
    if "ce-specversion" not in request.fields and "cloudevents" not in request.fields.get("content-type", ""):
        return problem(400, _NOT_AN_EVENT)
    return problem(400, str(wrong))


async def _shake_hands(request: Request) -> Answer:
    """The validation handshake of webhooks (CloudEvents HTTP webhook 1.0, section 4): any origin may, at any rate."""
    origin = request.fields.get("webhook-request-origin")
    allowed = (("Allow", "OPTIONS, POST"),)
    if origin is None:
        return Answer(200, headers=allowed)
    return Answer(200, headers=(*allowed, ("WebHook-Allowed-Origin", origin), ("WebHook-Allowed-Rate", "*")))
