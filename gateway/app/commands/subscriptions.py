"""`isthmus subscriptions`: what an operator may tell them."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.app import printing
from gateway.app.commands.usage import Command
from gateway.app.commands.where import Data, folder
from gateway.app.running import ask

app = typer.Typer(help="Tell a running node's subscriptions what to do.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command(cls=Command)
def resume(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The subscription's name.")], data: Data = None
) -> None:
    """Deliver again where the destination was gone (410) or a key is blocked."""
    ask(folder(data), "POST", "/subscriptions/resume", {"name": name})
    printing.line(f"{name} goes on")
