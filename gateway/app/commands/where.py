"""Which node a command is about, and options that many commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.app.whereabouts import data_of
from gateway.core.errors import ConfigError

_HELP = "A config file, or a data directory. Also ISTHMUS_DATA."

Where = Annotated[Path | None, typer.Argument(metavar="NODE", help=_HELP, envvar="ISTHMUS_DATA", show_envvar=False)]
"""For commands without other arguments."""

Data = Annotated[
    Path | None, typer.Option("--data", "-d", metavar="NODE", help=_HELP, envvar="ISTHMUS_DATA", show_envvar=False)
]
"""The same as an option."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def folder(where: Path | None) -> Path:
    """The data directory meant.

    :raises ConfigError: none was named, or it is neither a config nor a directory.
    """
    if where is None:
        raise ConfigError("which node? Name its config file or its data directory (or set ISTHMUS_DATA)")
    return data_of(where)
