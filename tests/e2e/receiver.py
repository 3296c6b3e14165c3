"""A webhook that notes the id of every event before it answers: `python -m tests.e2e.receiver PORT FILE`.

It runs as a process of its own, so that it can be killed like the others; what
was written survives that. The note is made before the answer, so an event that
was answered is in the file.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from aiohttp import web


def application(notes: Path) -> web.Application:
    """The webhook."""
    file = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def receive(request: web.Request) -> web.Response:
        await request.read()
        os.write(file, request.headers["ce-id"].encode() + b"\n")
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/", receive)
    return app


if __name__ == "__main__":
    web.run_app(
        application(Path(sys.argv[2])),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        print=None,
        access_log=None,
        reuse_address=True,
    )
