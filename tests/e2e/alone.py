"""One node as a real process, with a webhook behind it, and what tests do to it."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from gateway.codec.json import encode_batch
from gateway.core.event import Event
from tests.e2e.processes import Program, Region, free_port, node, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONFIG = """
region: {region}
node: n1
data: {data}
log: {{{log}}}
api: {{http: 127.0.0.1:{http}}}
{more}
"""
TO_A_WEBHOOK = """
sinks:
  hook:
    http: {{url: "http://127.0.0.1:{hook}/", timeout: 5s}}
subscriptions:
  everything: {{from: [{origin}], to: hook, order_by: partitionkey, start: earliest}}
"""


@dataclass
class Alone:
    """A node of its own."""

    node: Region
    config: Path
    data: Path
    acknowledged: list[str] = field(default_factory=list)
    """Ids that were answered 202."""
    refused: int = 0
    """Posts that were answered 503."""
    retry_after: str | None = None
    """Of the last 503."""

    async def publish(self, count: int, *, per_post: int = 10, size: int = 200) -> None:
        """Post events numbered on from those before, one post after the other, until one is not taken."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            for _ in range(0, count, per_post):
                if not await self.post(session, per_post, size=size):
                    return

    async def post(self, session: aiohttp.ClientSession, count: int, *, size: int = 200) -> bool:
        """Post the next events; whether they were acknowledged."""
        begin = len(self.acknowledged)
        events = [event(number, size=size) for number in range(begin, begin + count)]
        headers = {"content-type": "application/cloudevents-batch+json"}
        try:
            async with session.post(
                f"http://127.0.0.1:{self.node.http}/events", data=encode_batch(events), headers=headers
            ) as answer:
                if answer.status == 503:
                    self.refused += 1
                    self.retry_after = answer.headers.get("Retry-After")
                    return False
                assert answer.status == 202, await answer.text()
        except aiohttp.ClientError:
            return False
        self.acknowledged += [one.id for one in events]
        return True

    async def metrics(self) -> dict[str, float]:
        """What /metrics says: `name{labels}` → value."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.node.http}/metrics") as answer,
        ):
            lines = [line for line in (await answer.text()).splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    @property
    def said(self) -> str:
        """What the process printed, in all its lives."""
        return self.node.log.read_text()

    def resident(self) -> int:
        """Bytes of memory of the process."""
        assert self.node.process is not None
        return resident(self.node.process.pid)


def resident(process: int) -> int:
    """Bytes of memory of a process that are its own (not pages of files that it maps)."""
    status = Path(f"/proc/{process}/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon"))
    return int(kilobytes) * 1024


def event(number: int, *, size: int = 200) -> Event:
    """Event `k<key>:<number>`; its data do not compress."""
    return Event(
        id=f"k{number % 4}:{number}",
        source="/shop/eu",
        type="com.example.order.created",
        datacontenttype="application/octet-stream",
        data=content(number, size),
        extensions={"partitionkey": f"k{number % 4}"},
    )


def content(number: int, size: int = 200) -> bytes:
    """Bytes that do not compress, the same for each event every time."""
    return b"%08d" % number + random.Random(number).randbytes(size)


def alone(folder: Path, more: str = "", *, region: str = "a", data: Path | None = None, log: str = "") -> Alone:
    """A node that is not started yet."""
    port = free_port()
    data = data or folder / f"data-{region}"
    config = folder / f"{region}.yaml"
    config.write_text(CONFIG.format(region=region, data=data, http=port, log=log, more=more))
    return Alone(node(config, http=port), config, data)


@asynccontextmanager
async def hook_at(folder: Path, port: int) -> AsyncIterator[Path]:
    """A webhook as a process; gives the file with the ids that it saw."""
    notes = folder / "notes"
    program = Program(["-m", "tests.e2e.receiver", str(port), str(notes)], folder / "hook.log")
    await program.start()
    try:
        yield notes
    finally:
        await program.kill()


def seen(notes: Path) -> list[str]:
    """The ids in that file, in order."""
    return notes.read_text().splitlines() if notes.exists() else []


async def all_arrive(expected: list[str], notes: Path, *, limit: float = 20.0) -> list[str]:
    """Wait until the webhook saw every one of them; give all it saw."""
    try:
        await until(lambda: set(expected) <= set(seen(notes)), limit=limit)
    except TimeoutError:
        missing = sorted(set(expected) - set(seen(notes)))
        raise AssertionError(f"{len(missing)} of {len(expected)} never came: {missing[:20]}") from None
    return seen(notes)


async def isthmus(*arguments: str | Path, limit: float = 20.0) -> tuple[int, str]:
    """Run the command line; give the exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.app.cli",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "200"},
    )
    try:
        async with asyncio.timeout(limit):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        output, _ = await process.communicate()
        raise AssertionError(f"did not end within {limit} s:\n{output.decode()}") from None
    assert process.returncode is not None
    return process.returncode, output.decode()


async def seconds_to_stop(program: Program) -> tuple[int, float]:
    """SIGTERM; the exit code and how long it took."""
    started = time.monotonic()
    code = await program.stop()
    return code, time.monotonic() - started
