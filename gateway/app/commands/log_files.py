"""`isthmus log`: looks into the files, whether a node runs on them or not."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import typer

from gateway.app import printing
from gateway.app.commands.usage import Command
from gateway.app.commands.where import Data, Json, Where, folder
from gateway.app.fields import moment
from gateway.codec.frames import open_frame
from gateway.codec.json import encode
from gateway.core.errors import ConfigError, Damaged, Trimmed
from gateway.core.quantities import seconds, size_text
from gateway.core.records import Position, Record
from gateway.log.damage import verify_apart
from gateway.log.following import open_reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.core.records import Page
    from gateway.log.following import FollowedLog

app = typer.Typer(help="Look into a node's log, whether the node runs or not.", no_args_is_help=True)

_NEWEST = 20
_PAGE = 1024 * 1024
_EXCERPT = 80
_BARE = re.compile(r"[0-9.]+(ms|s|m|h|d)( *[0-9.]+(ms|s|m|h|d))*")


class Gap(NamedTuple):
    """Offsets that cannot be read."""

    first: int
    last: int
    reason: str


@app.command(cls=Command)
def show(
    where: Where = None,
    data: Data = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes in, until Ctrl-C.")] = False,
    since: Annotated[
        str, typer.Option(help="Accepted since: a time ago (10m) or an RFC 3339 time.", show_default=False)
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-n",
            min=0,
            help="At most so many events, 0 for all. Default: with --since all, else the newest 20.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show events of the log, one a line, oldest first."""
    asyncio.run(_show(folder(data or where), follow=follow, since=since, limit=limit, json=json))


@app.command(cls=Command)
def verify(where: Where = None, data: Data = None, *, json: Json = False) -> None:
    """Check every frame of the log: checksums, order, the file itself. Exit code 1 when something is damaged."""
    report = asyncio.run(verify_apart(folder(data or where)))
    if json:
        printing.json(report)
    else:
        printing.line(
            f"{report.frames} frames, {report.events} events, offsets {report.first} to {report.end}, "
            f"{size_text(report.bytes_checked)} read in {report.seconds:.1f} s"
        )
        if report.broken is not None:
            printing.complain(f"broken: {report.broken}")
        for problem in report.problems:
            printing.complain(f"offsets {problem.first} to {problem.last}: {problem.reason}")
        if report.is_whole:
            printing.line("whole")
    if not report.is_whole:
        raise typer.Exit(1)


async def _show(path: Path, *, follow: bool, since: str, limit: int | None, json: bool) -> None:
    if limit is None:
        limit = 0 if since else _NEWEST
    async with open_reader(path) as reader:
        end = reader.end
        if since:
            after = reader.seek(_since(since))
        elif limit:
            after = max(reader.first - 1, end - limit)
        else:
            after = reader.first - 1
        shown = 0
        async for found in _records(reader, after, end=None if follow else end):
            if isinstance(found, Gap):
                printing.complain(f"offsets {found.first} to {found.last} cannot be read: {found.reason}")
                continue
            _print(found, json=json)
            shown += 1
            if limit and shown == limit and not follow:
                return


def _since(text: str) -> float:
    try:
        return time.time() - seconds(text) if _BARE.fullmatch(text) else moment(text)
    except ValueError as problem:
        raise ConfigError(f"--since {text}: expected a duration such as 10m, or {problem}") from None


async def _records(reader: FollowedLog, after: int, *, end: int | None) -> AsyncIterator[Record | Gap]:
    """What stands after an offset, up to `end`; None: wait for more."""
    while end is None or after < end:
        try:
            page = await reader.read(after=Position(reader.log_id, after), limit=_PAGE)
        except Trimmed as problem:
            yield Gap(after + 1, problem.first - 1, "trimmed")
            after = problem.first - 1
            continue
        for found in _opened(page, after):
            yield found
        after = page.upto


def _opened(page: Page, after: int) -> list[Record | Gap]:
    found: list[Record | Gap] = [Gap(first, last, "damaged") for first, last in page.gaps]
    for stored in page.frames:
        try:
            events = open_frame(stored.frame)
        except Damaged as problem:
            found.append(Gap(stored.first, stored.last, str(problem)))
            continue
        origin = stored.frame.header.origin
        places = zip(events, stored.frame.origin_offsets(), stored.frame.accepted_times(), strict=True)
        found += [
            Record(offset, origin, origin_offset, accepted, event)
            for offset, (event, origin_offset, accepted) in enumerate(places, stored.first)
            if offset > after
        ]
    return found


def _print(record: Record, *, json: bool) -> None:
    if json:
        printing.json_line({**record._asdict(), "event": msgspec.Raw(encode(record.event))})
        return
    event = record.event
    data = (event.data or b"")[: _EXCERPT * 4].decode(errors="replace")
    printing.line(
        printing.printable(
            f"{record.offset:>8}  {printing.moment(record.accepted)}  {record.origin.partition('@')[0]}  "
            f"{event.type}  {event.source}  {event.id}  {event.subject or '-'}  {data[:_EXCERPT]}"
        )
    )
