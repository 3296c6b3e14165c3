"""Targets that are wrong on purpose: fuzzing that does not find these finds nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.fuzz.target import Target, demand

if TYPE_CHECKING:
    from collections.abc import Mapping

_LEAK = 128 * 1024
_leaked: list[bytearray] = []


def _break(data: bytes) -> bool:
    demand(b"a" not in data, "no input has an a", data)
    return True


def _raise(data: bytes) -> bool:
    if len(data) > 3:
        raise RecursionError
    return False


def _hang(data: bytes) -> bool:
    if len(data) > 3:
        time.sleep(3600)
    return False


def _leak(data: bytes) -> bool:
    _leaked.append(bytearray(_LEAK))
    time.sleep(0.0005)  # so that the process does not end before its time
    return bool(data)


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("breaks", "no input has an a", _break, ("a",)),
        Target("raises", "nothing is raised", _raise),
        Target("hangs", "every input is answered", _hang),
        Target("leaks", "memory does not grow", _leak),
    )
}
