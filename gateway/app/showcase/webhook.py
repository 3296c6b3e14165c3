"""The demo's webhook: takes what the `http` sinks of all regions send, at `/<subscription>`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.codec import http
from gateway.core.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.app.showcase.ledger import Ledger


@asynccontextmanager
async def webhook(ledger: Ledger) -> AsyncIterator[str]:
    """Listen on a free loopback port and note what comes; yields the address."""

    async def take(request: web.Request) -> web.Response:
        try:
            events = http.decode(request.headers.items(), await request.read())
        except Rejected as problem:
            return web.Response(status=400, text=str(problem))
        for event in events:
            ledger.deliver(request.match_info["subscription"], event)
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/{subscription}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
