"""The quick way through the JSON format, for envelopes as nearly all senders write them.

A struct with the core attributes and the extension names seen so far reads an
envelope in one go. Written again it has as many bytes as what came, or else
something was not read: a member that stood twice, an escape, a null. Then, and
whenever anything is unusual, the answer is None and `gateway/codec/json.py`
looks closer. Nothing is refused here.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from gateway.codec.media import is_json
from gateway.codec.payload import JSON, MALFORMED
from gateway.core.event import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KNOWN_NAMES = 32
"""Extension names that are learnt, in all; each costs every event a little."""

_WHITESPACE = b" \t\r\n"
_CORE = ("specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema")

_Core: TypeAlias = tuple[
    str | UnsetType, str, str, str, str | UnsetType, str | UnsetType, str | UnsetType, str | UnsetType, Raw | UnsetType
]
_encode = msgspec.json.Encoder().encode
_core: Callable[[msgspec.Struct], _Core] = attrgetter(*_CORE, "data")


class Envelopes:
    """Reads envelopes whose extensions have names that were learnt."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}
        """Field of the struct → extension name."""
        self._build()

    def learn(self, names: Iterable[str]) -> None:
        """Read these names from now on; there is room for `KNOWN_NAMES`. They must be valid."""
        known = self._fields.values()
        new = [name for name in names if name not in known][: KNOWN_NAMES - len(known)]
        if new:
            self._fields |= {f"x{number}": name for number, name in enumerate(new, len(known))}
            self._build()

    def _build(self) -> None:
        text, value = str | UnsetType, str | int | bool | UnsetType
        envelope = msgspec.defstruct(
            "Envelope",
            [
                *((name, str) for name in _CORE[:4]),
                *((name, text, UNSET) for name in _CORE[4:]),
                ("data", Raw | UnsetType, UNSET),
                *((field, value, UNSET) for field in self._fields),
            ],
            rename=self._fields,
            forbid_unknown_fields=True,
            omit_defaults=True,
            gc=False,
        )
        self._one = msgspec.json.Decoder(envelope).decode
        self._many = msgspec.json.Decoder(list[envelope]).decode  # type: ignore[valid-type] # made above

    def read(self, body: bytes) -> Event | None:
        """The event in this envelope, unvalidated; None: look closer."""
        try:
            envelope = self._one(body)
        except MALFORMED:
            return None
        return self._event(envelope) if _is_all(body, envelope) else None

    def read_batch(self, body: bytes) -> list[Event] | None:
        """The events in this batch, unvalidated; None: look closer."""
        try:
            batch = self._many(body)
        except MALFORMED:
            return None
        if not _is_all(body, batch):
            return None
        events = [event for envelope in batch if (event := self._event(envelope)) is not None]
        return events if len(events) == len(batch) else None

    def _event(self, envelope: msgspec.Struct) -> Event | None:
        version, event_id, source, kind, subject, time, content_type, schema, data = _core(envelope)
        if version != "1.0":
            return None
        extensions = {}
        for field, name in self._fields.items():
            if (value := getattr(envelope, field)) is not UNSET:
                extensions[name] = value
        if data is UNSET:
            payload = None
        else:
            if content_type is UNSET:
                content_type = JSON
            elif content_type != JSON and not is_json(content_type):
                return None
            payload = bytes(data)
        return Event(
            event_id,
            source,
            kind,
            None if subject is UNSET else subject,
            None if time is UNSET else time,
            None if content_type is UNSET else content_type,
            None if schema is UNSET else schema,
            payload,
            extensions,
        )


def _is_all(body: bytes, read: object) -> bool:
    """Whether everything in `body` but whitespace was read, and it is UTF-8 throughout."""
    again = _encode(read)
    if not body.isascii():
        try:
            str(body, "utf-8")  # what is skipped over is not checked otherwise
        except UnicodeDecodeError:
            return False
    # written again, nothing is ever longer than it was
    return len(again) == len(body) or len(again.translate(None, _WHITESPACE)) == len(body.translate(None, _WHITESPACE))
