"""The guide about filters is right: its files are written, its commands are run, and they print what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.app.test_cli import isthmus

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.app.test_cli import Ended

__all__ = ["isthmus"]

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "filters.md"
FILES = re.findall(r"^`([\w.-]+)`\n\n```\w+\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
CONSOLES = re.findall(r"^```console\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("console", CONSOLES)
def test_its_commands_print_what_it_shows(
    console: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isthmus: Callable[..., Ended]
) -> None:
    for name, text in FILES:
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)

    printed = ""
    for line in console.splitlines(keepends=True):
        if line.startswith("$ isthmus "):
            ended = isthmus(*shlex.split(line.removeprefix("$ isthmus ")))
            printed += line + ended.out + ended.err

    assert printed == console


def test_it_has_commands_and_files() -> None:
    assert len(FILES) >= 5
    assert len(CONSOLES) >= 5
