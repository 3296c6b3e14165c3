"""A webhook on loopback: a real server whose every answer a test may choose."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from aiohttp import web

from gateway.codec import http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from gateway.core.event import Event

Answer: TypeAlias = "Callable[[web.Request, list[Event]], Awaitable[web.StreamResponse | None]]"


class Webhook:
    """Keeps the events it answered 2xx for, and the headers of every request."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.requests: list[dict[str, str]] = []
        self.connections: set[object] = set()
        self.answer: Answer = taken
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def start(self) -> None:
        """Listen, at the same port as before."""
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/hook", self._take)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        assert site._server is not None
        self._port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._port}/hook"

    async def stop(self) -> None:
        """Close every connection and listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        events = http.decode(request.headers.items(), await request.read())
        self.requests.append(dict(request.headers))
        self.connections.add(request.transport)
        chosen = await self.answer(request, events)
        if chosen is None:
            self.events += events
            return web.Response(status=202)
        if chosen.status < 300:
            self.events += events
        return chosen


async def taken(request: web.Request, events: list[Event]) -> web.StreamResponse | None:
    """Refuse events of type `com.example.refused`, take the others."""
    if any(event.type == "com.example.refused" for event in events):
        return web.Response(status=422, text="no such order")
    return None


def always(status: int, text: str = "", headers: dict[str, str] | None = None) -> Answer:
    """The same answer to every request."""

    async def answer(request: web.Request, events: list[Event]) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return answer


@asynccontextmanager
async def webhook() -> AsyncIterator[Webhook]:
    """One that listens."""
    server = Webhook()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
