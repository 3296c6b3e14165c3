"""Sending a batch in parts, so that one bad event harms no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from gateway.core.errors import PartialFailure, Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Item = TypeVar("Item")


async def send_in_parts(
    events: Sequence[Item],
    send: Callable[[Sequence[Item]], Awaitable[None]],
    parts: Sequence[tuple[int, int]] = (),
) -> None:
    """Send the parts (start, end) in order; default: all in one.

    A part that is Rejected as a whole is halved until the bad events are
    found. After the first Unavailable nothing more is sent, so that no event
    overtakes another.

    :raises Unavailable: nothing was sent.
    :raises Rejected: the only event.
    :raises PartialFailure: which failed and how, by index in `events`.
    """
    failures: dict[int, Unavailable | Rejected] = {}
    left = list(reversed(parts or [(0, len(events))]))
    while left:
        start, end = left.pop()
        try:
            await send(events[start:end])
        except Rejected as problem:
            if len(events) == 1:
                raise
            if end - start == 1:
                failures[start] = problem
            else:
                half = (start + end) // 2
                left += [(half, end), (start, half)]
        except Unavailable as problem:
            if start == 0:
                raise
            failures.update(dict.fromkeys(range(start, len(events)), problem))
            break
        except PartialFailure as problem:
            failures.update({start + index: why for index, why in problem.failures.items()})
            away = next((why for why in problem.failures.values() if isinstance(why, Unavailable)), None)
            if away is not None:
                failures.update(dict.fromkeys(range(end, len(events)), away))
                break
    if failures:
        raise PartialFailure(failures)
