"""Targets that are wrong on purpose: fuzzing that does not find these finds nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from unittest.mock import patch

from federation import link
from tests.fuzz import targets_link
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


def _disorder(data: bytes) -> bool:
    with patch.object(link, "_check_order", lambda *_: None):
        return targets_link.check_link(data)


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("breaks", "no input has an a", _break, ("a",)),
        Target("raises", "nothing is raised", _raise),
        Target("hangs", "every input is answered", _hang),
        Target("leaks", "memory does not grow", _leak),
        Target("disorders", "pages are in order", _disorder, seeds=targets_link.TARGETS[0].seeds),
    )
}
