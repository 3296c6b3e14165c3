"""The guide about filters is right: its files are written, its commands are run, and they print what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.app.guides import Guide, printed
from tests.app.test_cli import isthmus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.app.test_cli import Ended

__all__ = ["isthmus"]

GUIDE = Guide("filters.md")


@pytest.mark.parametrize("console", GUIDE.consoles)
def test_its_commands_print_what_it_shows(
    console: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isthmus: Callable[..., Ended]
) -> None:
    GUIDE.write(tmp_path)
    monkeypatch.chdir(tmp_path)

    assert printed(console, isthmus) == console


def test_it_has_commands_and_files() -> None:
    assert len(GUIDE.files) >= 5
    assert len(GUIDE.consoles) >= 5
