"""The command `isthmus`: verbs, thin over the config, the log and the admin API.

Exit codes: 0 it is done; 1 it is not, or something is wrong (damage, refused
events); 2 the config or the command line is wrong; 3 no node answers.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from gateway.app import printing
from gateway.app.commands import (
    connectors,
    dead_letters,
    demonstrate,
    explaining,
    importing,
    linting,
    log_files,
    matching,
    publishing,
    subscriptions,
    testing,
)
from gateway.app.commands.usage import Command
from gateway.app.commands.where import Json, Where, folder
from gateway.app.config import load
from gateway.app.process import serve
from gateway.app.rules import as_written
from gateway.app.running import NotRunning, ask
from gateway.app.schema import json_schema
from gateway.core.errors import ConfigError, IsthmusError

if TYPE_CHECKING:
    from collections.abc import Iterator

_WRONG, _MISCONFIGURED, _NOT_THERE, _INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    name="isthmus",
    help="A federation gateway for CloudEvents: takes events in from any bus, keeps them durable, bridges regions.",
    epilog="Exit codes: 0 done; 1 failed, or something is wrong; 2 config or command line wrong; 3 no node answers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The config file.", show_default=False)]


def _print_version(asked: bool) -> None:  # noqa: FBT001  typer's signature
    if asked:
        printing.line(f"isthmus {version('isthmus')}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(cls=Command)
def run(config: ConfigFile) -> None:
    """Run a node until SIGTERM or Ctrl-C; it then drains for up to 10 s. A second signal ends it at once."""
    from gateway.app.node import Node  # noqa: PLC0415  gRPC and aiohttp, which no other command waits for

    serve(load(config), Node)


@app.command(cls=Command)
def check(config: ConfigFile, *, json: Json = False) -> None:
    """Check a config file: print what it says, or everything that is wrong with it (exit code 2)."""
    found = load(config)
    if json:
        printing.json(as_written(config, found.model_dump(mode="json", by_alias=True, exclude_none=True)))
        return
    summary = {
        "region": found.region,
        "data": str(found.data),
        "doors": ", ".join(f"{door} {address}" for door, address in found.api if address) or "none",
        "peers": ", ".join(found.federation.peers) or "none",
        "sources": ", ".join(f"{name} ({one.connector})" for name, one in found.sources.items()) or "none",
        "sinks": ", ".join(f"{name} ({one.connector})" for name, one in found.sinks.items()) or "none",
        "subscriptions": ", ".join(
            f"{name} ({'+'.join(one.from_)} → {one.to})" for name, one in found.subscriptions.items()
        )
        or "none",
    }
    printing.line(f"{config} is right")
    printing.table(["what", "value"], summary.items())


def schema() -> None:
    """Print the JSON Schema of the config file, for editors."""
    printing.json(json_schema())


@app.command(cls=Command)
def status(where: Where = None, *, json: Json = False) -> None:
    """Show how a running node is: log, subscriptions, sinks, links, loops."""
    found = ask(folder(where), "GET", "/status")
    if json:
        printing.json(found)
    else:
        printing.tree(found)


app.command(cls=Command)(publishing.send)
app.command(cls=Command)(matching.match)
app.command(cls=Command)(explaining.explain)
app.command(cls=Command)(linting.lint)
app.command("test", cls=Command)(testing.run_tests)
app.add_typer(log_files.app, name="log")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(subscriptions.app, name="subscriptions")
app.add_typer(importing.app, name="import")
app.command(cls=Command)(connectors.connectors)
app.command(cls=Command)(schema)
app.command(cls=Command)(demonstrate.demo)


def main() -> None:
    """Run the command line; what fails on purpose ends with a message and an exit code, not with a traceback."""
    try:
        app()
    except ConfigError as problem:
        _leave(_MISCONFIGURED, *problem.problems)
    except KeyboardInterrupt:
        _leave(_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (IsthmusError, OSError) as problem:
        _leave(_code(problem), f"isthmus: {_reason(problem)}")
    except BaseExceptionGroup as group:
        problems = list(_flat(group))
        if not all(isinstance(problem, IsthmusError | OSError) for problem in problems):
            raise
        _leave(max(_code(problem) for problem in problems), *(f"isthmus: {_reason(problem)}" for problem in problems))


def _leave(code: int, *lines: str) -> NoReturn:
    for text in lines:
        printing.complain(text)
    raise SystemExit(code)


def _code(problem: BaseException) -> int:
    if isinstance(problem, ConfigError):
        return _MISCONFIGURED
    return _NOT_THERE if isinstance(problem, NotRunning) else _WRONG


def _reason(problem: BaseException) -> str:
    return str(problem) or type(problem).__name__


def _flat(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for problem in group.exceptions:
        if isinstance(problem, BaseExceptionGroup):
            yield from _flat(problem)
        else:
            yield problem


if __name__ == "__main__":
    main()
