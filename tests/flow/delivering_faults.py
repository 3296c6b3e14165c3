"""Answers of a sink that is down, or that refuses some events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.core.event import Outgoing

    Answer = Callable[[Sequence[Outgoing]], None]


def failing(*numbers: int, why: type[Exception] = Unavailable) -> Answer:
    """An answer that refuses every batch with one of these events."""

    def answer(events: Sequence[Outgoing]) -> None:
        for event in events:
            if int(event.id) in numbers:
                raise why(f"not {event.id}")

    return answer


def down(events: Sequence[Outgoing]) -> None:
    raise Unavailable("HTTP 503")


def cannot_connect(events: Sequence[Outgoing]) -> None:
    raise Unavailable("connect") from ConnectionRefusedError()
