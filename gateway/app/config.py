"""The configuration: one YAML file into one frozen `Config`.

    file ─▶ yaml ─▶ references ─▶ connections ─▶ models (here) ─▶ checks ─▶ Config

Every step goes on after a mistake, so that one run names all of them, each with
file, line, path and what was expected. Durations are float seconds and sizes
int bytes in the models; both are written with units in the file.
"""

from __future__ import annotations

import os
from pathlib import Path  # noqa: TC003  pydantic reads the annotations
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, JsonValue, SecretStr, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from gateway.app import yaml
from gateway.app.checks import check
from gateway.app.connections import Connection, connect
from gateway.app.fields import WHOLE, Address, Attribute, Count, Name, Section, Start
from gateway.app.problems import explain
from gateway.app.references import References
from gateway.core.frame import MAX_EVENT
from gateway.core.quantities import Duration, Size  # noqa: TC001  the same

if TYPE_CHECKING:
    from collections.abc import Mapping

_DAY = 86400.0
_MIB, _GIB = 1 << 20, 1 << 30


class LogConfig(Section):
    """The durable log."""

    keep: Duration = Field(default=3 * _DAY, ge=0)
    """How long events stay for replay after everyone has them."""
    at_most: Size = Field(default=50 * _GIB, ge=8 * _MIB)
    """The most the log may take on disk."""
    full: Literal["refuse", "drop_oldest"] = "refuse"
    """At `at_most`: refuse new events (sources and clients wait), or drop the oldest (readers are told of the gap)."""
    forget: Duration = Field(default=7 * _DAY, gt=0)
    """A reading region that was away this long no longer holds events back."""
    tail: Size = Field(default=64 * _MIB, ge=_MIB)
    """Memory for the newest frames, from which readers that keep up are served."""


class Dedupe(Section):
    """Recent duplicates (same source and id) are dropped at ingest."""

    window: Duration = Field(default=600.0, ge=0, alias="for")
    """How long an event is remembered; 0s switches it off."""
    at_most: Count = Field(default=1_000_000, ge=0, le=100_000_000)
    """The most events remembered; a million take about 150 MB."""


class Limits(Section):
    """What clients may ask of the doors."""

    event: Size = Field(default=_MIB, ge=1024, le=MAX_EVENT)
    """The largest event, after decompression."""
    request: Size = Field(default=16 * _MIB, ge=1024, le=256 * _MIB)
    """The largest request: a batch of events."""
    connections: Count = Field(default=1000, ge=1, le=100_000)
    """The most open connections at a door."""
    header_timeout: Duration = Field(default=10.0, gt=0)
    """How long a client may take to send a request's headers."""
    body_timeout: Duration = Field(default=30.0, gt=0)
    """How long a client may take to send a request's body."""
    idle_timeout: Duration = Field(default=75.0, gt=0)
    """How long a connection may stay open without a request."""

    @model_validator(mode="after")
    def _request_holds_an_event(self) -> Limits:
        if self.request < self.event:
            raise PydanticCustomError("limits", "request is smaller than event, expected at least as much")
        return self


class Retry(Section):
    """Pauses between attempts: exponential with full jitter."""

    first: Duration = Field(default=0.2, gt=0)
    """The longest pause before the first repeat; doubles each time."""
    longest: Duration = Field(default=30.0, gt=0)
    """The longest pause before any repeat."""
    give_up: Duration = Field(default=_DAY, gt=0)
    """From the first attempt to a dead letter; this clock stands still while the whole destination is down."""


class Subscription(Section):
    """Which events go to a sink, and how."""

    from_: list[Name] = Field(default=[], alias="from")
    """The regions whose events it wants; default: this one."""
    filter: JsonValue = Field(default=None, title="filter")
    """Which of them, in the CloudEvents dialects. At most one of filter, match, cesql and cel; default: all."""
    match: JsonValue = Field(default=None, title="event pattern")
    """The same as an event pattern, over attributes and `data`."""
    cesql: str | None = None
    """The same as a CESQL expression, over attributes."""
    cel: str | None = None
    """The same as a CEL expression, over attributes and `data`; needs the extra `cel`."""
    change: list[JsonValue] = Field(default=[], title="steps")
    """What is made of them: steps, each one of set, remove, keep, rename, template and mask."""
    to: str
    """The sink's name."""
    order_by: Attribute | None = None
    """Events with the same value of this attribute are delivered in order, one batch at a time."""
    lanes: Count = Field(default=8, ge=1, le=1024)
    """How many sends may be under way at once."""
    batch: Annotated[int, Field(ge=1, le=10_000), WHOLE] | None = None
    """The most events in one send; default: as many as the sink takes."""
    retry: Retry = Retry()
    start: Start = Field(default="latest", title="latest, earliest or an RFC 3339 time")
    """Where a new subscription begins: latest, earliest, or a time."""
    poison: Literal["continue", "block"] = "continue"
    """After an event that can never be delivered is buried: go on with its key, or hold the key until resumed."""
    stamp: bool = True
    """Add the extension `isthorigin`, by which a region knows its own events when they come back."""
    paused: bool = False
    """Keep the position and deliver nothing."""
    was: Name | None = None
    """The name this subscription had before; it goes on from that one's position."""


class Federation(Section):
    """Other regions."""

    listen: Address | None = None
    """Where other regions read this region's log; default: they cannot."""
    peers: dict[Name, list[Address]] = Field(default={})
    """The other regions, and the addresses of their nodes."""


class Api(Section):
    """The doors clients come in by; one that is not named is closed."""

    http: Address | None = None
    """Publishing by HTTP; also metrics and health."""
    grpc: Address | None = None
    """Publishing by gRPC, the fast way."""


class Logging(Section):
    """What the node writes about itself, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    """auto: for people on a terminal, JSON lines otherwise."""


class Config(Section):
    """One node of a region."""

    region: Name
    """The region this node belongs to."""
    node: Name | None = None
    """This node's name in its region; default: one made once and kept in the data directory."""
    data: Path
    """The directory of the log, positions and dead letters; relative to this file."""
    insecure: bool = False
    """Allow addresses that other machines can reach although nobody is authenticated."""
    log: LogConfig = LogConfig()
    dedupe: Dedupe = Dedupe()
    limits: Limits = Limits()
    sources: dict[Name, Connection] = Field(default={})
    """Where events come from: your name → connector → its settings."""
    sinks: dict[Name, Connection] = Field(default={})
    """Where events go: your name → connector → its settings."""
    subscriptions: dict[Name, Subscription] = Field(default={})
    keys: dict[Name, dict[str, SecretStr]] = Field(default={})
    """Secrets that masks hash with: your name → version → secret; the first version is the current one."""
    federation: Federation = Federation()
    api: Api = Api()
    logging: Logging = Logging()


def load(path: Path, *, environment: Mapping[str, str] | None = None, files: Mapping[str, str] | None = None) -> Config:
    """Read and check a config file; `from:` and `data:` come back filled in.

    References are resolved from `environment` instead of the process's own,
    and from `files` (path as written → text) before the disk is looked at.

    :raises ConfigError: with everything that is wrong in `.problems`.
    """
    document = yaml.read(path)
    references = References(os.environ if environment is None else environment, path.absolute().parent, files)
    references.resolve(document)
    if not isinstance(document.value, dict):
        document.complain((), "expected a mapping that begins with region: and data:")
        raise document.error(references.redact)
    connections = {section: connect(document, section) for section in ("sources", "sinks")}
    check(document)
    try:
        config = Config.model_validate(document.value | connections, context={"written": True})
    except ValidationError as problem:
        explain(document, Config, problem)
        config = None
    if config is None or document.problems:
        raise document.error(references.redact)
    return _filled(config, path.absolute().parent)


def _filled(config: Config, folder: Path) -> Config:
    subscriptions = {
        name: subscription if subscription.from_ else subscription.model_copy(update={"from_": [config.region]})
        for name, subscription in config.subscriptions.items()
    }
    return config.model_copy(update={"subscriptions": subscriptions, "data": folder / config.data})
