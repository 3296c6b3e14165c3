"""What a link does when the log it follows is not what it was: trimmed, restored, or new."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from federation.link import decode_position
from gateway.core import telemetry
from tests.emulators.fault_proxy import FaultProxy
from tests.federation.arrange import event, following, ids, memory, origin_offsets, publish, serving, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.log.memory import MemoryLog

EPOCH = "aaaaaaaaaaaaaaaa"


async def crossed(us: MemoryLog, eu: MemoryLog, *, end: int) -> None:
    """Run a link until eu has that many records."""
    async with serving(us) as server, following(eu, {"us": f"127.0.0.1:{server.port}"}):
        await until(lambda: eu.end == end)


def errors(caplog: pytest.LogCaptureFixture) -> Sequence[str]:
    return [record.message for record in caplog.records if record.levelno == logging.ERROR]


async def test_what_was_trimmed_unread_is_reported_as_a_gap(caplog: pytest.LogCaptureFixture) -> None:
    us, eu = memory("us"), memory("eu")
    await publish(us, 1, 20)
    await crossed(us, eu, end=20)
    await publish(us, 21, 40)
    await us.trim(41)
    gap = telemetry.log_gap_events.labels("link/us")._value.get()

    await crossed(us, eu, end=40)

    assert await origin_offsets(eu, us.log_id) == [*range(1, 21), *range(41, 61)]
    assert telemetry.log_gap_events.labels("link/us")._value.get() == gap + 20
    assert errors(caplog) == ["events of another region were trimmed before they were read"]


@pytest.mark.parametrize("after_restore", [10, 60])
async def test_after_a_restored_snapshot_nothing_new_is_missed(
    after_restore: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The origin went back to offset 30 of 50 and went on: what it accepted since is read, whatever its offset."""
    us, eu = memory("us", EPOCH), memory("eu")
    await publish(us, 1, 30)
    restored = memory("us", EPOCH)
    await restored.append([stored.frame for stored in us._frames])
    await publish(us, 31, 20)
    await crossed(us, eu, end=50)
    await publish(restored, 1001, after_restore)

    async with serving(restored) as server, following(eu, {"us": f"127.0.0.1:{server.port}"}):
        last = event(1000 + after_restore).id
        await until(lambda: eu.end >= 50 + after_restore)

    seen = await ids(eu, us.log_id)
    assert {event(number).id for number in range(1001, 1001 + after_restore)} <= set(seen)
    assert seen[-1] == last
    assert "another region's log is not the one we followed: a restored snapshot? reading again by time" in errors(
        caplog
    )


async def test_a_node_that_lost_its_disk_is_followed_from_its_new_beginning(caplog: pytest.LogCaptureFixture) -> None:
    old, new, eu = memory("us", EPOCH), memory("us", "bbbbbbbbbbbbbbbb"), memory("eu")
    await publish(old, 1, 30)
    await publish(new, 1001, 10)
    count = telemetry.link_new_logs.labels("us")._value.get()
    async with serving(old) as server, FaultProxy("127.0.0.1", server.port) as line:
        async with following(eu, {"us": line.address}) as links:
            await until(lambda: eu.end == 30)
            async with serving(new) as again:
                line.redirect(again.port)
                line.reset()
                await until(lambda: eu.end == 40)
                states = [(status.log_id, status.state, status.position) for status in links.status()]
                assert states == [(new.log_id, "following", 10), (old.log_id, "closed", 30)]

    assert await origin_offsets(eu, new.log_id) == list(range(1, 11))
    closed = eu.position(f"link/{old.log_id}")
    assert closed is not None
    assert decode_position(closed).closed
    assert decode_position(closed).offset == 30
    assert telemetry.link_new_logs.labels("us")._value.get() == count + 1
    assert "a node of another region came back with a new log; the old one is closed" in errors(caplog)


async def test_a_peer_that_names_what_is_no_log_stops_no_other_link() -> None:
    """A position cannot be kept under such a name."""
    us, ap, eu = memory("us", "x" * 600), memory("ap"), memory("eu")
    await publish(us, 1, 5)
    await publish(ap, 1, 5)

    async with serving(us) as lying, serving(ap) as honest:
        peers = {"us": f"127.0.0.1:{lying.port}", "ap": f"127.0.0.1:{honest.port}"}
        async with following(eu, peers) as links:
            await until(lambda: eu.end == 5)
            await until(lambda: all(one.state == "following" for one in links.status()))

            assert await origin_offsets(eu, ap.log_id) == [1, 2, 3, 4, 5]
