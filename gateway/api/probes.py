"""What monitoring asks for by HTTP: `/metrics`, `/livez`, `/readyz?verbose`.

Alive means that the loop answers. Ready means that nothing critical is wrong:
a sink that is away is named, but must not take the node out of service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.api.answers import Answer
from gateway.core import telemetry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gateway.api.http1 import Request

process = CollectorRegistry()
"""Memory, CPU time, open files and garbage collections of this process."""
ProcessCollector(registry=process)
PlatformCollector(registry=process)
GCCollector(registry=process)


class Check(NamedTuple):
    """One thing that may be wrong."""

    name: str
    problem: str | None
    """None: it is well."""
    is_critical: bool = True
    """Whether the node cannot serve while it is wrong."""


class Checked(Protocol):
    """Somebody who knows how the node is."""

    def checks(self) -> Sequence[Check]:
        """Everything that was looked at."""
        ...


def metrics() -> Answer:
    """All metrics in the text format of Prometheus."""
    body = generate_latest(telemetry.registry) + generate_latest(process)
    return Answer(200, body, CONTENT_TYPE_LATEST)


def live() -> Answer:
    """The loop answers, or nobody would."""
    return Answer(200, b"ok\n")


def ready(node: Checked, query: str = "") -> Answer:
    """200 while nothing critical is wrong, 503 otherwise; with `verbose` every check on a line."""
    checks = node.checks()
    failed = [check for check in checks if check.problem is not None and check.is_critical]
    status = 503 if failed else 200
    if "verbose" in parse_qs(query, keep_blank_values=True):
        lines = [_line(check) for check in checks]
    else:
        lines = [_line(check) for check in failed]
    return Answer(status, "\n".join([*lines, "not ready" if failed else "ok", ""]).encode())


def routes(node: Checked) -> dict[str, Callable[[Request], Awaitable[Answer]]]:
    """The three for the HTTP door."""

    async def answer_metrics(_: Request) -> Answer:
        return metrics()

    async def answer_live(_: Request) -> Answer:
        return live()

    async def answer_ready(request: Request) -> Answer:
        return ready(node, request.query)

    return {"GET /metrics": answer_metrics, "GET /livez": answer_live, "GET /readyz": answer_ready}


def _line(check: Check) -> str:
    if check.problem is None:
        return f"[+] {check.name} ok"
    return f"[{'-' if check.is_critical else '!'}] {check.name}: {check.problem}"
