"""`isthmus demo`: three regions on this machine."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    sqs: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A queue that some of the events shall come through.", show_default=False),
    ] = None,
    events: Annotated[int, typer.Option(min=30, help="How many are published over HTTP.")] = 3000,
    seconds: Annotated[float, typer.Option(min=1.0, help="Over how many seconds.")] = 9.0,
) -> None:
    """Start three regions here, kill one in the middle, count what crossed: exit code 0 if nothing is lost."""
    from gateway.app import demo as showcase  # noqa: PLC0415  gRPC and aiohttp, which no other command waits for

    raise typer.Exit(showcase.demo(sqs=sqs, events=events, seconds=seconds))
