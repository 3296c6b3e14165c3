"""Guides whose files are written, whose commands are run, and which show what these print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.app.test_cli import Ended


class Guide:
    """A page of docs/guides."""

    def __init__(self, name: str) -> None:
        self.text = (Path(__file__).parents[2] / "docs" / "guides" / name).read_text(encoding="utf-8")
        self.files = re.findall(r"^`([\w.-]+)`\n\n```\w+\n(.*?)^```", self.text, re.MULTILINE | re.DOTALL)
        """Name and content of each."""
        self.consoles = re.findall(r"^```console\n(.*?)^```", self.text, re.MULTILINE | re.DOTALL)
        """Commands after `$ `, each with what it prints."""

    def write(self, folder: Path) -> None:
        """Write its files."""
        for name, text in self.files:
            (folder / name).write_text(text, encoding="utf-8")


def printed(console: str, isthmus: Callable[..., Ended]) -> str:
    """The same console with what its commands print now."""
    shown = ""
    for line in console.splitlines(keepends=True):
        if line.startswith("$ isthmus "):
            ended = isthmus(*shlex.split(line.removeprefix("$ isthmus ")))
            shown += line + ended.out + ended.err
    return shown
