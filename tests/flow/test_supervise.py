"""A loop that is kept running."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.errors import Unavailable
from gateway.flow.supervise import Health, keep_running
from tests.clock import FakeClock


async def test_a_loop_that_fails_is_started_again_and_says_why() -> None:
    clock, health = FakeClock(), Health("test")
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise Unavailable("away") if runs == 1 else RuntimeError("a bug")

    task = asyncio.ensure_future(keep_running(health, run, clock))
    while not task.done():
        await clock.advance(60.0)

    assert runs == 3
    assert (health.state, health.problem, health.restarts) == ("ended", None, 2)


async def test_cancelling_ends_a_loop_whose_own_group_fails_meanwhile() -> None:
    """On Python 3.11 and 3.12 such a group swallows the cancellation."""
    started = asyncio.Event()

    async def fail_when_stopped() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("while stopping")

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail_when_stopped())

    task = asyncio.ensure_future(keep_running(Health("test"), run, FakeClock()))
    await started.wait()
    task.cancel()

    done, _ = await asyncio.wait([task], timeout=2)
    task.cancel()

    assert done == {task}
    assert task.cancelled()


async def test_a_loop_that_is_cancelled_is_not_started_again() -> None:
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        await asyncio.Event().wait()

    task = asyncio.ensure_future(keep_running(Health("test"), run, FakeClock()))
    while not runs:
        await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert runs == 1
