"""Links: the links that are wanted against those that run.

Wanted is every configured peer of a region somebody here subscribed to. Each
address has a session of its own: connect, say Hello, follow every log of that
region it serves, exchange beats. What goes wrong ends the session; after a
short pause with jitter there is a new one, on a new connection.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import msgspec

from federation.link import Appender, Link, decode_position
from federation.peer import Peer, single
from gateway.core import telemetry
from gateway.core.clock import Clock, SystemClock
from gateway.core.errors import Damaged, IsthmusError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from federation.interest import Interests
    from gateway.core.records import Store

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 3.0
"""Seconds between two sessions, at most; a Hello into a dead line gives up after 4 s more."""
_is_log_id = re.compile(r"[a-z0-9-]{1,63}/[a-z0-9-]{1,63}@[0-9A-Za-z-]{1,64}").fullmatch

HEALTHY = 10.0
"""A session that lasted this long begins its pauses anew."""


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """How one link is, for the admin API."""

    region: str
    address: str
    log_id: str | None
    """None: the peer was never reached, so its log is not known."""
    state: str
    """connecting, following, waiting (after an error); closed: its node came back with a new log."""
    position: int | None
    lag_events: int | None
    """How far behind the origin's end; None: not known, as while the link is down."""
    lag_seconds: float | None
    """Age of the newest event we have, by the origin's clock; 0 when nothing is behind; None: not known."""
    events: int
    bytes: int
    problem: str | None = None

    def describe(self) -> dict[str, str | int | float | None]:
        """As plain values."""
        return asdict(self)


class _Session:
    """One address, over all its connections."""

    def __init__(self, region: str, address: str) -> None:
        self.region, self.address = region, address
        self.state = "connecting"
        self.problem: str | None = None
        self.peer: Peer | None = None
        self.links: dict[str, Link] = {}


class Links:
    """All links of one node. `run` it."""

    def __init__(
        self,
        peers: Mapping[str, Sequence[str]],
        *,
        region: str,
        node: str,
        append: Appender,
        store: Store,
        interests: Interests,
        mesh: str = "",
        clock: Clock | None = None,
    ) -> None:
        self._peers = peers
        self._region, self._node, self._mesh = region, node, mesh
        self._append, self._store, self._interests = append, store, interests
        self._clock = clock or SystemClock()
        self._sessions: dict[tuple[str, str], _Session] = {}
        self._followed: dict[str, _Session] = {}

    async def run(self) -> None:
        """Keep every wanted link running, until cancelled."""
        running: dict[tuple[str, str], asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                wanted = self._wanted()
                for place in running.keys() - wanted:
                    running.pop(place).cancel()
                    self._sessions.pop(place, None)
                for place in sorted(wanted - running.keys()):
                    session = self._sessions[place] = _Session(*place)
                    running[place] = tasks.create_task(self._keep(session, tasks), name=f"link {place[0]} {place[1]}")
                await self._interests.changed()

    def _wanted(self) -> set[tuple[str, str]]:
        regions = self._interests.regions - {self._region}
        return {(region, address) for region in regions for address in self._peers.get(region, ())}

    def status(self) -> list[LinkStatus]:
        """Every wanted link, reached or not; then the logs that were followed and are closed."""
        wanted = [status for session in self._sessions.values() for status in _statuses(session)]
        return wanted + [
            LinkStatus(log_id.partition("/")[0], "", log_id, "closed", position.offset, None, None, events=0, bytes=0)
            for name, value in sorted(self._store.positions("link/").items())
            if (position := decode_position(value)).closed and (log_id := name.removeprefix("link/"))
        ]

    async def _keep(self, session: _Session, tasks: asyncio.TaskGroup) -> None:
        """One session after the other, each a task of its own.

        Before Python 3.13 a TaskGroup that is cancelled while a part of it
        fails raises only the failure: a loop around it would not learn that it
        must end.
        """
        attempt = 0
        while True:
            started = self._clock.monotonic()
            trying = tasks.create_task(self._try(session), name=f"session {session.address}")
            try:
                await asyncio.wait([trying])
            except asyncio.CancelledError:
                trying.cancel()
                await asyncio.wait([trying])
                raise
            attempt = 1 if self._clock.monotonic() - started > HEALTHY else attempt + 1
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 16))
            await self._clock.sleep(random.uniform(longest / 4, longest))  # noqa: S311  jitter

    async def _try(self, session: _Session) -> None:
        try:
            await self._follow(session)
        except IsthmusError as problem:
            self._note(session, problem)
        except ExceptionGroup as problems:
            cause = single(problems)
            if cause is problems:
                raise
            self._note(session, cause)

    def _note(self, session: _Session, problem: Exception) -> None:
        reason = f"{type(problem).__name__}: {problem}"
        if session.state != "waiting" or type(problem).__name__ != (session.problem or "").partition(":")[0]:
            level = logging.ERROR if isinstance(problem, Damaged) else logging.WARNING
            extra = {"region": session.region, "address": session.address, "reason": reason}
            log.log(level, "link down", extra=extra)
        session.state, session.problem = "waiting", reason

    async def _follow(self, session: _Session) -> None:
        peer = Peer(session.address, region=self._region, node=self._node, mesh=self._mesh, clock=self._clock)
        async with peer:
            hello = await peer.hello()
            if hello.region != session.region:
                raise Unavailable(f"{session.address} is of region {hello.region!r}, not {session.region!r}")
            served = [state.log_id for state in hello.logs if _is_of(session.region, state.log_id)]
            log.info("link up", extra={"region": session.region, "address": session.address, "logs": served})
            session.state, session.problem, session.peer = "following", None, peer
            session.links = {log_id: link for log_id, link in session.links.items() if log_id in served}
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(peer.pulse(), name=f"pulse {session.address}")
                for log_id in served:
                    tasks.create_task(self._follow_log(session, peer, log_id, served), name=f"follow {log_id}")

    async def _follow_log(self, session: _Session, peer: Peer, log_id: str, served: Sequence[str]) -> None:
        held = self._followed.get(log_id)
        if held is not None and held.address == session.address:
            raise Unavailable(f"{log_id}: the session before is still ending")
        if held is not None:
            return  # another address serves it too
        self._followed[log_id] = session
        try:
            has_older = await self._close_older(log_id, served)
            if log_id not in session.links:
                session.links[log_id] = Link(
                    log_id,
                    append=self._append,
                    store=self._store,
                    interests=self._interests,
                    clock=self._clock,
                    from_beginning=has_older,
                )
            await session.links[log_id].run(peer)
        finally:
            del self._followed[log_id]
        raise Unavailable(f"{log_id}: to be taken up again")

    async def _close_older(self, log_id: str, served: Sequence[str]) -> bool:
        """Close the positions of logs this node had before it lost its disk; True if there are any."""
        node = log_id.rpartition("@")[0]
        older = False
        for name, value in self._store.positions(f"link/{node}@").items():
            if name.removeprefix("link/") in served:
                continue
            older = True
            position = decode_position(value)
            if position.closed:
                continue
            closed = msgspec.msgpack.encode(msgspec.structs.replace(position, closed=True))
            await self._store.write((), positions={name: (value, closed)})
            telemetry.link_new_logs.labels(log_id.partition("/")[0]).inc()
            log.error(
                "a node of another region came back with a new log; the old one is closed",
                extra={"closed": name.removeprefix("link/"), "at": position.offset, "log_id": log_id},
            )
        return older


def _is_of(region: str, log_id: str) -> bool:
    """Whether this names a log of that region: what does not could not be followed, since a link is named by it."""
    return log_id.startswith(f"{region}/") and _is_log_id(log_id) is not None


def _statuses(session: _Session) -> list[LinkStatus]:
    if not session.links:
        nothing = LinkStatus(
            session.region, session.address, None, session.state, None, None, None, 0, 0, session.problem
        )
        return [nothing]
    return [_status(session, link) for link in session.links.values()]


def _status(session: _Session, link: Link) -> LinkStatus:
    at = link.position.offset if link.position else None
    end = session.peer.ends.get(link.log_id) if session.peer and session.state == "following" else None
    behind = None if end is None or at is None else max(0, end - at)
    seconds: float | None = None
    if behind is not None and session.peer is not None and link.position is not None:
        seconds = max(0.0, session.peer.time - link.position.accepted) if behind else 0.0
    return LinkStatus(
        session.region,
        session.address,
        link.log_id,
        session.state,
        at,
        behind,
        seconds,
        link.events,
        link.bytes,
        link.problem or session.problem,
    )
