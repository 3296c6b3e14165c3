"""`isthmus lint`: what is allowed in a config and is probably not meant."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path  # noqa: TC003  typer reads the annotations
from typing import Annotated

import typer

from gateway.app import printing
from gateway.app.commands.where import Json  # noqa: TC001  the same


def lint(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The config file.", show_default=False)],
    *,
    json: Json = False,
) -> None:
    """Name what is odd about a config that `check` finds right: filters that never match, sinks without use, doubles.

    Exit code 1 when something is.
    """
    from gateway.app.linting import lint as find  # noqa: PLC0415  the languages, which most commands do not need

    found = find(config)
    if json:
        printing.json([asdict(finding) for finding in found])
    else:
        for finding in found:
            printing.line(printing.printable(finding))
    if found:
        raise typer.Exit(1)
