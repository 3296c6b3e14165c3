"""Cases keep what they compiled, and not more of it than a machine has room for."""

from __future__ import annotations

import json
import tracemalloc

from gateway.app.cases import LONGEST_REMEMBERED, REMEMBERED, answer

MOST = 16 * 1024 * 1024
"""Bytes that the test lets stay."""


def test_long_filters_do_not_stay_compiled() -> None:
    """A few thousand lines with a filter of their own each, as large as filters may be, would fill any memory."""
    names = [f"{'x' * 60}{number}" for number in range(100)]
    assert sum(map(len, names)) > LONGEST_REMEMBERED
    tracemalloc.start()

    for number in range(REMEMBERED):
        pattern = {"a": [number, *names]}
        assert answer(json.dumps({"pattern": pattern, "event": {"a": number}}).encode()) is True
        assert answer(json.dumps({"pattern": pattern, "event": {"a": names[7]}}).encode()) is True
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < MOST
