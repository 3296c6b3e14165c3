"""SQS and HTTP → region A → link → region B → webhook, with every process killed again and again.

Run for minutes: `python -m tests.e2e.crossing --seconds 300 --rate 2000 --seed 7`
(`make soak`). `--early` runs a build that acknowledges before the commit: the
checker must fail it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from aiobotocore.session import get_session

from gateway.codec.frames import open_frame
from gateway.codec.json import encode, encode_batch
from gateway.core.event import Event
from gateway.core.records import Position
from gateway.log.following import FollowedLog
from tests.e2e.history import History, Verdict
from tests.e2e.processes import Program, Region, free_port, node, until
from tests.services import MADE_UP, ministack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from types_aiobotocore_sqs import SQSClient

LANES = 16
SQS_SHARE = 0.2
"""Of the events; more of them than the queue emulator can take while a backlog makes it slow would test only that."""
QUEUES = 4
PER_POST = 25
SAVE_INTERVAL = 1.0
FASTEST = 8000
"""Deliveries a second that the webhook can see while catching up: bounds the repeats of one kill."""

REGION_A = """
region: a
data: {folder}/a
api: {{http: 127.0.0.1:{http_a}}}
federation: {{listen: 127.0.0.1:{link_a}, peers: {{b: [127.0.0.1:{link_b}]}}}}
sinks:
  hook:
    http: {{url: "http://127.0.0.1:{hook}/", timeout: 5s}}
subscriptions: {subscriptions}
sources:
"""
SOURCE = """
  orders-{number}:
    aws.sqs: {{url: "{queue}", region: us-east-1, endpoint: "{endpoint}", visibility: 2s}}
"""
REGION_B = """
region: b
data: {folder}/b
api: {{http: 127.0.0.1:{http_b}}}
federation: {{listen: 127.0.0.1:{link_b}, peers: {{a: [127.0.0.1:{link_a}]}}}}
sinks:
  hook:
    http: {{url: "http://127.0.0.1:{hook}/", timeout: 5s}}
subscriptions: {subscriptions}
"""
SUBSCRIPTION = "{name}: {{from: [a], to: hook, order_by: partitionkey, lanes: {lanes}{choice}}}"
PARTS = {"a": ("here", "nobody"), "b": ("near", "far", "none")}
"""What the subscriptions of each region choose by their filters, where there are some; two of them never come."""


def queue_client(endpoint: str) -> AbstractAsyncContextManager[SQSClient]:
    """A client of the queue server, for the producers."""
    return get_session().create_client(
        "sqs",
        region_name="us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id=MADE_UP["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=MADE_UP["AWS_SECRET_ACCESS_KEY"],
    )


@dataclass
class Plan:
    """One run."""

    seconds: float = 300.0
    rate: int = 2000
    """Events a second, a fifth through SQS FIFO queues, the others over HTTP."""
    seed: int = 1
    shortest: float = 2.0
    longest: float = 10.0
    """A process lives this long at least and at most."""
    filtered: bool = False
    """Subscriptions with filters on the data share the events: some of region A, the others of B."""
    early: bool = False
    """Region A acknowledges before it commits: a build that is wrong on purpose."""
    patience: float = 120.0
    """Seconds to wait for the last events once the killing is over."""


@dataclass
class Outcome:
    """What a run gave."""

    verdict: Verdict
    kills: dict[str, int]
    repeats_allowed: int
    twice_over_link: int
    twice_in_a: int

    @property
    def holds(self) -> bool:
        """Whether the contract was kept."""
        return self.verdict.holds(repeats_allowed=self.repeats_allowed) and not (
            self.twice_over_link or self.twice_in_a
        )

    def __str__(self) -> str:
        """One line."""
        return (
            f"{self.verdict} (allowed {self.repeats_allowed}), twice over the link {self.twice_over_link}, "
            f"twice in A's log {self.twice_in_a}, kills {self.kills}: {'holds' if self.holds else 'BROKEN'}"
        )


class Producers:
    """Publish in order per key; an event counts as acknowledged when SQS or the door said so."""

    def __init__(self, plan: Plan, history: History) -> None:
        self._plan = plan
        self._history = history
        self._stop = time.monotonic() + plan.seconds

    def _events(self, key: str, first: int, count: int) -> list[Event]:
        part = (b"here", b"near", b"far")[int(key[-1]) % 3]  # all of one key are for one subscription
        return [
            Event(
                id=f"{key}:{first + step}",
                source="/shop/eu",
                type="com.example.order.created",
                datacontenttype="application/json",
                data=b'{"order":%d,"part":"%s","note":"%s"}' % (first + step, part, b"x" * 300),
                extensions={"partitionkey": key},
            )
            for step in range(count)
        ]

    async def over_http(self, number: int, every: float, port: int) -> None:
        """Post batches of one key, one after the other, each until it is acknowledged."""
        key, sequence = f"http{number}", 0
        next_at = time.monotonic()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while time.monotonic() < self._stop:
                events = self._events(key, sequence, PER_POST)
                self._history.published.update(event.id for event in events)
                while not await self._posted(session, port, encode_batch(events)):
                    await asyncio.sleep(0.05)
                self._history.acknowledged.update(event.id for event in events)
                sequence += PER_POST
                next_at += every
                await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    async def _posted(self, session: aiohttp.ClientSession, port: int, body: bytes) -> bool:
        headers = {"content-type": "application/cloudevents-batch+json"}
        try:
            async with session.post(f"http://127.0.0.1:{port}/events", data=body, headers=headers) as answer:
                if 400 <= answer.status < 500:
                    raise RuntimeError(f"{answer.status}: {await answer.text()}")
                return answer.status == 202
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def over_sqs(self, number: int, every: float, endpoint: str, queue: str) -> None:
        """Send batches of ten of one message group to the FIFO queue."""
        key, sequence = f"sqs{number}", 0
        next_at = time.monotonic()
        async with queue_client(endpoint) as client:
            while time.monotonic() < self._stop:
                events = self._events(key, sequence, 10)
                self._history.published.update(event.id for event in events)
                answer = await client.send_message_batch(
                    QueueUrl=queue,
                    Entries=[
                        {
                            "Id": str(step),
                            "MessageBody": encode(event).decode(),
                            "MessageGroupId": key,
                            "MessageDeduplicationId": event.id,
                        }
                        for step, event in enumerate(events)
                    ],
                )
                if answer.get("Failed"):
                    raise RuntimeError(f"SQS refused {answer['Failed']}")
                self._history.acknowledged.update(event.id for event in events)
                sequence += 10
                next_at += every
                await asyncio.sleep(max(0.0, next_at - time.monotonic()))


async def keep_killing(program: Program, name: str, plan: Plan, over: asyncio.Event, *, named_awaits: bool) -> None:
    """Give it life after life until the run is over; the last life stays."""
    chance = random.Random(f"{plan.seed} {name}")
    while not over.is_set():
        program.environment.pop("ISTHMUS_TEST_KILL", None)
        life = chance.uniform(plan.shortest, plan.longest)
        at_await = named_awaits and chance.random() < 0.5
        if at_await:
            program.environment["ISTHMUS_TEST_KILL"] = f"{chance.randrange(1 << 30)}:{plan.shortest}:{plan.longest}"
        await program.start()
        assert program.process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(plan.longest + 5 if at_await else life):
                await program.process.wait()
        if program.process.returncode is None:
            await program.kill()
        else:
            program.kills += 1
    program.environment.pop("ISTHMUS_TEST_KILL", None)
    await program.start()


def notes_of(file: Path) -> list[str]:
    """The ids that the webhook saw, in order."""
    return file.read_text().splitlines() if file.exists() else []


async def twice(folder: Path) -> tuple[int, int]:
    """How many records of a stopped log carry an (origin, origin offset), or an event id, that another one carries."""
    places: Counter[tuple[str, int]] = Counter()
    ids: Counter[str] = Counter()
    async with FollowedLog(folder) as reader:
        after = 0
        while after < reader.end:
            page = await reader.read(after=Position(reader.log_id, after), limit=1 << 20)
            for stored in page.frames:
                places.update((stored.frame.header.origin, offset) for offset in stored.frame.origin_offsets())
                ids.update(event.id for event in open_frame(stored.frame))
            after = page.upto
    return sum(places.values()) - len(places), sum(ids.values()) - len(ids)


def subscriptions(region: str, *, filtered: bool) -> str:
    """Those of a region, as YAML on one line."""
    chosen = {"everything": ""} if region == "b" else {}
    if filtered:
        chosen = {part: f", match: {{data: {{part: [{part}]}}}}" for part in PARTS[region]}
    made = [SUBSCRIPTION.format(name=name, lanes=LANES, choice=choice) for name, choice in chosen.items()]
    return f"{{{', '.join(made)}}}"


@contextlib.asynccontextmanager
async def two_regions(
    folder: Path, plan: Plan, endpoint: str, queues: list[str]
) -> AsyncIterator[tuple[Region, Region, Program, Path]]:
    """Region A, region B and the webhook, none of them started; killed on the way out."""
    ports = {name: free_port() for name in ("http_a", "http_b", "link_a", "link_b", "hook")}
    sources = "".join(
        SOURCE.format(number=number, queue=queue, endpoint=endpoint) for number, queue in enumerate(queues)
    )
    for name, text in (("a", REGION_A), ("b", REGION_B)):
        filled = text.format(folder=folder, subscriptions=subscriptions(name, filtered=plan.filtered), **ports)
        (folder / f"{name}.yaml").write_text(filled + sources if name == "a" else filled)
    module = ("-m", "tests.e2e.killable")
    early = {"ISTHMUS_TEST_EARLY": "1"} if plan.early else {}
    a = node(folder / "a.yaml", http=ports["http_a"], module=module, **MADE_UP, **early)
    b = node(folder / "b.yaml", http=ports["http_b"], module=module)
    notes = folder / "notes"
    hook = Program(["-m", "tests.e2e.receiver", str(ports["hook"]), str(notes)], folder / "hook.log")
    try:
        yield a, b, hook, notes
    finally:
        for program in (a, b, hook):
            await program.kill()


async def run(plan: Plan, folder: Path) -> Outcome:
    """One run: publish and kill for so many seconds, wait until all has arrived, count."""
    with ministack() as endpoint:
        async with queue_client(endpoint) as client:
            fifo = {"FifoQueue": "true", "VisibilityTimeout": "2"}
            queues = [
                (await client.create_queue(QueueName=f"orders-{number}.fifo", Attributes=fifo))["QueueUrl"]
                for number in range(QUEUES)
            ]
        async with two_regions(folder, plan, endpoint, queues) as (a, b, hook, notes):
            for program in (hook, a, b):
                await program.start()
            await a.ready()
            await b.ready()
            for program in (a, b, hook):
                await program.stop()
            history = await publish_and_kill(plan, (a, b, hook), endpoint, queues)
            with contextlib.suppress(TimeoutError):
                await until(lambda: history.acknowledged <= set(notes_of(notes)), limit=plan.patience, every=0.5)
            await a.stop()
            await b.stop()
            history.seen = notes_of(notes)
            twice_over_link, _ = await twice(folder / "b")
            _, twice_in_a = await twice(folder / "a")
            delivering = b.kills + (a.kills if plan.filtered else 0)
            senders = sum(map(len, PARTS.values())) if plan.filtered else 1
            allowed = delivering * (LANES + int(SAVE_INTERVAL * FASTEST)) + hook.kills * LANES * senders
            kills = {"a": a.kills, "b": b.kills, "hook": hook.kills}
            return Outcome(history.check(), kills, allowed, twice_over_link, twice_in_a)


async def publish_and_kill(
    plan: Plan, programs: tuple[Region, Region, Program], endpoint: str, queues: list[str]
) -> History:
    """Publish for so many seconds while the processes die and come back; all of them run at the end."""
    a, b, hook = programs
    history = History()
    over = asyncio.Event()
    producers = Producers(plan, history)
    over_sqs = plan.rate * SQS_SHARE
    over_http = plan.rate - over_sqs
    async with asyncio.TaskGroup() as killing:
        for program, name, awaits in ((a, "a", True), (b, "b", True), (hook, "hook", False)):
            killing.create_task(keep_killing(program, name, plan, over, named_awaits=awaits))
        async with asyncio.TaskGroup() as publishing:
            for number in range(8):
                publishing.create_task(producers.over_http(number, 8 * PER_POST / over_http, a.http))
                publishing.create_task(producers.over_sqs(number, 8 * 10 / over_sqs, endpoint, queues[number % QUEUES]))
        over.set()
    return history


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--filtered", action="store_true", help="subscriptions with filters, in both regions")
    parser.add_argument("--early", action="store_true", help="a build that acknowledges before the commit")
    parser.add_argument("--keep", type=Path, help="a folder that stays, instead of a temporary one")
    options = parser.parse_args()
    plan = Plan(
        seconds=options.seconds, rate=options.rate, seed=options.seed, early=options.early, filtered=options.filtered
    )
    print(f"seed {plan.seed}, {plan.seconds:.0f} s at {plan.rate} events/s", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        outcome = asyncio.run(run(plan, folder))
    print(outcome, flush=True)
    sys.exit(0 if outcome.holds else 1)


if __name__ == "__main__":
    main()
