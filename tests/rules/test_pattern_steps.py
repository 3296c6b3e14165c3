"""However a document and a pattern fork, one question ends in half a second, and says no if it had not by then."""

from __future__ import annotations

import json
from time import process_time
from typing import Any

import pytest

from gateway.rules.pattern import document_pattern


def forked(levels: int, inner: object) -> object:
    """At each level two ways to read `a.b`: as one name, and as two."""
    document = inner
    for level in reversed(range(levels)):
        document = {f"a{level}": {f"b{level}": document}, f"a{level}.b{level}": document}
    return document


@pytest.mark.parametrize(("levels", "fields"), [(3, 6), (5, 8), (4, 16)])
def test_names_that_can_be_read_in_two_ways_do_not_multiply(levels: int, fields: int) -> None:
    pattern: dict[str, Any] = {f"f{number}": ["x"] for number in range(fields)}
    pattern["gone"] = [{"exists": False}]
    for level in reversed(range(levels)):
        pattern = {f"a{level}": {f"b{level}": pattern}}
    inner = [{f"f{number}": "y" if number == fields - 1 else "x" for number in range(fields)}] * 2
    matches = document_pattern(pattern)

    began = process_time()
    assert matches(json.loads(json.dumps(forked(levels, inner)))) is False

    assert process_time() - began < 10, "half a second on a quiet machine"
