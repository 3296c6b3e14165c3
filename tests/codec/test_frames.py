"""Frames that are made of frames are what sealing their events would have given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.codec.frames import MAX_COUNT, merge, open_frame, pack, parse, seal, select, types_of
from gateway.core.errors import Damaged
from gateway.core.event import Event

if TYPE_CHECKING:
    from gateway.core.frame import Frame

TIMES = ("2026-11-23T08:00:00Z", None, "2026-11-23T10:30:59.5+02:00", "2016-12-31T23:59:60Z")


def events(count: int) -> list[Event]:
    return [
        Event(f"{number}", f"/shop/{number % 3}", f"type {number % 7}", time=TIMES[number % 4], data=b"%d" % number)
        for number in range(count)
    ]


def sealed(some: list[Event], first: int) -> Frame:
    return seal(pack("main", some), origin="eu/n1@1", first=first, accepted=1.0)


def test_small_frames_merge_into_the_frame_of_all_their_events() -> None:
    all_events = events(60)

    merged = merge([sealed(all_events[at : at + 20], at + 1) for at in (0, 20, 40)])

    assert merged == sealed(all_events, 1)
    assert open_frame(merged) == all_events


def test_a_selection_is_the_frame_of_the_events_it_keeps() -> None:
    all_events = events(MAX_COUNT)
    keep = [0, 1, 7, 123, MAX_COUNT - 1]

    selected = select(sealed(all_events, 1), keep)

    kept = [all_events[index] for index in keep]
    alone = sealed(kept, 1)
    assert open_frame(selected) == kept
    assert types_of(selected) == [event.type for event in kept]
    assert selected.data[selected.footer_at :] == alone.data[alone.footer_at :]
    assert selected.origin_offsets() == [index + 1 for index in keep]


def test_a_header_that_is_not_utf_8_is_damage() -> None:
    """With a right checksum, as a peer can send it."""
    data = bytes.fromhex(
        "49534601d953961f332bd0c01800000019000000010000009600a0a0a5ff2f62406391930101cb3ff00000000000000f"
        "9199a131a22f61a161c0c0c0c0c0803a982bd366b1eb7d2d06800538d394c200000000000091a161"
    )

    with pytest.raises(Damaged, match="frame header"):
        parse(data)
