"""`isthmus match`: a grep for events."""

from __future__ import annotations

import sys
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from gateway.app import documents, printing
from gateway.codec.payload import MALFORMED, why
from gateway.core.errors import ConfigError, InvalidEvent

if TYPE_CHECKING:
    from collections.abc import Callable

Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE", help="Files of events, - for standard input; default: -.", show_default=False),
]


def match(
    files: Files = None,
    *,
    pattern: Annotated[
        str, typer.Option(help="An event pattern in JSON, asked about the documents as they are.", show_default=False)
    ] = "",
    cesql: Annotated[str, typer.Option(help="A CESQL expression, asked about CloudEvents.", show_default=False)] = "",
    filter_: Annotated[
        str, typer.Option("--filter", help="A filter in the CloudEvents dialects, in JSON.", show_default=False)
    ] = "",
    cel: Annotated[str, typer.Option(help="A CEL expression (extra `cel`).", show_default=False)] = "",
    count: Annotated[bool, typer.Option("--count", "-c", help="Print how many, not which.")] = False,
    invert: Annotated[bool, typer.Option("--invert", "-v", help="Those that do not match.")] = False,
    cases: Annotated[
        Path | None,
        typer.Option(
            help="A file of JSON lines, each a filter and an event, - for standard input; prints an answer for each. "
            "See the guide about filters.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print the events that match, one a line, as they came: JSON lines, batches or documents.

    What is asked may also be @FILE. Exit code 1 when nothing matches, or something is not an event.
    """
    asked = [(name, text) for name, text in
             (("pattern", pattern), ("cesql", cesql), ("filter", filter_), ("cel", cel)) if text]  # fmt: skip
    if (cases is not None) == bool(asked) or len(asked) > 1 or (cases is not None and files):
        raise ConfigError("what to match? Expected one of --pattern, --cesql, --filter and --cel, or --cases alone")
    if cases is not None:
        _answer(cases)
        return
    ((language, text),) = asked
    passes = _asking(language, _given(text, f"--{language}"))
    expected = "" if language == "pattern" else "not a CloudEvent: "
    found, wrong = 0, 0
    for document in documents.read(files or []):
        try:
            passed = passes(document) is not invert
        except InvalidEvent as problem:
            printing.complain(printing.printable(f"{document.place}: {expected}{problem}"))
            wrong += 1
            continue
        found += passed
        if passed and not count:
            sys.stdout.buffer.write(documents.one_line(document.raw) + b"\n")
            sys.stdout.buffer.flush()
    if count:
        printing.line(str(found))
    if wrong or not found:
        raise typer.Exit(1)


def _given(text: str, option: str) -> str:
    """The text, or that of the file it names."""
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise ConfigError(f"{option}: {text[1:]} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError as problem:
        raise ConfigError(f"{option}: {text[1:]} is not UTF-8 at byte {problem.start}") from None


def _asking(language: str, text: str) -> Callable[[documents.Document], bool]:
    from gateway.app.rules import compile_by  # noqa: PLC0415  the languages, which most commands do not need
    from gateway.rules.pattern import document_pattern, parse_document, parse_pattern  # noqa: PLC0415  the same

    here = f"--{language}"
    if language == "pattern":
        matches = document_pattern(_json(text, here, parse_pattern), here)
        return lambda document: matches(parse_document(document.raw))
    spec = _json(text, here, msgspec.json.decode) if language == "filter" else text
    rule = compile_by(language, spec, here)
    return lambda document: rule.matches(document.event())


def _json(text: str, here: str, parse: Callable[[str], object]) -> object:
    try:
        return parse(text)
    except ConfigError as problem:
        raise ConfigError(f"{here}: {problem}") from None
    except MALFORMED as problem:
        raise ConfigError(f"{here}: not a JSON text: {why(problem)}") from None


def _answer(file: Path) -> None:
    from gateway.app.cases import answers  # noqa: PLC0415  as above

    try:
        is_given = str(file) != "-"
        with FileIO(str(file) if is_given else sys.stdin.fileno(), closefd=is_given) as lines:
            for answered in answers(lines):
                sys.stdout.buffer.write(answered)
                sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # whoever reads the answers has enough
    except OSError as problem:
        raise ConfigError(f"{file}: cannot be read: {problem.strerror}") from None
