"""A real node that runs out of descriptors, is sent a huge body, or is sent nonsense for a long time."""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
from typing import TYPE_CHECKING

import pytest

from tests.api import wire
from tests.e2e.alone import TO_A_WEBHOOK, Alone, all_arrive, alone, hook_at
from tests.e2e.processes import free_port, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

MiB = 1024 * 1024
BAD: Sequence[tuple[bytes, int]] = (
    (wire.post(b"{}"), 400),
    (wire.post(b'{"specversion":"1.0","id":', "Content-Type: application/cloudevents+json"), 400),
    (wire.post(b'[{"specversion":"1.0"}]', "Content-Type: application/cloudevents-batch+json"), 400),
    (wire.post(b"x" * 3000, "ce-specversion: 1.0", "ce-type: t", "ce-source: /s"), 400),
    (wire.post(b"\xff\xfe" * 500, "Content-Type: application/cloudevents+json"), 400),
    (wire.post(b"{}", "Content-Type: application/cloudevents+xml"), 415),
    (wire.post(b"{}", "Content-Encoding: gzip"), 415),
    (wire.post(b"{}", path="/nothing"), 404),
    (wire.event(1).replace(b"POST", b"DELETE", 1), 405),
)
"""Requests that are answered and leave the connection open."""
BROKEN: Sequence[bytes] = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300) + b"\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /events HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (number, b"y" * 300) for number in range(200)) + b"\r\n",
    wire.post(length=100 * MiB),
    b"POST /events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
)
"""Requests after which the connection ends."""


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[tuple[Alone, Path]]:
    """A node with a webhook, and what the webhook noted."""
    port = free_port()
    node = alone(tmp_path, TO_A_WEBHOOK.format(hook=port, origin="a"))
    async with hook_at(tmp_path, port) as notes:
        await node.node.start()
        try:
            await node.node.ready()
            yield node, notes
        finally:
            await node.node.kill()


async def test_without_descriptors_new_connections_are_shed_and_the_others_live(one: tuple[Alone, Path]) -> None:
    """F9: who is connected is served; who comes is let in when there is room again, without a restart."""
    node, notes = one
    assert node.node.process is not None
    address = f"127.0.0.1:{node.node.http}"
    async with wire.dial(address) as old:
        await old.say(wire.event("before"))
        assert (await old.hear()).status == 202
        await all_arrive(["before"], notes)
        resource.prlimit(node.node.process.pid, resource.RLIMIT_NOFILE, (64, 64))

        async with contextlib.AsyncExitStack() as crowd:
            lines = [await crowd.enter_async_context(wire.dial(address)) for _ in range(200)]
            for line in lines:
                with contextlib.suppress(ConnectionError):
                    await line.say(wire.event("crowd"))
            served = [asyncio.ensure_future(answered(line)) for line in lines]
            await until(lambda: sum(future.done() for future in served) > 10)
            for number in range(100):
                await old.say(wire.event(f"during-{number}"))
                assert (await old.hear()).status == 202
            await all_arrive([f"during-{number}" for number in range(100)], notes)
            taken = sum(future.done() and future.result() for future in served)
            for future in served:
                future.cancel()
            await asyncio.wait(served)

        assert 10 < taken < 64
        async with asyncio.timeout(20):
            while not await let_in(address):
                await asyncio.sleep(0.05)
        await all_arrive(["after"], notes)
    assert node.node.is_running
    lines_said = len(node.said.splitlines())
    print(f"{taken} of 200 were served at 64 descriptors, {lines_said} lines logged")
    assert "Traceback" not in node.said
    assert lines_said < 100


async def answered(line: wire.Line) -> bool:
    """Whether this connection was served; False when it was shed."""
    try:
        return (await line.hear()).status == 202
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


async def let_in(address: str) -> bool:
    """Whether a new connection is served now."""
    async with wire.dial(address) as line:
        with contextlib.suppress(ConnectionError):
            await line.say(wire.event("after"))
        return await answered(line)


async def test_a_huge_body_is_refused_and_memory_stays_flat(one: tuple[Alone, Path]) -> None:
    """F12: announced, 100 MB are refused unread; in chunks, they are cut off where the largest request ends."""
    node, _ = one
    address = f"127.0.0.1:{node.node.http}"
    assert (await wire.ask(address, wire.event("warm"))).status == 202
    before = most = node.resident()

    assert (await wire.ask(address, wire.post(length=100 * MiB))).status == 413
    async with wire.dial(address) as line:
        await line.say(wire.post(length=100 * MiB))
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                await line.say(bytes(MiB))
                most = max(most, node.resident())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            assert (await line.hear()).status == 413
    print(f"{(most - before) / MiB:.1f} MiB more by length")
    assert most - before < 20 * MiB

    for _ in range(5):
        async with wire.dial(address) as line:
            await line.say(b"POST /events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                for _ in range(100):
                    await line.say(b"100000\r\n", bytes(MiB), b"\r\n")
                    most = max(most, node.resident())
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                assert (await line.hear()).status == 413
        print(f"{(most - before) / MiB:.1f} MiB more by chunks at the most")
    assert most - before < 3 * 16 * MiB, "what one request may have, and what the allocator keeps of the rounds before"
    assert (await wire.ask(address, wire.event("big", bytes(2 * MiB)))).status == 413
    assert (await wire.ask(address, wire.event("still"))).status == 202


async def test_nonsense_for_a_long_time_leaves_memory_flat(one: tuple[Alone, Path]) -> None:
    """20,000 bad requests of many kinds are answered; the process stays as large as it was."""
    node, notes = one
    address = f"127.0.0.1:{node.node.http}"
    chance = random.Random(7)
    await nonsense(address, 2000, chance)
    before = node.resident()

    await nonsense(address, 20_000, chance)

    grown = node.resident() - before
    print(f"{grown / MiB:.1f} MiB more after 20,000 bad requests, {before / MiB:.0f} MiB before")
    assert grown < 15 * MiB
    assert (await wire.ask(address, wire.event("still"))).status == 202
    await all_arrive(["still"], notes)
    assert "Traceback" not in node.said
    assert len(node.said.splitlines()) < 50, "no line for each of them"


async def nonsense(address: str, count: int, chance: random.Random) -> None:
    """Bad requests: 50 to a connection that are answered, then one that ends it."""
    for _ in range(count // 51):
        async with wire.dial(address) as line:
            chosen = [chance.choice(BAD) for _ in range(50)]
            for start in range(0, 50, 10):
                await line.say(*(request for request, _ in chosen[start : start + 10]))
                for _, status in chosen[start : start + 10]:
                    assert (await line.hear()).status == status
            await line.say(chance.choice(BROKEN))
            with contextlib.suppress(ConnectionError):
                answer = await line.reader.read()
                assert answer == b"" or 400 <= int(answer.split()[1]) < 600, answer[:100]
