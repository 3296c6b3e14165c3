"""All targets by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz import targets_app, targets_codec, targets_rules, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.fuzz.target import Target

TARGETS: Mapping[str, Target] = {
    target.name: target for target in (*targets_rules.TARGETS, *targets_app.TARGETS, *targets_codec.TARGETS)
}


def known(name: str) -> Target:
    """The target of that name, also one that is wrong on purpose."""
    return TARGETS.get(name) or wrong.TARGETS[name]
