"""What becomes of a node whose data were cut off, changed, restored or lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from gateway.codec.frames import pack
from gateway.core.errors import LogFull
from gateway.core.records import Position
from gateway.log.files import DATA, read_meta
from gateway.log.following import FollowedLog
from gateway.log.lmdb import LmdbLog
from tests.e2e.alone import TO_A_WEBHOOK, Alone, all_arrive, alone, content, event, hook_at, isthmus, seen
from tests.e2e.processes import free_port, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


async def written(one: Alone, how: str, count: int = 60, *, per_post: int = 1, size: int = 3000) -> None:
    """A node that took events and was ended."""
    await one.node.start()
    await one.node.ready()
    await one.publish(count, per_post=per_post, size=size)
    if how == "killed":
        await one.node.kill()
    else:
        assert await one.node.stop() == 0


@pytest.mark.parametrize("how", ["killed", "stopped"])
@pytest.mark.parametrize("keep", ["half", "all but a byte"])
async def test_a_data_file_that_was_cut_off_is_refused_with_a_reason(tmp_path: Path, how: str, keep: str) -> None:
    """No SIGBUS, no traceback, and nothing is changed; `log verify` says the same."""
    one = alone(tmp_path)
    await written(one, how)
    meta = read_meta(one.data / DATA)
    assert meta is not None
    os.truncate(one.data / DATA, meta.size // 2 if keep == "half" else meta.size - 1)
    before = (one.data / DATA).read_bytes()

    code, said = await isthmus("run", one.config)
    verify, verified = await isthmus("log", "verify", one.data)
    show, shown = await isthmus("log", "show", one.data)

    print(said, verified, shown)
    assert (code, verify, show) == (1, 1, 1)
    for text in (said, verified, shown):
        assert "cut off" in text
        assert "Traceback" not in text
    assert (one.data / DATA).read_bytes() == before


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_flipped_bits_are_named_and_the_rest_is_served(tmp_path: Path, how: str) -> None:
    """Two frames are damaged before anything was delivered: the others arrive, the gap is counted and named."""
    port = free_port()
    one = alone(tmp_path, TO_A_WEBHOOK.format(hook=port, origin="a"))
    await written(one, how)  # the webhook is not there yet
    with (one.data / DATA).open("r+b") as file:
        whole = file.read()
        for number in (20, 41):
            place = whole.index(content(number, 3000)[1000:1100])
            file.seek(place)
            file.write(bytes([whole[place] ^ 0x10]))

    verify, verified = await isthmus("log", "verify", one.data)
    assert verify == 1
    assert "offsets 21 to 21" in verified
    assert "offsets 42 to 42" in verified

    async with hook_at(tmp_path, port) as notes:
        await one.node.start()
        await one.node.ready()
        try:
            expected = [name for number, name in enumerate(one.acknowledged) if number not in (20, 41)]
            arrived = await all_arrive(expected, notes)
            await one.publish(10)
            await all_arrive(one.acknowledged[60:], notes)
            metrics = await one.metrics()
            show, shown = await isthmus("log", "show", one.data, "--limit", "0")
        finally:
            await one.node.kill()

    assert set(arrived) == set(expected)
    named = [line for line in one.said.splitlines() if "damaged frame set aside" in line]
    assert len(named) == 2, "each damaged frame is named once"
    assert metrics["isthmus_log_damaged_frames_total"] == 2
    assert show == 0
    assert "offsets 21 to 21 cannot be read" in shown
    assert metrics['isthmus_log_gap_events_total{reader="everything"}'] == 2, "the subscription's gap is counted"


class Pair:
    """Region a, linked to region b, whose webhook gets what a accepted."""

    def __init__(self, folder: Path, hook: int) -> None:
        links = {"a": free_port(), "b": free_port()}
        federation = "federation: {{listen: 127.0.0.1:{own}, peers: {{{other}: [127.0.0.1:{port}]}}}}"
        self.a = alone(folder, federation.format(own=links["a"], other="b", port=links["b"]), region="a")
        self.b = alone(
            folder,
            federation.format(own=links["b"], other="a", port=links["a"]) + TO_A_WEBHOOK.format(hook=hook, origin="a"),
            region="b",
        )

    async def up(self, *which: Alone) -> None:
        """Start them and wait until they are ready."""
        for one in which:
            await one.node.start()
        for one in which:
            await one.node.ready()


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Pair, Path]]:
    """Both running, and what the webhook noted."""
    port = free_port()
    two = Pair(tmp_path, port)
    async with hook_at(tmp_path, port) as notes:
        await two.up(two.a, two.b)
        try:
            yield two, notes
        finally:
            await two.a.node.kill()
            await two.b.node.kill()


async def records(data: Path) -> list[tuple[str, int]]:
    """The origin and origin offset of every record of a log."""
    found: list[tuple[str, int]] = []
    async with FollowedLog(data) as reader:
        after = reader.first - 1
        while after < reader.end:
            page = await reader.read(after=Position(reader.log_id, after), limit=1 << 20)
            for stored in page.frames:
                found += [(stored.frame.header.origin, offset) for offset in stored.frame.origin_offsets()]
            after = page.upto
    return found


async def log_id(data: Path) -> str:
    """Whose log it is."""
    async with FollowedLog(data) as reader:
        return reader.log_id


async def test_the_reading_region_is_restored_from_an_older_snapshot(pair: tuple[Pair, Path]) -> None:
    """Its position is older: everything since is read again; once into its log, again to the webhook."""
    two, notes = pair
    await two.a.publish(50)
    await all_arrive(two.a.acknowledged, notes)
    await two.b.node.stop()
    shutil.copytree(two.b.data, two.b.data.with_name("snapshot"))
    await two.up(two.b)
    await two.a.publish(50)
    await all_arrive(two.a.acknowledged, notes)

    await two.b.node.kill()
    shutil.rmtree(two.b.data)
    two.b.data.with_name("snapshot").rename(two.b.data)
    await two.up(two.b)
    await two.a.publish(20)
    arrived = await all_arrive(two.a.acknowledged, notes)
    await two.b.node.stop()

    origin = await log_id(two.a.data)
    assert await records(two.b.data) == [(origin, offset) for offset in range(1, 121)]
    repeated = {name for name, times in Counter(arrived).items() if times > 1}
    print(f"{len(repeated)} of 120 repeated at the webhook")
    assert repeated <= set(two.a.acknowledged[50:100]), "only what came after the snapshot is delivered again"


@pytest.mark.parametrize("since", [20, 80])
async def test_the_origin_is_restored_from_an_older_snapshot(pair: tuple[Pair, Path], since: int) -> None:
    """The other region was ahead of it: whatever the origin accepts after the restore still crosses.

    With 20 the other region's position is beyond the end, with 80 another record stands there.
    """
    two, notes = pair
    await two.a.publish(50)
    await all_arrive(two.a.acknowledged, notes)
    await two.a.node.stop()
    shutil.copytree(two.a.data, two.a.data.with_name("snapshot"))
    await two.up(two.a)
    await two.a.publish(50)
    await all_arrive(two.a.acknowledged, notes)

    await two.a.node.kill()
    await two.b.node.stop()  # so that nothing is repeated for its own sake
    shutil.rmtree(two.a.data)
    two.a.data.with_name("snapshot").rename(two.a.data)
    await two.up(two.a)
    await two.a.publish(since)
    await two.up(two.b)
    arrived = await all_arrive(two.a.acknowledged, notes)

    assert "a restored snapshot? reading again by time" in two.b.said
    repeated = {name: times for name, times in Counter(arrived).items() if times > 1}
    print(f"{len(repeated)} of {len(set(arrived))} repeated")
    assert set(repeated) <= set(two.a.acknowledged[:50]), "only those of the minute before that the restored log has"
    assert set(repeated.values()) <= {2}


async def test_the_reading_region_loses_its_data(pair: tuple[Pair, Path]) -> None:
    """It comes back as a new log, reads from where its subscription begins, and the link goes on."""
    two, notes = pair
    await two.a.publish(50)
    await all_arrive(two.a.acknowledged, notes)
    before = await log_id(two.b.data)

    await two.b.node.kill()
    shutil.rmtree(two.b.data)
    await two.up(two.b)
    await two.a.publish(20)
    await all_arrive(two.a.acknowledged, notes)
    await two.b.node.stop()

    after = await log_id(two.b.data)
    assert after != before
    assert after.partition("@")[0] == before.partition("@")[0]
    origin = await log_id(two.a.data)
    assert await records(two.b.data) == [(origin, offset) for offset in range(1, 71)]


async def test_the_origin_loses_its_data(pair: tuple[Pair, Path]) -> None:
    """The other region closes the log it followed and follows the new one from its beginning."""
    two, notes = pair
    await two.a.publish(50)
    await all_arrive(two.a.acknowledged, notes)
    old = await log_id(two.a.data)

    await two.a.node.kill()
    shutil.rmtree(two.a.data)
    await two.up(two.a)
    await two.a.publish(20)
    arrived = await all_arrive(two.a.acknowledged, notes)
    code, status = await isthmus("status", two.b.data, "--json")
    await two.b.node.stop()

    new = await log_id(two.a.data)
    assert len(arrived) == len(set(arrived)) == 70
    assert await records(two.b.data) == [(old, offset) for offset in range(1, 51)] + [
        (new, offset) for offset in range(1, 21)
    ]
    assert code == 0
    assert f'"log_id": "{old}"' in status or old in status
    assert '"closed"' in status
    assert "came back with a new log; the old one is closed" in two.b.said
    assert len(seen(notes)) == 70


async def test_what_was_cut_off_behind_the_last_commit_is_nothing(tmp_path: Path) -> None:
    """Space that was allocated ahead may go: the log is whole without it."""
    one = alone(tmp_path)
    await written(one, "killed", 20)
    meta = read_meta(one.data / DATA)
    assert meta is not None
    assert (one.data / DATA).stat().st_size > meta.size
    os.truncate(one.data / DATA, meta.size)

    await one.node.start()
    await one.node.ready()
    await one.publish(20)
    await until(lambda: len(one.acknowledged) == 40)
    assert await one.node.stop() == 0

    assert [offset for _, offset in await records(one.data)] == list(range(1, 41))


HOLDER = """
import asyncio, sys
from pathlib import Path
from gateway.log.following import FollowedLog

async def main():
    async with FollowedLog(Path(sys.argv[1])) as reader:
        with reader._files._begin():  # as if killed in the middle of a read
            print("holds", flush=True)
            await asyncio.Event().wait()

asyncio.run(main())
"""


class Hasty:
    """The machine's clock with durations 200 times as long."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic() * 200

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 200)


async def test_a_reader_killed_while_it_read_does_not_stop_trimming_for_ever(tmp_path: Path) -> None:
    """LMDB keeps every page of its moment until the dead reader is cleared away: once a minute."""
    async with (
        LmdbLog(tmp_path, region="a", at_most=4 << 20, keep=None, full="drop_oldest", clock=Hasty()) as log,
        asyncio.TaskGroup() as tasks,
    ):
        await log.append(pack("main", [event(0)]))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDER, str(tmp_path), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"holds\n"
        process.kill()
        await process.wait()

        maintaining = tasks.create_task(log.maintain())
        taken = await take_in(log, 120 << 20)
        maintaining.cancel()

    assert taken >= 120 << 20, "more than the whole map, so pages were used again"


class Stuck(LmdbLog):
    """Without a page for its upkeep, as when a dead reader holds all that were freed."""

    async def tidy(self) -> None:
        raise LogFull("no free page is left")


async def test_a_log_too_full_for_its_upkeep_clears_dead_readers_away_at_once(tmp_path: Path) -> None:
    """Not after a minute, which never ends for an upkeep that fails and begins anew."""
    async with Stuck(tmp_path, region="a", at_most=8 << 20) as log, asyncio.TaskGroup() as tasks:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDER, str(tmp_path), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"holds\n"
        process.kill()
        await process.wait()
        assert str(process.pid) in log._environment.readers()

        maintaining = tasks.create_task(log.maintain())
        await until(lambda: str(process.pid) not in log._environment.readers())
        maintaining.cancel()


async def take_in(log: LmdbLog, size: int) -> int:
    """Append until that many bytes were taken, waiting where it is refused."""
    taken = number = 0
    while taken < size:
        number += 1
        try:
            await log.append(pack("main", [event(number, size=400_000)]))
            taken += 400_000
        except LogFull:
            await asyncio.sleep(0.001)
    return taken
