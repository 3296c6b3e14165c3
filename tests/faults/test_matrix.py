"""The table in this package names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import tests.faults

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"(tests/[\w/]+\.py)::(\w+)")


def test_every_row_names_a_test_that_exists() -> None:
    rows = ROW.findall(tests.faults.__doc__ or "")

    assert len(rows) > 30
    missing = [
        f"{file}::{name}"
        for file, name in rows
        if not re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    ]
    assert missing == []
