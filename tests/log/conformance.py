"""The laws of a log, for every engine: inherit, and give a fixture `log`."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.errors import Diverged, Moved, Trimmed
from gateway.core.records import Position, Row
from tests.log.arrange import LogAndStore, StillClock, batch, event, everything, link_frame, numbers_of, until


class LogConformance:
    """What `EventLog` and `Store` promise."""

    keeps_newest = True
    """Whether what was just appended is in memory."""

    @pytest.fixture
    def clock(self) -> StillClock:
        return StillClock()

    async def test_offsets_begin_at_one_and_increase(self, log: LogAndStore) -> None:
        assert (log.first, log.end) == (1, 0)

        assert await log.append([batch(1, 2)]) == 2
        assert await log.append([batch(3), batch(4, 5)]) == 5

        assert (log.first, log.end) == (1, 5)
        assert await everything(log) == [1, 2, 3, 4, 5]

    async def test_events_come_back_as_they_were(self, log: LogAndStore) -> None:
        await log.append([batch(1, size=2000)])

        page = await log.read(after=Position(log.log_id, 0), limit=1)

        (stored,) = page.frames
        assert stored.opened in (None, [event(1, size=2000)])
        assert stored.frame.header.origin == log.log_id
        assert stored.frame.header.first == stored.first == 1

    async def test_who_wants_which_events_of_batches_is_known_of_their_frames(self, log: LogAndStore) -> None:
        first, second = batch(1, 2, 3), batch(4, 5)
        wanted = {"odd": [(0, event(1)), (2, event(3))], "all": list(enumerate([event(1), event(2), event(3)]))}
        await log.append([first.known(None, wanted), second.known(None, {"odd": [(1, event(5))]})])
        await log.append([batch(6)])

        page = await log.read(after=Position(log.log_id, 0), limit=1 << 20)

        found: dict[str, list[tuple[int, str]]] = {}
        for stored in page.frames:
            for name, chosen in (stored.decided or {}).items():
                found.setdefault(name, []).extend((stored.first + index, one.id) for index, one in chosen)
        expected = {"odd": [(1, "id-1"), (3, "id-3"), (5, "id-5")], "all": [(1, "id-1"), (2, "id-2"), (3, "id-3")]}
        assert found == (expected if self.keeps_newest else {})
        assert page.frames[-1].decided is None

    async def test_what_is_not_known_of_all_of_a_frame_is_not_known_of_it(self, log: LogAndStore) -> None:
        """Or its readers would take what nobody was asked about for what nobody wants."""
        await log.append([batch(1).known(None, {"a": [(0, event(1))]}), batch(2), batch(3).known(None, {})])

        page = await log.read(after=Position(log.log_id, 0), limit=1 << 20)

        assert all(stored.decided is None for stored in page.frames if stored.first <= 2 <= stored.last)

    async def test_frames_of_other_logs_keep_their_origin(self, log: LogAndStore) -> None:
        await log.append([batch(1)])
        frame = link_frame(700, 2, 3)

        assert await log.append([frame]) == 3

        page = await log.read(after=Position(log.log_id, 1), limit=1)
        assert page.frames[0].first == 2
        assert page.frames[0].frame.data == frame.data

    async def test_batches_of_two_spaces_are_never_in_one_frame(self, log: LogAndStore) -> None:
        await log.append([batch(1), batch(2, space="other"), batch(3)])

        page = await log.read(after=Position(log.log_id, 0), limit=1 << 20)

        assert [stored.frame.header.space for stored in page.frames] == ["main", "other", "main"]

    async def test_positions_and_rows_come_with_the_append(self, log: LogAndStore) -> None:
        await log.append([batch(1)], positions={"link/a": (None, b"1")}, rows=[Row("dead", b"k", b"v")])

        assert log.position("link/a") == b"1"
        assert log.positions("link/") == {"link/a": b"1"}
        assert log.rows("dead") == [(b"k", b"v")]

    async def test_a_moved_position_refuses_the_whole_append(self, log: LogAndStore) -> None:
        await log.append([batch(1)], positions={"a": (None, b"1")})

        with pytest.raises(Moved):
            await log.append([batch(2)], positions={"b": (None, b"1"), "a": (None, b"2")}, rows=[Row("t", b"k", b"v")])

        assert log.end == 1
        assert log.positions() == {"a": b"1"}
        assert log.rows("t") == []

    async def test_of_two_appends_that_expect_the_same_position_one_wins(self, log: LogAndStore) -> None:
        results = await asyncio.gather(
            *(log.append([batch(number)], positions={"a": (None, b"%d" % number)}) for number in (1, 2)),
            return_exceptions=True,
        )

        assert [type(result) for result in results] == [int, Moved]
        assert await everything(log) == [1]
        assert log.position("a") == b"1"

    async def test_a_position_can_be_taken_away(self, log: LogAndStore) -> None:
        await log.write([], positions={"a": (None, b"1")})

        await log.write([], positions={"a": (b"1", None)})

        assert log.position("a") is None
        assert log.positions() == {}

    async def test_rows_come_in_key_order_after_a_key(self, log: LogAndStore) -> None:
        await log.write([Row("t", key, key) for key in (b"c", b"a", b"b", b"ab")] + [Row("u", b"b", b"other")])
        await log.write([Row("t", b"b", None)])

        assert [key for key, _ in log.rows("t")] == [b"a", b"ab", b"c"]
        assert [key for key, _ in log.rows("t", after=b"a", limit=1)] == [b"ab"]

    async def test_a_reader_waits_until_something_is_appended(self, log: LogAndStore) -> None:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(log.read(after=Position(log.log_id, 0), limit=1))
            await asyncio.sleep(0)
            assert not reading.done()
            await log.append([batch(1)])

        assert numbers_of(reading.result()) == [1]

    async def test_a_cancelled_reader_leaves_the_others_alone(self, log: LogAndStore) -> None:
        async with asyncio.TaskGroup() as tasks:
            first, second = (tasks.create_task(log.read(after=Position(log.log_id, 0), limit=1)) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            await until(first.done)
            await log.append([batch(1)])

        assert numbers_of(second.result()) == [1]

    async def test_pages_are_bounded_and_leave_nothing_out(self, log: LogAndStore) -> None:
        for number in range(20):
            await log.append([batch(number, size=3000)])

        page = await log.read(after=Position(log.log_id, 0), limit=10_000)

        assert 1 <= len(page.frames) <= 4
        assert await everything(log, limit=10_000) == list(range(20))

    async def test_a_page_may_begin_inside_a_frame(self, log: LogAndStore) -> None:
        await log.append([batch(1, 2, 3)])

        page = await log.read(after=Position(log.log_id, 2), limit=1)

        assert (page.frames[0].first, page.upto) == (1, 3)

    async def test_a_trimmed_position_is_told_the_first_offset(self, log: LogAndStore) -> None:
        for number in (1, 2, 3):
            await log.append([batch(number)])

        await log.trim(3)

        assert (log.first, log.end) == (3, 3)
        with pytest.raises(Trimmed) as trimmed:
            await log.read(after=Position(log.log_id, 1), limit=1)
        assert trimmed.value.first == 3
        assert await everything(log) == [3]

    async def test_offsets_go_on_after_everything_was_trimmed(self, log: LogAndStore) -> None:
        await log.append([batch(1, 2)])

        await log.trim(3)

        assert (log.first, log.end) == (3, 2)
        assert await log.append([batch(3)]) == 3
        assert await everything(log) == [3]

    async def test_another_record_at_a_position_is_a_divergence(self, log: LogAndStore) -> None:
        await log.append([batch(1)])
        await log.append([batch(2)])
        page = await log.read(after=Position(log.log_id, 0), limit=1)
        seen = page.frames[0].frame.hash_at(0)[:8]

        page = await log.read(after=Position(log.log_id, 1, seen), limit=1)
        assert page.upto == 2
        with pytest.raises(Diverged):
            await log.read(after=Position(log.log_id, 1, b"another!"), limit=1)

    @pytest.mark.parametrize(("log_id", "offset"), [(None, 2), ("eu/n1@ffffffffffffffff", 0)])
    async def test_a_position_this_log_never_gave_is_a_divergence(
        self, log: LogAndStore, log_id: str | None, offset: int
    ) -> None:
        await log.append([batch(1)])

        with pytest.raises(Diverged):
            await log.read(after=Position(log_id or log.log_id, offset), limit=1)

    async def test_accepted_never_goes_back_when_the_clock_does(self, log: LogAndStore, clock: StillClock) -> None:
        await log.append([batch(1)])
        clock.time -= 3600
        await log.append([batch(2)])
        clock.time += 7200
        await log.append([batch(3)])

        page = await log.read(after=Position(log.log_id, 0), limit=1 << 20)

        stamps = [stored.frame.header.oldest for stored in page.frames]
        assert stamps == [clock.time - 3600, clock.time - 3600, clock.time]

    async def test_seek_finds_everything_accepted_since(self, log: LogAndStore, clock: StillClock) -> None:
        start = clock.time
        for number in range(1, 21):
            clock.time = start + number
            await log.append([batch(number)])
            if number == 10:
                await log.append([link_frame(1, 100, accepted=5.0)])

        assert log.seek(0) == 0
        assert log.seek(start + 10) == 9
        assert log.seek(start + 10.5) == 11
        assert log.seek(start + 21) == log.end

    async def test_an_append_of_nothing_moves_positions_only(self, log: LogAndStore) -> None:
        await log.append([batch(1)])

        assert await log.append([], positions={"a": (None, b"1")}) == 1

        assert log.position("a") == b"1"
