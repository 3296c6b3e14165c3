"""The admin API: JSON over HTTP on a Unix socket in the data directory, for the one who runs the node.

    GET  /status            GET /metrics   /livez   /readyz?verbose
    GET  /dead-letters      ?subscription= &after= &limit=
    GET  /dead-letter       ?id=
    POST /dead-letters/resend   {ids | subscription | all, rate?, force?}
    POST /dead-letters/drop     {ids | subscription | all}
    POST /subscriptions/resume  {name}

Whoever may open the socket (mode 0600: its owner) may do everything.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol, Self

import msgspec
from aiohttp import web

from gateway.api import probes
from gateway.api.admin_socket import SOCKET, listen
from gateway.codec.json import encode
from gateway.core.errors import IsthmusError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from gateway.api.answers import Answer
    from gateway.flow.dead_letters import DeadLetter, DeadLetters

_PAGE = 500
_MOST = 10_000
_SLOWEST = 0.001
"""Events a second; with nearly none the last would wait for ever."""


class NodeView(Protocol):
    """What is served."""

    @property
    def dead_letters(self) -> DeadLetters:
        """The node's dead letters."""
        ...

    def status(self) -> dict[str, object]:
        """How everything is: plain values only."""
        ...

    def checks(self) -> Sequence[probes.Check]:
        """Everything that was looked at."""
        ...

    async def resume(self, subscription: str) -> None:
        """Deliver again to a subscription that was disabled or blocked.

        :raises LookupError: there is none of that name.
        """
        ...


class _Chosen(msgspec.Struct, forbid_unknown_fields=True):
    """Which dead letters: exactly one of ids, subscription, all."""

    ids: list[str] = []
    subscription: str | None = None
    all: bool = False
    rate: float | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if [bool(self.ids), self.subscription is not None, self.all].count(True) != 1:
            raise ValueError("expected exactly one of ids, subscription, all")
        if self.rate is not None and self.rate < _SLOWEST:
            raise ValueError(f"rate: expected at least {_SLOWEST} events a second")


class _Named(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class Admin:
    """Listens while it is entered."""

    def __init__(self, folder: Path, node: NodeView) -> None:
        self._folder = folder
        self._node = node
        self._open_things = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Listen on `admin.sock`; one that a dead process left is replaced.

        :raises ConfigError: the path is longer than a socket's may be.
        """
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        self._open_things.push_async_callback(runner.cleanup)
        listening = listen(self._folder)
        self._open_things.callback((self._folder / SOCKET).unlink, missing_ok=True)
        await web.SockSite(runner, listening).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and remove the socket."""
        await self._open_things.aclose()

    def application(self) -> web.Application:
        """What answers, whatever it listens on."""
        app = web.Application(client_max_size=16 * 1024 * 1024, middlewares=[_explain])
        app.add_routes(self._routes())
        return app

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/status", self._status),
            web.get("/metrics", _probe(lambda _: probes.metrics())),
            web.get("/livez", _probe(lambda _: probes.live())),
            web.get("/readyz", _probe(lambda request: probes.ready(self._node, request.query_string))),
            web.get("/dead-letters", self._list),
            web.get("/dead-letter", self._show),
            web.post("/dead-letters/resend", self._resend),
            web.post("/dead-letters/drop", self._drop),
            web.post("/subscriptions/resume", self._resume),
        ]

    async def _status(self, _: web.Request) -> web.Response:
        return _json(self._node.status())

    async def _list(self, request: web.Request) -> web.Response:
        limit = int(request.query.get("limit", "100"))
        letters = self._node.dead_letters.list(
            request.query.get("subscription"), after=request.query.get("after"), limit=max(1, min(limit, _MOST))
        )
        return _json([describe(letter) for letter in letters])

    async def _show(self, request: web.Request) -> web.Response:
        letter = self._node.dead_letters.show(request.query.get("id", ""))
        if letter is None:
            raise LookupError("no such dead letter")
        return _json(describe(letter))

    async def _resend(self, request: web.Request) -> web.Response:
        chosen = msgspec.json.decode(await request.read(), type=_Chosen)
        sent, refused = await self._node.dead_letters.resend(
            chosen.ids, subscription=chosen.subscription, rate=chosen.rate, force=chosen.force
        )
        return _json({"sent": sent, "refused": refused})

    async def _drop(self, request: web.Request) -> web.Response:
        chosen = msgspec.json.decode(await request.read(), type=_Chosen)
        letters = self._node.dead_letters
        if chosen.ids:
            return _json({"dropped": await letters.drop(chosen.ids)})
        dropped = 0
        after: str | None = None
        while page := letters.list(chosen.subscription, after=after, limit=_PAGE):
            after = page[-1].id
            dropped += await letters.drop([letter.id for letter in page])
        return _json({"dropped": dropped})

    async def _resume(self, request: web.Request) -> web.Response:
        named = msgspec.json.decode(await request.read(), type=_Named)
        await self._node.resume(named.name)
        return _json({"resumed": named.name})


def describe(letter: DeadLetter) -> dict[str, object]:
    """A dead letter as plain values; its event as a CloudEvent in JSON."""
    event = None if letter.event is None else msgspec.Raw(encode(letter.event))
    return {"id": letter.id, **msgspec.structs.asdict(letter), "event": event}


def _probe(answer: Callable[[web.Request], Answer]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def respond(request: web.Request) -> web.Response:
        found = answer(request)
        return web.Response(status=found.status, body=found.body, headers={"Content-Type": found.content_type})

    return respond


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(value)
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Errors as `{"error": why}`."""
    try:
        return await handler(request)
    except web.HTTPException as problem:  # no such path or method, too large a body
        headers = {name: problem.headers[name] for name in ("Allow",) if name in problem.headers}
        return _json({"error": f"{request.method} {request.path}: {problem.reason}"}, problem.status, headers)
    except LookupError as problem:
        return _json({"error": str(problem.args[0]) if problem.args else "not found"}, 404)
    except Unavailable as problem:
        return _json({"error": str(problem)}, 503)
    except (ValueError, IsthmusError) as problem:  # msgspec's errors are ValueErrors
        return _json({"error": str(problem)}, 400)
