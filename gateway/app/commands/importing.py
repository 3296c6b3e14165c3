"""`isthmus import`: filters of other systems, as subscriptions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from gateway.app import foreign_eventbridge, foreign_eventmesh, foreign_sns, printing
from gateway.app.commands.usage import Command
from gateway.app.commands.where import Json  # noqa: TC001  typer reads the annotations
from gateway.app.fields import label
from gateway.app.foreign import label_of, with_name
from gateway.app.foreign_fragment import NO_SINK, fragment
from gateway.app.foreign_reading import MAX_BYTES, parse
from gateway.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.app.foreign import Imported

app = typer.Typer(help="Turn filters of other systems into subscriptions.", no_args_is_help=True)

File = Annotated[str, typer.Argument(metavar="FILE", help="JSON; - is standard input.", show_default=False)]
Named = Annotated[str, typer.Option("--name", help="The subscription's name; default: from FILE.", show_default=False)]
To = Annotated[str, typer.Option("--to", help="The sink it goes to.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="A new file, instead of standard output.", show_default=False)
]
Pattern = Annotated[bool, typer.Option("--pattern", help="Print only the event pattern, as JSON; null is everything.")]


@app.command("eventmesh-filter", cls=Command)
def eventmesh_filter(
    file: File,
    *,
    name: Named = "",
    to: To = NO_SINK,
    output: Output = None,
    pattern: Pattern = False,
    json: Json = False,
) -> None:
    """Import a filter pattern of Apache EventMesh, or the conditions of a group."""
    _import(file, foreign_eventmesh.import_filters, name).write(to, output, pattern=pattern, json=json)


@app.command("sns-filter-policy", cls=Command)
def sns_filter_policy(
    file: File,
    *,
    scope: Annotated[
        Literal["attributes", "body"] | None,
        typer.Option(help="What the policy looks at; default: as FILE says, else attributes.", show_default=False),
    ] = None,
    attributes: Annotated[
        Literal["sqs", "envelope", "extensions", "data"],
        typer.Option(
            help="Where message attributes are in the events: sqs, extensions sqsmsg… of the source aws.sqs with raw "
            "delivery; envelope, SNS's envelope in data; extensions of their names; data, members of it."
        ),
    ] = "sqs",
    array: Annotated[
        list[str] | None, typer.Option(help="A message attribute of the type String.Array.", show_default=False)
    ] = None,
    name: Named = "",
    to: To = NO_SINK,
    output: Output = None,
    pattern: Pattern = False,
    json: Json = False,
) -> None:
    """Import a filter policy of Amazon SNS, or of what `aws sns get-subscription-attributes` prints."""

    def convert(document: object, called: str) -> list[Imported]:
        return foreign_sns.import_policies(document, called, scope=scope, landing=attributes, arrays=array or ())

    _import(file, convert, name).write(to, output, pattern=pattern, json=json)


@app.command("eventbridge-rule", cls=Command)
def eventbridge_rule(
    file: File,
    *,
    envelope: Annotated[
        Literal["attributes", "data"],
        typer.Option(help="Where EventBridge's envelope is in the events: their attributes, or all of it in data."),
    ] = "attributes",
    extension: Annotated[
        list[str] | None,
        typer.Option(help="account=NAME or region=NAME: the extension that has it.", show_default=False),
    ] = None,
    name: Named = "",
    to: To = NO_SINK,
    output: Output = None,
    pattern: Pattern = False,
    json: Json = False,
) -> None:
    """Import an event pattern of Amazon EventBridge, or what `aws events describe-rule` and `list-rules` print."""
    extensions = foreign_eventbridge.extensions_of(extension or ())

    def convert(document: object, called: str) -> list[Imported]:
        whole = envelope == "data"
        return foreign_eventbridge.import_rules(document, called, extensions=extensions, whole=whole)

    _import(file, convert, name).write(to, output, pattern=pattern, json=json)


class _Imports:
    """What came out of one file."""

    def __init__(self, imports: Sequence[Imported]) -> None:
        self._imports = imports

    def write(self, to: str, output: Path | None, *, pattern: bool, json: bool) -> None:
        """Print it, or write it to a new file; what there is to say goes to standard error, or into the JSON."""
        if pattern and json:
            raise ConfigError("--pattern and --json: expected one of them")
        if to != NO_SINK:
            _label(to, "--to")
        text = self._text(to, pattern=pattern, json=json)
        if output is None:
            printing.line(text)
        else:
            _write_new(output, text + "\n")
        if not json:
            self._say()

    def _text(self, to: str, *, pattern: bool, json: bool) -> str:
        if pattern:
            return "\n".join(msgspec.json.encode(one.pattern).decode() for one in self._imports)
        if json:
            keys = ("name", "pattern", "notes", "warnings")
            rows = [{key: getattr(one, key) for key in keys} for one in self._imports]
            whole = msgspec.json.encode(rows[0] if len(rows) == 1 else rows)
            return msgspec.json.format(whole, indent=2).decode()
        return fragment(self._imports, to).rstrip("\n")

    def _say(self) -> None:
        for one in self._imports:
            prefix = f"{one.name}: " if len(self._imports) > 1 else ""
            for kind, texts in (("note", one.notes), ("warning", one.warnings)):
                for text in texts:
                    printing.complain(printing.printable(f"{kind}: {prefix}{text}"))


def _import(file: str, convert: Callable[[object, str], list[Imported]], name: str) -> _Imports:
    """Read a file and convert what is in it.

    :raises ConfigError: all that is wrong, each with the file and its place in there.
    """
    if name:
        _label(name, "--name")
    try:
        made = convert(parse(_read(file)), label_of("" if file == "-" else Path(file).stem))
    except ConfigError as problem:
        raise ConfigError(*(printing.printable(f"{file}: {one}") for one in problem.problems)) from None
    if name and len(made) > 1:
        raise ConfigError(f"--name {name}: {file} has {len(made)} filters, expected one; their own names are used")
    return _Imports([with_name(one, name) for one in made])


def _read(file: str) -> bytes:
    """One byte more than is taken, at most.

    :raises ConfigError: it cannot be read.
    """
    try:
        if file == "-":
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with Path(file).open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        raise ConfigError(f"cannot be read: {reason}") from problem


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path}: is there already, expected the name of a new file") from None
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be written: {problem.strerror}") from problem


def _label(name: str, option: str) -> None:
    try:
        label(name)
    except ValueError as problem:
        raise ConfigError(f"{option} {name}: {problem}") from None
