"""`isthmus demo`: three regions on this machine exchange events, and one of them is killed in the middle.

Everything is real: three processes started as `isthmus run` starts them, their
logs, their links, webhooks and files. At the end the logs are read and every
event is counted; the exit code is 0 only if nothing was lost, nothing crossed
a link twice and nothing was changed.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from rich.console import Console

from gateway.app.showcase.ledger import Ledger, Verdict, Watch
from gateway.app.showcase.regions import AWS, FILE, GCP, NAMES, WANTS, Region, free_ports
from gateway.app.showcase.screen import Screen, screen
from gateway.app.showcase.traffic import Client, publish_to_queue, queue_settings
from gateway.app.showcase.webhook import webhook
from gateway.codec import json
from gateway.core.errors import IsthmusError
from gateway.log.following import FollowedLog, open_reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

EVENTS = 3000
"""Published over HTTP, a third to each region."""
QUEUED = 300
"""Sent through SQS, if asked."""
SECONDS = 9.0
"""Over which they are published."""
VICTIM = GCP
_LOOK_EVERY = 0.2
_DOWN_FOR = 2.0
_SETTLED_WITHIN = 30.0


def demo(*, sqs: str | None = None, events: int = EVENTS, seconds: float = SECONDS) -> int:
    """Run it and return the exit code: 0 if the count holds, 1 if not, 130 if interrupted.

    `sqs` is the URL of a queue that some events shall take their way through.
    """
    console = Console()
    folder = Path(tempfile.mkdtemp(prefix="isthmus-demo-"))
    code = 1
    try:
        code = asyncio.run(_play(Play(folder, screen(console), sqs=sqs), console, events=events, seconds=seconds))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("interrupted; the regions are stopped")
        code = 130
    except ExceptionGroup as problems:
        for problem in _leaves(problems):
            if not isinstance(problem, IsthmusError):
                raise
            console.print(f"[red]{problem}[/red]", highlight=False)
    except IsthmusError as problem:
        console.print(f"[red]{problem}[/red]", highlight=False)
    finally:
        if code == 1:
            console.print(f"logs and files are kept in {folder}", highlight=False, soft_wrap=True)
        else:
            shutil.rmtree(folder)
    return code


def _leaves(problems: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for problem in problems.exceptions:
        found += _leaves(problem) if isinstance(problem, BaseExceptionGroup) else [problem]
    return found


async def _play(play: Play, console: Console, *, events: int, seconds: float) -> int:
    task = asyncio.current_task()
    if task:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    verdict = await play.run(events, seconds)
    _tell(console, verdict)
    return 0 if verdict.holds else 1


def _tell(console: Console, verdict: Verdict) -> None:
    lines = [
        f"published {verdict.published}, each acknowledged after fsync",
        f"crossed {verdict.crossed} between regions",
        f"delivered {verdict.delivered} to sinks ({verdict.repeated} of them repeated after the kill: at least once)",
        f"lost {verdict.missing}",
        f"duplicated {verdict.twice} over links",
    ]
    if verdict.taken_twice or verdict.strange:
        lines.append(f"taken in twice {verdict.taken_twice}, unexpected or changed {verdict.strange}")
    console.print()
    for line in lines:
        console.print(line, highlight=False)
    console.print("[green]It holds.[/green]" if verdict.holds else "[bold red]It does not hold.[/bold red]")


class Play:
    """One run: the stage, the traffic, the kill, the count."""

    def __init__(self, folder: Path, shown: Screen, *, sqs: str | None) -> None:
        self._folder = folder
        self._screen = shown
        self._queue = queue_settings(sqs) if sqs else None
        self._ledger = Ledger()
        self._read_lines: dict[str, int] = {}

    async def run(self, events: int, seconds: float) -> Verdict:
        """Start the regions, publish, kill one and bring it back, stop them all, count."""
        async with AsyncExitStack() as stack:
            stack.enter_context(self._screen)
            hook = await stack.enter_async_context(webhook(self._ledger))
            session = await stack.enter_async_context(
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5), trust_env=False)
            )
            regions = await stack.enter_async_context(self._stage(hook))
            self._screen.note(f"starting {', '.join(region.name for region in regions)}")
            async with asyncio.TaskGroup() as starts:
                for region in regions:
                    starts.create_task(region.ready(session), name=f"ready {region.name}")
            self._screen.note("all three are ready")
            logs = {region.name: await stack.enter_async_context(open_reader(region.data)) for region in regions}
            watches = {name: Watch(name, log, self._ledger) for name, log in logs.items()}
            async with asyncio.TaskGroup() as tasks:
                look = tasks.create_task(self._look(regions, logs, watches), name="look")
                await self._traffic(regions, session, events, seconds)
                await self._settled()
                for region in regions:
                    self._screen.note(f"{region.name} stopped with exit code {await region.stop()}")
                look.cancel()
            await self._count(logs, watches)
            self._screen.show(regions, self._ledger)
            return self._ledger.verdict()

    @asynccontextmanager
    async def _stage(self, hook: str) -> AsyncIterator[list[Region]]:
        ports = free_ports(2 * len(NAMES))
        regions = [
            Region(name, self._folder / name, http=http, link=link)
            for name, http, link in zip(NAMES, ports[::2], ports[1::2], strict=True)
        ]
        try:
            for region in regions:
                region.configure(regions, hook, self._queue if region.name == AWS else None)
                await region.start()
            yield regions
        finally:
            for region in regions:
                await region.kill()

    async def _traffic(
        self, regions: Sequence[Region], session: aiohttp.ClientSession, events: int, seconds: float
    ) -> None:
        self._screen.note(f"publishing {events} events over HTTP")
        async with asyncio.TaskGroup() as clients:
            for region in regions:
                client = Client(region, session, self._ledger)
                clients.create_task(client.publish(events // len(regions), seconds), name=f"publish {region.name}")
            if self._queue:
                self._screen.note(f"sending {QUEUED} events through SQS")
                clients.create_task(publish_to_queue(self._queue, AWS, self._ledger, QUEUED), name="publish sqs")
            victim = next(region for region in regions if region.name == VICTIM)
            await asyncio.sleep(seconds / 3)
            await victim.kill()
            self._screen.note(f"{victim.name} was killed with SIGKILL; the others go on")
            await asyncio.sleep(min(_DOWN_FOR, seconds / 3))
            await victim.start()
            await victim.ready(session)
            self._screen.note(f"{victim.name} is back, and goes on where its log ends")

    async def _look(self, regions: Sequence[Region], logs: dict[str, FollowedLog], watches: dict[str, Watch]) -> None:
        while True:
            await self._count(logs, watches)
            self._screen.show(regions, self._ledger)
            await asyncio.sleep(_LOOK_EVERY)

    async def _count(self, logs: dict[str, FollowedLog], watches: dict[str, Watch]) -> None:
        """Take in what is new in the logs and in the files that sinks wrote."""
        for name, watch in watches.items():
            await watch.catch_up(logs[name].end)
        for want in WANTS:
            if want.sink == FILE:
                self._take_lines(want.name, self._folder / want.region / f"{want.name}.jsonl")

    def _take_lines(self, subscription: str, file: Path) -> None:
        if not file.exists():
            return
        with file.open("rb") as lines:
            lines.seek(self._read_lines.get(subscription, 0))
            whole, _, _ = lines.read().rpartition(b"\n")
        if whole:
            self._read_lines[subscription] = self._read_lines.get(subscription, 0) + len(whole) + 1
            for line in whole.split(b"\n"):
                self._ledger.deliver(subscription, json.decode(line))

    async def _settled(self) -> None:
        """Wait until everything is where it should be; not for ever, since the count will tell."""
        self._screen.note("all published; waiting until everything has arrived")
        try:
            async with asyncio.timeout(_SETTLED_WITHIN):
                while self._ledger.verdict().missing:  # noqa: ASYNC110  what is missing is in other processes
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            self._screen.note(f"not everything arrived within {_SETTLED_WITHIN:.0f} s")
