"""`isthmus connectors`: what can be connected, and with which settings."""

from __future__ import annotations

import inspect
import re
from typing import Annotated

import typer

from gateway.app import catalog, describing, printing
from gateway.app.commands.where import Json  # noqa: TC001  typer reads the annotations
from gateway.core.errors import ConfigError


def connectors(
    name: Annotated[str | None, typer.Argument(help="One of them, for its settings.", show_default=False)] = None,
    *,
    json: Json = False,
) -> None:
    """List the connectors, or the settings of one."""
    if name is None:
        rows = [_row(one) for one in catalog.names()]
        if json:
            printing.json([dict(zip(("name", "as", "about"), row, strict=True)) for row in rows])
        else:
            printing.table(["name", "as", "about"], rows)
        return
    found = catalog.roles(name)
    models = {role: connector.settings for role, connector in found.items()}
    if json:
        printing.json({role: model.model_json_schema() for role, model in models.items()})
        return
    for role, model in models.items():
        printing.line(f"{name} as a {role}")
        printing.table(["setting", "kind", "default", "meaning"], describing.settings(model))
        printing.line("")


def _row(name: str) -> tuple[str, str, str]:
    try:
        found = catalog.roles(name)
    except ConfigError as problem:
        return name, "", str(problem)
    module = inspect.getmodule(next(iter(found.values())).make) if found else None
    about = (inspect.getdoc(module) or "").partition("\n")[0]
    return name, ", ".join(found), re.sub(rf"^`{re.escape(name)}`[^:]*: ", "", about)
