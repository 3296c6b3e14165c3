"""One HTTP connection: its requests are answered in order, one after the other.

    data_received ─▶ Requests ─▶ the door's `handle` ─▶ write
                                        └─ later ─▶ answered ─▶ write

There is no task for it: bytes that come in and answers that are ready carry it
on. Deadlines are set here and looked at by the door, once a tick for all
connections: a timer of its own for every request would cost more than parsing it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from gateway.api.answers import ACCEPTED, FAILED, Answer, problem, render
from gateway.api.http1 import BadRequest, Request, Requests

if TYPE_CHECKING:
    from gateway.api.limits import Limits

log = logging.getLogger(__name__)

_READ_AHEAD = 64 * 1024
"""Bytes of later requests that are taken in while one is handled."""
_LINGER = 2.0
"""Seconds in which a client may read the last answer while we throw away what it still sends."""
_RATE = 64 * 1024
"""Bytes of a body that buy one more second."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Host(Protocol):
    """The door, as its connections see it."""

    limits: Limits
    now: float
    """Monotonic seconds, as of the last tick."""
    date: str
    """The wall clock as an HTTP date, as of the last tick."""
    accepted: bytes
    """The rendered 202 of this tick."""
    held: int
    """Bytes that all connections of this door hold."""
    is_stopping: bool

    def handle(self, request: Request, connection: Connection) -> Answer | None:
        """Answer one request; None: `connection.answered` will be called, in time."""
        ...

    def admit(self, connection: Connection) -> bool:
        """Count a new connection in; False when there are too many."""
        ...

    def leave(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        ...

    def count(self, status: int) -> None:
        """Count an answer."""
        ...


class Connection(asyncio.Protocol):
    """What the transport and the door call."""

    def __init__(self, host: Host) -> None:
        self.deadline = host.now + host.limits.idle_timeout
        """Monotonic seconds after which `expire` is due."""
        self._host = host
        self._limits = host.limits
        self._requests = Requests(host.limits)
        self._transport: asyncio.Transport
        self._request: Request | None = None
        """The one that is answered just now."""
        self._stage = "idle"
        self._began = host.now
        self._received = 0
        self._held = 0
        self._is_paused = False
        self._is_choked = False
        self._is_over = False
        """Nothing more comes, or nothing more is wanted."""
        self._is_ended = False
        """The peer has sent its last byte."""

    # what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or say that the house is full."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's are not asyncio.Transport by class
        if not self._host.admit(self):
            self._say(problem(503, "too many connections", headers=(("Retry-After", "1"),)), keep=False)
            self._finish()

    def data_received(self, data: bytes) -> None:
        """Take bytes in, and go on with them unless a request waits for its answer."""
        if self._is_over:
            return
        self._requests.feed(data)
        self._received += len(data)
        if self._request is None and not self._is_choked:
            self._advance()
        elif self._requests.held > _READ_AHEAD and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The peer sends no more but may still read: finish what is complete, then close."""
        self._is_ended = True
        if self._is_over:
            return False
        if self._request is None:
            self._advance()
        return not self._is_over

    def connection_lost(self, _: Exception | None) -> None:
        """The connection is gone; what is under way is finished, its answer goes nowhere."""
        self._is_over = self._is_ended = True
        self._is_choked = False
        if self._request is None:
            self._hold(0)
        self._host.leave(self)

    def pause_writing(self) -> None:
        """The peer does not read its answers."""
        self._is_choked = True

    def resume_writing(self) -> None:
        """It does again."""
        self._is_choked = False
        if self._request is None and not self._is_over:
            self.deadline = self._host.now + self._limits.idle_timeout
            self._advance()

    # what the door calls

    def answered(self, answer: Answer) -> None:
        """Give the answer that the request under way had to wait for, and go on with the next."""
        self._give(answer)
        if self._requests.held or self._is_ended or self._is_paused:
            self._advance()

    def stop(self) -> None:
        """Close now if idle, else after the request under way."""
        if self._stage == "idle" and not self._requests.held:
            self._finish()

    def abort(self) -> None:
        """Cut it off."""
        self._is_over = True
        self._transport.abort()

    def expire(self) -> None:
        """The deadline has passed: say so where somebody listens, and close."""
        if not self._is_over and self._stage in {"head", "body"}:
            self._say(problem(408, f"the {self._stage} of the request did not come in time"), keep=False)
            self._linger()
        else:
            self.abort()

    # request after request

    def _advance(self) -> None:
        """Hand over the requests that are complete, up to the first whose answer comes later."""
        try:
            while not (self._is_over or self._is_choked):
                request = self._requests.next()
                if request is None:
                    self._more()
                    return
                self._begin(request)
                answer = self._host.handle(request, self)
                if answer is None:
                    return
                self._give(answer)
        except BadRequest as bad:
            later = (("Retry-After", "1"),) if bad.status == HTTPStatus.SERVICE_UNAVAILABLE else ()
            self._say(problem(bad.status, bad.detail, headers=later), keep=False)
            self._linger()
        except Exception:  # our bug, met by one request, must not stop the node: the third place that catches all
            log.exception("request failed")
            self._request = None
            if not self._is_over:
                self._say(FAILED, keep=False)
                self._linger()

    def _more(self) -> None:
        """Let more bytes come, under the deadline of the stage the request is in."""
        if self._is_ended:
            self._finish()
            return
        requests = self._requests
        if requests.wants_continue:
            requests.wants_continue = False
            self._transport.write(_CONTINUE)
        self._enter(requests.stage)
        if self._stage == "body":
            self.deadline = self._began + self._limits.body_timeout + self._received / _RATE
            self._hold(requests.held)
            if self._host.held > self._limits.held:
                raise BadRequest(503, "the door holds too many unfinished requests, try again")
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def _begin(self, request: Request) -> None:
        """The door sees to it that the answer comes in time."""
        self._request = request
        self._stage = "answer"
        self.deadline = math.inf
        size = len(request.body)
        if size > _READ_AHEAD:
            self._hold(size)

    def _give(self, answer: Answer) -> None:
        request, self._request = self._request, None
        if self._held:
            self._hold(0)
        if self._is_over or request is None:
            return
        keep = request.keep and answer.keep and not self._host.is_stopping
        if answer is ACCEPTED and keep:
            self._transport.write(self._host.accepted)
            self._host.count(202)
        else:
            self._say(answer, keep=keep, with_body=request.method != "HEAD")
        if keep:
            self._stage = "idle"
            limits, now = self._limits, self._host.now
            self.deadline = now + (limits.answer_timeout if self._is_choked else limits.idle_timeout)
        elif self._requests.held:
            self._linger()
        else:
            self._finish()

    def _enter(self, stage: str) -> None:
        """Note where the request is, and until when it may be there."""
        if stage == self._stage:
            return
        limits = self._limits
        self._stage = stage
        self._began = self._host.now
        self._received = 0
        if stage == "idle":
            self.deadline = self._began + limits.idle_timeout
        else:
            self.deadline = self._began + (limits.header_timeout if stage == "head" else limits.body_timeout)

    def _hold(self, size: int) -> None:
        self._host.held += size - self._held
        self._held = size

    def _say(self, answer: Answer, *, keep: bool, with_body: bool = True) -> None:
        self._transport.write(render(answer, keep=keep, date=self._host.date, with_body=with_body))
        self._host.count(answer.status)

    def _linger(self) -> None:
        """Close, but let the peer read the answer first: closing on unread bytes would reset the connection."""
        self._is_over = True
        self._hold(0)
        self._stage = "linger"
        self.deadline = self._host.now + _LINGER
        if self._is_ended or not self._transport.can_write_eof():
            self._finish()
            return
        try:
            self._transport.write_eof()
        except OSError:  # the peer is gone, and the loop has not told us yet
            self.abort()
            return
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def _finish(self) -> None:
        """Close; who does not read the last answer is cut off."""
        self._is_over = True
        self._hold(0)
        self.deadline = self._host.now + self._limits.answer_timeout
        self._transport.close()
