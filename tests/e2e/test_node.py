"""A node as an operator meets it: started, stopped, killed, started wrongly."""

from __future__ import annotations

import asyncio
import socket
import stat
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.alone import TO_A_WEBHOOK, all_arrive, alone, hook_at, isthmus, seconds_to_stop, seen
from tests.e2e.history import History
from tests.e2e.processes import free_port, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]

BACKLOG = 4000
TEN_MISTAKES = """
region: EU West
data: {data}
log: {{keep: soon, full: maybe}}
limits: {{event: many}}
api: {{http: 0.0.0.0:8080}}
federation: {{peers: {{us: [nowhere]}}}}
sinks:
  hook:
    http: {{adress: "http://127.0.0.1:1/"}}
subscriptions:
  all: {{from: [mars], to: hok, filter: {{exactly: {{type: x}}}}, lanes: 0}}
"""


async def test_a_term_signal_under_load_drains_and_loses_nothing(tmp_path: Path) -> None:
    """Exit 0 within 10 s; whatever was acknowledged is delivered, by this life or the next."""
    port = free_port()
    one = alone(tmp_path, TO_A_WEBHOOK.format(hook=port, origin="a"))
    async with hook_at(tmp_path, port) as notes:
        await one.node.start()
        await one.node.ready()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(one.publish(1_000_000))
            await until(lambda: len(one.acknowledged) > 3000)
            code, took = await seconds_to_stop(one.node)
        unseen = len(set(one.acknowledged) - set(seen(notes)))
        await one.node.start()
        arrived = await all_arrive(one.acknowledged, notes)
        await one.node.kill()

    print(f"exit {code} after {took:.2f} s, {len(one.acknowledged)} acknowledged, {unseen} left for the next life")
    assert (code, took < 10) == (0, True)
    assert len(arrived) == len(set(arrived)), "a clean stop repeats nothing"


async def test_a_killed_node_delivers_its_backlog_in_order(tmp_path: Path) -> None:
    """Killed after it acknowledged and before it delivered anything: all arrives, in order per key, once."""
    port = free_port()
    one = alone(tmp_path, TO_A_WEBHOOK.format(hook=port, origin="a"))
    await one.node.start()
    await one.node.ready()
    await one.publish(BACKLOG, per_post=100)
    await one.node.kill()

    async with hook_at(tmp_path, port) as notes:
        started = time.monotonic()
        await one.node.start()
        await one.node.ready()
        took = time.monotonic() - started
        arrived = await all_arrive(one.acknowledged, notes, limit=60)
        await one.node.kill()

    print(f"ready {took:.2f} s after the start with a backlog of {BACKLOG}")
    verdict = History(set(one.acknowledged), set(one.acknowledged), arrived).check()
    assert len(one.acknowledged) == BACKLOG
    assert verdict.holds(repeats_allowed=0), verdict


async def test_a_second_node_on_the_same_data_is_refused(tmp_path: Path) -> None:
    first = alone(tmp_path)
    second = alone(tmp_path, region="b", data=first.data)
    await first.node.start()
    await first.node.ready()
    try:
        code, said = await isthmus("run", second.config)
        await first.publish(10)

        assert code == 1
        assert first.node.process is not None
        assert said.strip() == f"isthmus: data directory {first.data} is in use by process {first.node.process.pid}"
        assert len(first.acknowledged) == 10
    finally:
        await first.node.kill()


@pytest.mark.parametrize("door", ["http", "grpc", "federation"])
async def test_an_address_in_use_is_named(tmp_path: Path, door: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        config = tmp_path / "a.yaml"
        config.write_text(
            f"region: a\ndata: {tmp_path / 'data'}\n"
            + (
                f"federation: {{listen: 127.0.0.1:{port}}}"
                if door == "federation"
                else f"api: {{{door}: 127.0.0.1:{port}}}"
            )
        )

        code, said = await isthmus("run", config)

    print(said)
    assert code == 1
    assert "Traceback" not in said
    assert str(port) in said.splitlines()[-1]
    assert said.splitlines()[-1].startswith("isthmus: ")


async def test_ten_mistakes_are_named_at_once_and_nothing_is_created(tmp_path: Path) -> None:
    config, data = tmp_path / "a.yaml", tmp_path / "data"
    config.write_text(TEN_MISTAKES.format(data=data))

    code, said = await isthmus("run", config)

    print(said)
    assert code == 2
    assert "Traceback" not in said
    for path in (
        "region",
        "log.keep",
        "log.full",
        "limits.event",
        "api.http",
        "federation.peers.us",
        "sinks.hook.http.url",
        "sinks.hook.http.adress",
        "subscriptions.all.from",
        "subscriptions.all.to",
        "subscriptions.all.filter",
        "subscriptions.all.lanes",
    ):
        assert any(path in line for line in said.splitlines()), path
    assert all(line.startswith(f"{config}:") for line in said.splitlines()), "each names the file and the line"
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


async def test_a_door_beyond_loopback_needs_a_word_and_warns(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "a.yaml"
    config.write_text(f"region: a\ndata: {tmp_path / 'data'}\napi: {{http: 0.0.0.0:{port}}}\n")

    code, said = await isthmus("run", config)

    assert (code, "insecure: true" in said) == (2, True)
    assert not (tmp_path / "data").exists()

    one = alone(tmp_path, "insecure: true")
    one.config.write_text(one.config.read_text().replace("127.0.0.1", "0.0.0.0"))
    await one.node.start()
    try:
        await one.node.ready()
        assert one.said.count("whoever can reach this address is trusted") == 1
    finally:
        await one.node.kill()


@pytest.mark.parametrize("how", ["up", "down", "killed"])
async def test_the_log_can_be_looked_at_whatever_the_node_does(tmp_path: Path, how: str) -> None:
    one = alone(tmp_path)
    await one.node.start()
    try:
        await one.node.ready()
        await one.publish(40)
        if how == "down":
            assert await one.node.stop() == 0
        elif how == "killed":
            await one.node.kill()

        show, shown = await isthmus("log", "show", one.data, "--limit", "0")
        verify, verified = await isthmus("log", "verify", one.config)
    finally:
        await one.node.kill()

    assert (show, verify) == (0, 0), shown + verified
    assert [line.split("/shop/eu")[1].split()[0] for line in shown.splitlines()] == one.acknowledged
    assert "40 events, offsets 1 to 40" in verified
    assert verified.splitlines()[-1] == "whole"


async def test_the_admin_socket_of_a_killed_node_is_replaced(tmp_path: Path) -> None:
    one = alone(tmp_path)
    await one.node.start()
    await one.node.ready()
    await one.node.kill()
    left = (one.data / "admin.sock").stat()
    code, said = await isthmus("status", one.data)
    assert code not in (0, 1)
    assert "no node answers" in said

    await one.node.start()
    try:
        await one.node.ready()
        code, said = await isthmus("status", one.data)
    finally:
        await one.node.kill()

    now = (one.data / "admin.sock").stat()
    assert (code, "Traceback" in said) == (0, False), said
    assert (now.st_ino, now.st_ctime_ns) != (left.st_ino, left.st_ctime_ns)
    assert stat.S_IMODE(now.st_mode) == 0o600
