"""All targets by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz import (
    targets_app,
    targets_codec,
    targets_index,
    targets_link,
    targets_reading,
    targets_rules,
    targets_wire,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.fuzz.target import Target

_MODULES = (targets_rules, targets_index, targets_app, targets_codec, targets_wire, targets_reading, targets_link)
TARGETS: Mapping[str, Target] = {target.name: target for module in _MODULES for target in module.TARGETS}


def known(name: str) -> Target:
    """The target of that name, also one that is wrong on purpose."""
    return TARGETS.get(name) or wrong.TARGETS[name]
