"""`isthmus dead-letters`: events that could not be delivered, and what to do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from gateway.app import printing
from gateway.app.commands.usage import Command
from gateway.app.commands.where import Data, Json, Where, folder
from gateway.app.running import ask
from gateway.core.errors import ConfigError

if TYPE_CHECKING:
    from gateway.app.running import Json as Value

app = typer.Typer(help="List, show, send again or drop what could not be delivered.", no_args_is_help=True)

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As `list` shows them.", show_default=False)]
Of = Annotated[
    str | None,
    typer.Option("--subscription", "-s", help="All of this subscription, or `source:NAME`.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="All of the node.")]


@app.command("list", cls=Command)
def list_(
    where: Where = None,
    data: Data = None,
    *,
    subscription: Of = None,
    after: Annotated[str, typer.Option(help="Go on behind this id.", show_default=False)] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many.")] = 100,
    json: Json = False,
) -> None:
    """List dead letters, by subscription and in the order of the log."""
    query = {"limit": str(limit), "subscription": subscription, "after": after}
    path = "/dead-letters?" + urlencode({key: value for key, value in query.items() if value})
    found = ask(folder(data or where), "GET", path)
    if json:
        printing.json(found)
        return
    letters = [letter for letter in found if isinstance(letter, dict)] if isinstance(found, list) else []
    printing.table(
        ["id", "event", "type", "attempts", "redrives", "last attempt", "reason"],
        [
            (
                letter["id"],
                _attribute(letter, "id"),
                _attribute(letter, "type"),
                letter["attempts"],
                letter["redrives"],
                printing.moment(float(str(letter["last_at"]))),
                letter["reason"],
            )
            for letter in letters
        ],
    )


@app.command(cls=Command)
def show(
    id: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")],  # noqa: A002
    data: Data = None,
) -> None:
    """Show one dead letter with its event and the destination's answer, as JSON."""
    printing.json(ask(folder(data), "GET", "/dead-letter?" + urlencode({"id": id})))


@app.command(cls=Command)
def resend(
    ids: Ids = None,
    data: Data = None,
    *,
    subscription: Of = None,
    every: All = False,
    rate: Annotated[float | None, typer.Option(min=0.001, help="At most so many a second.", show_default=False)] = None,
    force: Annotated[bool, typer.Option("--force", help="Also what was sent again five times already.")] = False,
) -> None:
    """Send dead letters again. Exit code 1 when some cannot be."""
    chosen = _chosen(ids, subscription, every=every)
    answer = ask(folder(data), "POST", "/dead-letters/resend", {**chosen, "rate": rate, "force": force})
    refused = answer.get("refused") if isinstance(answer, dict) else None
    for id_, reason in refused.items() if isinstance(refused, dict) else ():
        printing.complain(printing.printable(f"{id_}: {reason}"))
    printing.line(f"{answer['sent'] if isinstance(answer, dict) else 0} will be sent again")
    if refused:
        raise typer.Exit(1)


@app.command(cls=Command)
def drop(
    ids: Ids = None,
    data: Data = None,
    *,
    subscription: Of = None,
    every: All = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete dead letters for ever."""
    chosen = _chosen(ids, subscription, every=every)
    where = folder(data)
    if not yes:
        typer.confirm("These events will be gone for good. Go on?", abort=True)
    answer = ask(where, "POST", "/dead-letters/drop", chosen)
    printing.line(f"{answer['dropped'] if isinstance(answer, dict) else 0} dropped")


def _chosen(ids: list[str] | None, subscription: str | None, *, every: bool) -> dict[str, object]:
    if [bool(ids), subscription is not None, every].count(True) != 1:
        raise ConfigError("which dead letters? Expected either IDs, or --subscription NAME, or --all")
    return {"ids": ids or [], "subscription": subscription, "all": every}


def _attribute(letter: dict[str, Value], name: str) -> Value:
    event = letter.get("event")
    return event.get(name) if isinstance(event, dict) else None
