"""`isthmus send`: publish to a node's HTTP or gRPC door."""

from __future__ import annotations

import asyncio
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import msgspec
import typer

from gateway.app.whereabouts import doors_of
from gateway.codec.json import decode
from gateway.core.errors import ConfigError, InvalidEvent, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.core.event import Event

_HERE = "127.0.0.1:8080"
_MOST_BYTES = 4 * 1024 * 1024


def send(
    node: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="Config of the node to send to.", show_default=False)
    ] = None,
    *,
    to: Annotated[
        str,
        typer.Option(
            help="The door: host:port or http://… for HTTP, grpc://host:port for gRPC. "
            f"Default: that of CONFIG, else {_HERE}.",
            envvar="ISTHMUS_TO",
            show_default=False,
        ),
    ] = "",
    type_: Annotated[str, typer.Option("--type", help="The event's type.", show_default=False)] = "",
    source: Annotated[str, typer.Option(help="Its source.")] = "/isthmus/send",
    subject: Annotated[str | None, typer.Option(help="Its subject.", show_default=False)] = None,
    id_: Annotated[str, typer.Option("--id", help="Its id; default: a new one.", show_default=False)] = "",
    data: Annotated[
        str | None, typer.Option(help="Its data; JSON if it is JSON, else text.", show_default=False)
    ] = None,
    attribute: Annotated[
        list[str] | None, typer.Option("--attribute", "-a", help="Another attribute, name=value.", show_default=False)
    ] = None,
    file: Annotated[
        str,
        typer.Option(
            "--file", "-f", help="Events from a file of JSON lines, - for standard input.", show_default=False
        ),
    ] = "",
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many at once.")] = 500,
    patience: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an acknowledgement.")] = 30.0,
) -> None:
    """Publish one event, or a file of them; print how many are durable. Exit code 1 when one is refused."""
    if bool(type_) == bool(file):
        raise ConfigError("what to send? Expected either --type (with --data …) or --file")
    from gateway.app.sending import send_all  # noqa: PLC0415  gRPC and aiohttp, which no other command waits for

    door = to or _door(node)
    if file:
        with _opened(file) as lines:
            asyncio.run(send_all(door, _batches(lines, batch), patience=patience))
    else:
        event = _event(type_, source, subject, id_ or str(uuid.uuid4()), data, attribute or [])
        asyncio.run(send_all(door, [[event]], patience=patience))


def _door(node: Path | None) -> str:
    if node is None:
        return _HERE
    doors = doors_of(node)
    if "http" not in doors and "grpc" not in doors:
        raise ConfigError(f"{node}: api: names no door, expected http: or grpc: (or say --to)")
    return doors.get("http") or f"grpc://{doors['grpc']}"


def _opened(file: str) -> BinaryIO:
    return sys.stdin.buffer if file == "-" else Path(file).open("rb")


def _batches(lines: BinaryIO, most: int) -> Iterator[list[Event]]:
    """The events of JSON lines; those before a wrong line come out before it raises."""
    gathered: list[Event] = []
    size = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = decode(line)
        except InvalidEvent as problem:
            if gathered:
                yield gathered
            raise Rejected(f"line {number}: {problem}") from None
        if gathered and (len(gathered) == most or size + len(line) > _MOST_BYTES):
            yield gathered
            gathered, size = [], 0
        gathered.append(event)
        size += len(line)
    if gathered:
        yield gathered


def _event(
    kind: str, source: str, subject: str | None, identity: str, data: str | None, attributes: Sequence[str]
) -> Event:
    document: dict[str, object] = {"specversion": "1.0", "id": identity, "source": source, "type": kind}
    document["time"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    if subject is not None:
        document["subject"] = subject
    for attribute in attributes:
        name, separator, value = attribute.partition("=")
        if not separator:
            raise ConfigError(f"--attribute {attribute}: expected name=value")
        document[name] = value
    if data is not None:
        is_json = _is_json(data)
        document.setdefault("datacontenttype", "application/json" if is_json else "text/plain")
        document["data"] = msgspec.Raw(data.encode()) if is_json else data
    return decode(msgspec.json.encode(document))


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True
