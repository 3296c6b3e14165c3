"""Where the corpora lie: cases that nobody on this project wrote."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

CORPORA = Path(os.environ.get("ISTHMUS_CORPORA") or Path(__file__).parents[2] / ".." / "shared" / "corpora")


def cases(name: str, key: str | None = "tests") -> list[object]:
    """The cases of one JSON file, as parameters; one visible skip where the file is absent."""
    path = CORPORA / name
    if not path.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"no corpus {name}"))]
    document = json.loads(path.read_text(encoding="utf-8-sig"))
    tests = document if key is None else document[key]
    return [pytest.param(test, id=test.get("id") or test["name"]) for test in tests]


def text_of(name: str) -> str:
    """The text of one file; skips the test where it is absent."""
    path = CORPORA / name
    if not path.exists():
        pytest.skip(f"no corpus {name}")
    return path.read_text(encoding="utf-8-sig")
