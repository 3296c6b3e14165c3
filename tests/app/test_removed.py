"""What is left of a subscription that is no longer in the config."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.app.config import load
from gateway.app.removed import forget_removed
from gateway.core.records import Row
from gateway.log.memory import MemoryLog
from tests.clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.app.config import Config

DAY = 86400.0
PLACES = ("cursor", "created", "disabled")


def config(folder: Path, subscriptions: str) -> Config:
    file = folder / "a.yaml"
    text = f"region: a\ndata: data\nsinks:\n  out: {{file: {{path: out.jsonl}}}}\nsubscriptions: {{{subscriptions}}}\n"
    file.write_text(text)
    return load(file)


async def filled(clock: FakeClock, *names: str, rows: int = 1200) -> MemoryLog:
    """A store with what these subscriptions left."""
    store = MemoryLog("a", clock=clock)
    for name in names:
        await store.write((), positions={f"{place}/{name}": (None, b"1.5") for place in PLACES})
        for table in ("waiting", "again"):
            await store.write([Row(table, f"{name}\0{number:05}".encode(), b"kept") for number in range(rows)])
    return store


async def test_a_removed_subscription_is_forgotten_after_a_week(tmp_path: Path) -> None:
    """Its position, and the events that waited for it; those of others stay."""
    clock = FakeClock()
    store = await filled(clock, "old", "older", "bill")
    now = config(tmp_path, "bill: {to: out}, older: {to: out}")

    await forget_removed(now, store, clock)
    clock.jump(7 * DAY - 1)
    await forget_removed(now, store, clock)
    assert store.position("cursor/old") == b"1.5"
    clock.jump(2)
    await forget_removed(now, store, clock)

    assert {name for name in store.positions() if name.endswith("/old")} == set()
    assert {name.partition("/")[2] for name in store.positions()} == {"older", "bill"}
    for table in ("waiting", "again"):
        keys = [key.partition(b"\0")[0] for key, _ in store.rows(table, limit=10_000)]
        assert (keys.count(b"old"), keys.count(b"older"), keys.count(b"bill")) == (0, 1200, 1200)


async def test_a_subscription_that_comes_back_goes_on_and_its_week_begins_anew(tmp_path: Path) -> None:
    clock = FakeClock()
    store = await filled(clock, "bill", rows=1)
    without, with_it = config(tmp_path, ""), config(tmp_path, "bill: {to: out}")

    await forget_removed(without, store, clock)
    clock.jump(6 * DAY)
    await forget_removed(with_it, store, clock)
    assert store.position("gone/bill") is None
    await forget_removed(without, store, clock)
    clock.jump(6 * DAY)
    await forget_removed(without, store, clock)

    assert store.position("cursor/bill") == b"1.5"
    assert len(store.rows("waiting")) == 1


async def test_the_former_name_of_a_subscription_is_not_gone(tmp_path: Path) -> None:
    """Its position is still to be taken over."""
    clock = FakeClock()
    store = await filled(clock, "bill", rows=1)
    renamed = config(tmp_path, "invoice: {to: out, was: bill}")

    await forget_removed(renamed, store, clock)
    clock.jump(30 * DAY)
    await forget_removed(renamed, store, clock)

    assert store.position("cursor/bill") == b"1.5"
