"""How the node's log lines look: for people on a terminal, JSON lines otherwise.

Everywhere else `logging.getLogger(__name__)` is all there is; structlog only
formats. Values in `extra` become fields of the line.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Literal, TextIO, TypeAlias

import msgspec
import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
Style: TypeAlias = Literal["auto", "console", "json"]

_EXTRA = structlog.stdlib.ExtraAdder()
_QUIET = ("aiobotocore", "aiohttp.access", "asyncio", "botocore", "grpc", "urllib3")
"""Libraries whose own chatter below WARNING is of no use to an operator."""


def set_up(
    *,
    level: Level = "info",
    style: Style = "auto",
    stream: TextIO | None = None,
) -> None:
    """Send every log line of this process to the stream (standard error), in place of what was set up before."""
    stream = stream or sys.stderr
    if style == "auto":
        style = "console" if stream.isatty() else "json"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(style, colors=stream.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _formatter(style: Literal["console", "json"], *, colors: bool) -> structlog.stdlib.ProcessorFormatter:
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _add_extra,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor]
    if style == "json":
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]
    else:
        # never structlog's own tracebacks: they print local variables, which hold payloads and secrets
        last = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )


def _add_extra(logger: logging.Logger, method: str, line: EventDict) -> EventDict:
    """Values of `extra` become fields; the message stays `event` also when one of them has that name."""
    message = line["event"]
    line = _EXTRA(logger, method, line)
    line["event"] = message
    return line


def _json(line: dict[str, object], **_: object) -> str:
    return msgspec.json.encode(line, enc_hook=str).decode()
