"""What commands print: tables on a terminal, tab-separated lines otherwise, JSON when asked."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.app.running import Json


def line(text: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def json(value: object) -> None:
    """A value as JSON, indented."""
    line(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def json_line(value: object) -> None:
    """A value as one line of JSON."""
    line(msgspec.json.encode(value).decode())


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Rows under column names."""
    texts = [[printable(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in (columns, *texts):
            line("\t".join(row))
        return
    found = Table(*columns, title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for row in texts:
        found.add_row(*(cell.replace("[", r"\[") for cell in row))
    Console().print(found)


def tree(value: Json) -> None:
    """Any JSON object for people: its plain values first, then a table for each list or mapping of objects."""
    if not isinstance(value, dict):
        json(value)
        return
    nested = {key: rows for key, inner in value.items() if (rows := _rows(inner)) is not None}
    table(["what", "value"], [(key, _flat(inner)) for key, inner in value.items() if key not in nested])
    for key, rows in nested.items():
        if rows:
            line("")
            columns = list(dict.fromkeys(column for row in rows for column in row))
            table(columns, [[_flat(row.get(column)) for column in columns] for row in rows], title=key)


def printable(value: object) -> str:
    """The value as text that cannot steer a terminal: one line, control characters escaped."""
    text = "" if value is None else str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def moment(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rows(value: Json) -> list[dict[str, Json]] | None:
    """A list of objects, or a mapping of names to objects, as rows; None: it is something else."""
    if isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values()):
        return [{"name": name, **inner} for name, inner in value.items() if isinstance(inner, dict)]
    if isinstance(value, list) and value and all(isinstance(inner, dict) for inner in value):
        return [inner for inner in value if isinstance(inner, dict)]
    return None


def _flat(value: Json) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_flat(inner) for inner in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(inner)}" for key, inner in value.items())
    return "" if value is None else str(value)
