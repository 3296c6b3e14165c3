"""`isthmus explain`: what a config does with an event."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from gateway.app import documents, printing
from gateway.app.commands.where import Json  # noqa: TC001  the same
from gateway.app.config import load
from gateway.app.problems import unknown
from gateway.codec.json import encode
from gateway.core.errors import ConfigError

if TYPE_CHECKING:
    from gateway.app.explaining import Explained
    from gateway.core.event import Event

Config = Annotated[
    Path,
    typer.Option("--config", "-c", metavar="CONFIG", help="The config file.", envvar="ISTHMUS_CONFIG"),
]


def explain(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="A file with one CloudEvent in JSON, - for stdin.")],
    *,
    config: Config = Path("isthmus.yaml"),
    region: Annotated[
        str, typer.Option("--from", help="The region it came in at; default: the config's own.", show_default=False)
    ] = "",
    subscription: Annotated[
        list[str] | None,
        typer.Option("--subscription", "-s", help="Only this one; may be repeated.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Say for every subscription whether an event matches, which term failed, and what would be sent.

    It reads nothing but the config and the event: no node is asked, nothing is sent. Exit code 1 when nothing matches.
    """
    from gateway.app.explaining import Explainer  # noqa: PLC0415  the languages, which most commands do not need

    found = load(config)
    for name in subscription or []:
        if name not in found.subscriptions:
            raise ConfigError(f"--subscription: {unknown('subscription', name, found.subscriptions)}")
    regions = (found.region, *found.federation.peers)
    if region and region not in regions:
        raise ConfigError(f"--from: {unknown('region', region, regions)}")
    given = documents.one_event(event)
    explained = Explainer(found).explain(given, region or found.region, subscription or ())
    if json:
        printing.line(_shown(msgspec.json.encode({one.subscription: _plain(one) for one in explained})))
    else:
        for one in explained:
            _print(one, given)
    if not any(one.matched for one in explained):
        raise typer.Exit(1)


def _plain(one: Explained) -> dict[str, object]:
    return {
        "matched": one.matched,
        "to": one.to,
        "paused": one.paused,
        "why_not": list(one.why_not),
        "rejected": one.rejected,
        "steps": [
            {"step": step, "failed": result} if isinstance(result, str) else {"step": step, "event": _raw(result)}
            for step, result in one.steps
        ],
        "sent": None if one.sent is None else _raw(one.sent),
    }


def _raw(event: Event) -> msgspec.Raw:
    return msgspec.Raw(encode(event))


def _print(one: Explained, given: Event) -> None:
    if one.matched and one.paused:
        printing.line(f"{one.subscription}: is paused; once it goes on:")
    if not one.matched:
        printing.line(f"{one.subscription}: does not match")
        for why in one.why_not:
            printing.line(f"  {printing.printable(why)}")
    elif one.sent is None:
        printing.line(f"{one.subscription}: matches, but a change fails: it becomes a dead letter")
        printing.line(f"  {printing.printable(one.rejected)}")
    elif one.sent is given:
        printing.line(f"{one.subscription}: matches, is sent to {one.to} as it is")
    else:
        printing.line(f"{one.subscription}: matches, is sent to {one.to} as")
        printing.line(_shown(encode(one.sent)))


def _shown(json: bytes) -> str:
    """JSON for people; what could steer a terminal, which in JSON only stands in strings, is escaped."""
    text = msgspec.json.format(json, indent=2).decode()
    return "".join(c if c.isprintable() or c == "\n" else dumps(c)[1:-1] for c in text)
