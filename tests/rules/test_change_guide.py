"""The examples of the guide to changes work as they stand there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gateway.codec.json import decode
from gateway.rules.change import compile_changes
from gateway.rules.change_reading import MAX_PLACES, MAX_STEPS, MAX_VALUES
from gateway.rules.mask import MAX_BELOW, compile_keys
from gateway.rules.members import MAX_VISITED
from gateway.rules.templates import MAX_TEMPLATE

GUIDE = (Path(__file__).parents[2] / "docs/guides/change.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(change:.*?)```\n```json\n(.*?)```\n```json\n(.*?)```", GUIDE, re.DOTALL)
KEYS = compile_keys({"pii": {"2026-11": "0123456789abcdef0123456789abcdef", "2026-05": "another secret of ours"}})


@pytest.mark.parametrize(("config", "before", "after"), EXAMPLES)
def test_an_example_of_the_guide_does_what_it_says(config: str, before: str, after: str) -> None:
    changes = compile_changes(YAML(typ="safe").load(config)["change"], keys=KEYS)

    changed, expected = changes.apply(decode(before.encode())), decode(after.encode())

    assert changed.but(data=None) == expected.but(data=None)
    assert as_written(changed.data) == as_written(expected.data)


def as_written(data: bytes | None) -> Any:
    """The data with the text of its numbers and the order of its members."""
    return json.loads(data or b"null", parse_float=str, parse_int=str, object_pairs_hook=list)


def test_the_guide_has_an_example_of_each_step() -> None:
    steps = [next(iter(step)) for config, _, _ in EXAMPLES for step in YAML(typ="safe").load(config)["change"]]

    assert steps == ["set", "remove", "keep", "rename", "template", "mask"]


@pytest.mark.parametrize("bound", [MAX_STEPS, MAX_PLACES, MAX_TEMPLATE, MAX_VALUES, MAX_VISITED, MAX_BELOW])
def test_the_guide_knows_the_bounds(bound: int) -> None:
    assert re.search(rf"\| {bound:,} *\|", GUIDE)
