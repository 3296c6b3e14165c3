"""Frames made ahead of their commit are the frames that the commit would have made."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.codec.frames import compress, pack, seal
from gateway.core.event import Event
from gateway.log.ahead import Ahead, cut, made_for
from gateway.log.writing import Request

if TYPE_CHECKING:
    from gateway.core.frame import Batch


def batch(number: int, count: int = 100, space: str = "main") -> Batch:
    (made,) = pack(space, [Event(f"{number}-{n}", "/tests", "made", data=b"x" * 100) for n in range(count)])
    return made


def request(*items: Batch) -> Request:
    return Request(asyncio.get_running_loop().create_future(), items)


def noted(ahead: Ahead, requests: list[Request]) -> list[Request]:
    for one in requests:
        ahead.note(one)
    return requests


async def test_full_frames_are_made_ahead_and_are_the_same() -> None:
    ahead = Ahead()
    going = noted(ahead, [request(batch(number)) for number in range(12)])
    ahead.taken()

    frames = [item for item in cut(going) if isinstance(item, list)]
    made = [content for one in going for _, content in one.made]
    await asyncio.wait([asyncio.wrap_future(content) for content in made])
    contents = [made_for(going)(batches) for batches in frames]

    assert [len(batches) for batches in frames] == [5, 5, 2]
    assert contents == [compress(frames[0]), compress(frames[1]), None]
    assert seal(frames[0], origin="eu/n1@1", first=1, accepted=1.0, content=contents[0]) == seal(
        frames[0], origin="eu/n1@1", first=1, accepted=1.0
    )
    ahead.close()


async def test_what_a_commit_took_is_not_counted_for_the_next() -> None:
    ahead = Ahead()
    first = noted(ahead, [request(batch(number)) for number in range(3)])
    ahead.taken()

    second = noted(ahead, [request(batch(number)) for number in range(6)])

    assert [one.made for one in first] == [[], [], []]
    ((batches, _),) = second[0].made
    assert [batches] == [[item for one in second[:5] for item in one.items]]
    ahead.close()


async def test_a_content_is_not_used_when_a_neighbour_was_refused() -> None:
    ahead = Ahead()
    requests = noted(ahead, [request(batch(number)) for number in range(6)])

    going = [requests[0], *requests[2:]]

    (batches,) = [item for item in cut(going) if isinstance(item, list)]
    assert requests[0].made
    assert made_for(going)(batches) is None
    ahead.close()


async def test_a_content_of_a_closed_ahead_is_made_by_the_commit() -> None:
    """Nobody waits for what will never be made."""
    ahead = Ahead()
    going = noted(ahead, [request(batch(number, space=f"s{number % 2}")) for number in range(200)])

    ahead.close()

    for batches in cut(going):
        if isinstance(batches, list):
            content = made_for(going)(batches)
            assert content is None or content == compress(batches)
