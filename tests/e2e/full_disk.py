"""A node on a disk that fills up: run inside a mount namespace by test_full_disk.py.

    unshare -m python -m tests.e2e.full_disk DIRECTORY

The node's data lie on a tmpfs of 24 MiB of its own, everything else in DIRECTORY.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.e2e.alone import TO_A_WEBHOOK, Alone, alone, isthmus
from tests.e2e.processes import free_port, until

MiB = 1024 * 1024


class Webhook:
    """Holds requests up while it is shut; refuses events that end in 7, for ever."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.seen: list[str] = []

    async def take(self, request: web.Request) -> web.Response:
        """Answer one request."""
        await request.read()
        if not self.open.is_set():
            return web.Response(status=503)
        name = request.headers["ce-id"]
        if name.endswith("7"):
            return web.Response(status=422, text="no such order")
        self.seen.append(name)
        return web.Response(status=204)


async def main(folder: Path) -> None:
    """Fill, look, make room, look."""
    port = free_port()
    data = folder / "disk" / "data"
    one = alone(folder, TO_A_WEBHOOK.format(hook=port, origin="a"), data=data)
    webhook = Webhook()
    application = web.Application()
    application.router.add_post("/", webhook.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await one.node.start()
    try:
        await one.node.ready()
        await fill_up(one, webhook, folder / "disk" / "somebody-else")
        print("ok")
    finally:
        await one.node.kill()
        await runner.cleanup()


async def fill_up(one: Alone, webhook: Webhook, other: Path) -> None:
    """The whole story of one full disk."""
    other.write_bytes(b"x" * 6 * MiB)
    await one.publish(1_000_000, per_post=1, size=30_000)
    full_at = len(one.acknowledged)
    assert one.refused == 1
    assert one.retry_after is not None
    assert int(one.retry_after) >= 1
    assert full_at > 50, full_at
    code, ready = await readyz(one)
    assert code == 503, ready
    metrics = await one.metrics()
    assert metrics["isthmus_log_full"] == 1

    webhook.open.set()
    good = {name for name in one.acknowledged if not name.endswith("7")}
    await until(lambda: good <= set(webhook.seen), limit=60)

    bad = {name for name in one.acknowledged if name.endswith("7")}
    await until_listed(one, bad)
    print(f"full after {full_at} events, {len(good)} delivered and {len(bad)} buried meanwhile")

    other.unlink()
    async with asyncio.timeout(20):
        while not await taken(one):
            await asyncio.sleep(0.05)
    before = len(one.acknowledged)
    await one.publish(20, per_post=1, size=1000)
    assert len(one.acknowledged) == before + 20
    good = {name for name in one.acknowledged if not name.endswith("7")}
    await until(lambda: good <= set(webhook.seen), limit=30)
    code, ready = await readyz(one)
    assert code == 200, ready
    assert "Traceback" not in one.said, one.said
    assert one.said.count("log is full") <= 2
    assert "log takes events again" in one.said


async def until_listed(one: Alone, names: set[str]) -> None:
    """Wait until all of them are dead letters."""
    async with asyncio.timeout(20):
        while True:
            code, said = await isthmus("dead-letters", "list", "--data", one.data, "--json", "--limit", "1000")
            assert code == 0, said
            if names <= {name for name in names if json.dumps(name) in said}:
                return


async def taken(one: Alone) -> bool:
    """Whether one event is acknowledged now."""
    async with aiohttp.ClientSession() as session:
        return await one.post(session, 1)


async def readyz(one: Alone) -> tuple[int, str]:
    """What the probe says."""
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{one.node.http}/readyz?verbose"
        async with session.get(url) as answer:
            return answer.status, await answer.text()


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    (directory / "disk").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(directory / "disk")], check=True)
    asyncio.run(main(directory))
