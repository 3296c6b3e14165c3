"""`http` (sink): CloudEvents by POST, to a webhook.

One event a request in binary or structured mode; lanes give the concurrency,
connections are kept and shared. Batches are opt-in, because a receiver has to
know them (CloudEvents HTTP binding 1.0, section 3.3). The answer's status class
decides what becomes of the events: see `_verdict`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

import aiohttp
from pydantic import Field, SecretStr, field_validator

from connectors._parts import send_in_parts
from gateway.codec import http
from gateway.core import contracts
from gateway.core.clock import Clock, SystemClock
from gateway.core.contracts import Settings
from gateway.core.errors import Gone, Rejected, Unauthorized, Unavailable
from gateway.core.quantities import Duration  # noqa: TC001  (pydantic reads it)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from gateway.core.event import Outgoing

LONGEST_PAUSE = 3600.0
"""Seconds: a longer wish of the destination counts as this."""
_READ = 4096
_EXCERPT = 500
_KEPT = 4.0
"""Seconds an idle connection is kept: less than the shortest idle limit seen in servers (5 s), so that they do not
close it in the moment it is used again."""

_ABOUT_THE_PLACE = frozenset((402, 404, 405, 407, 408, 409, 421, 423, 424, 425, 426, 428, 429))
"""4xx that blame the address, the moment or the account, and not the event: it may work later."""
_OURS = frozenset(("content-type", "content-length", "transfer-encoding", "host", "idempotency-key"))


class SinkSettings(Settings):
    """A webhook."""

    url: str = Field(pattern=r"^https?://[^/\s]+")
    """Where to POST to; http or https."""
    mode: Literal["binary", "structured", "batch"] = "binary"
    """Attributes in headers, one JSON document an event, or a JSON array of events (the receiver must know it)."""
    batch: int = Field(default=100, ge=1, le=1000)
    """With `mode: batch`, the most events a request carries."""
    timeout: Duration = Field(default=30.0, gt=0, le=600)
    """From the start of a request to the end of its answer, connecting included."""
    headers: dict[str, SecretStr] = Field(default={})
    """Sent with every request, such as Authorization."""
    connections: int = Field(default=32, ge=1, le=1000)
    """The most connections at a time."""

    @field_validator("headers")
    @classmethod
    def _are_free(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if name.lower() in _OURS or name.lower().startswith("ce-"):
                raise ValueError(f"the header {name} is set by the gateway")
            if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"{name!r} is no header name")
            if any(character in "\r\n\0" for character in value.get_secret_value()):
                raise ValueError(f"the header {name} has a line break in its value")
        return headers


class Sink(contracts.Sink):
    """Returns once the destination answered 2xx.

    Never follows a redirect, keeps no cookies, trusts no proxy variable.
    """

    def __init__(self, settings: SinkSettings) -> None:
        self.max_batch = settings.batch if settings.mode == "batch" else 1
        self._settings = settings
        self._place = _without_secrets(settings.url)
        self._headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._clock: Clock = SystemClock()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._settings.connections, keepalive_timeout=_KEPT),
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "isthmus", "Accept": "*/*", "Accept-Encoding": "identity"},
            skip_auto_headers=("Content-Type",),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, events: Sequence[Outgoing]) -> None:
        """POST and judge the answer. A batch that is refused is halved until the refused events are found."""
        await send_in_parts(events, self._post)

    def _encoded(self, events: Sequence[Outgoing]) -> tuple[Mapping[str, str], bytes]:
        if self._settings.mode == "batch":
            return http.encode_batch(events)
        event = events[0]
        headers, body = http.encode_binary(event) if self._settings.mode == "binary" else http.encode_structured(event)
        return {**headers, "Idempotency-Key": event.idempotency_key}, body

    async def _post(self, events: Sequence[Outgoing]) -> None:
        headers, body = self._encoded(events)
        assert self._session is not None  # noqa: S101  (send is called inside `async with`)
        try:
            async with self._session.post(
                self._settings.url, data=body, headers={**self._headers, **headers}, allow_redirects=False
            ) as answer:
                if 200 <= answer.status < 300:  # noqa: PLR2004
                    await _drain(answer)
                    return
                problem = self._verdict(answer, await _excerpt(answer))
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            reason = str(failure) or type(failure).__name__
            raise Unavailable(f"POST {self._place}: {reason}") from failure
        raise problem

    def _verdict(self, answer: aiohttp.ClientResponse, excerpt: str) -> Unavailable | Rejected:
        """What an answer that is not 2xx means for the events."""
        status = answer.status
        said = f"POST {self._place}: {status} {answer.reason or ''}".rstrip() + (f": {excerpt}" if excerpt else "")
        if status in (401, 403):
            return Unauthorized(said)
        if status == 410:  # noqa: PLR2004
            return Gone(said)
        if 300 <= status < 400:  # noqa: PLR2004
            # The address is wrong, the events are not: they wait until somebody corrects it.
            to = _without_secrets(answer.headers.get("Location", "nowhere"))
            return Unavailable(f"POST {self._place}: {status} redirects to {to}, which is never followed: correct url")
        if status >= 500 or status in _ABOUT_THE_PLACE or status < 200:  # noqa: PLR2004
            return Unavailable(said, after=self._pause(answer.headers))
        return Rejected(said)

    def _pause(self, headers: Mapping[str, str]) -> float | None:
        """Seconds the destination asks for (Retry-After, RFC 9110, section 10.2.3); None if it does not."""
        wish = headers.get("Retry-After", "").strip()
        if wish.isascii() and wish.isdigit():
            return min(float(wish), LONGEST_PAUSE)
        moment = _seconds(wish)
        if moment is None:
            return None
        # Against its own clock where it tells it, so that ours may be wrong.
        now = _seconds(headers.get("Date", ""))
        return min(max(moment - (self._clock.now() if now is None else now), 0.0), LONGEST_PAUSE)


async def _drain(answer: aiohttp.ClientResponse) -> None:
    """Read a short body so that the connection can be used again; the events are delivered whatever comes of it."""
    if not answer.content.at_eof():
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with asyncio.timeout(1.0):
                await answer.content.read(_READ)


async def _excerpt(answer: aiohttp.ClientResponse) -> str:
    """The beginning of the answer's body, as far as it comes within a second."""
    body = bytearray()
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with asyncio.timeout(1.0):
            while len(body) < _READ and (piece := await answer.content.read(_READ - len(body))):
                body += piece
    text = " ".join(body.decode("utf-8", "replace").split())
    return "".join(character for character in text if character.isprintable())[:_EXCERPT]


def _seconds(date: str) -> float | None:
    """Seconds since 1970 of an HTTP date; None if it is none."""
    try:
        moment = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if math.isfinite(moment) else None


def _without_secrets(url: str) -> str:
    """The URL without user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else parts.path
