"""The quick way through the JSON format, for envelopes as nearly all senders write them.

A struct with the core attributes and the extension names seen so far reads an
envelope in one go. Written again it has as many bytes as what came, or else
something was not read: a member that stood twice, or an escape. Then, and
whenever anything is unusual, the answer is None and `gateway/codec/json.py`
looks closer. Nothing is refused here.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from gateway.codec.payload import JSON, MALFORMED, of_base64, of_data
from gateway.core.errors import InvalidEvent
from gateway.core.event import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KNOWN_NAMES = 32
"""Extension names that are learnt, in all; each costs every event a little."""

_WHITESPACE = b" \t\r\n"
_CORE = ("specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema")

_Text: TypeAlias = str | UnsetType | None
_Core: TypeAlias = tuple[str, str, str, str, _Text, _Text, _Text, _Text, Raw | UnsetType, _Text]
_encode = msgspec.json.Encoder().encode
_core: Callable[[msgspec.Struct], _Core] = attrgetter(*_CORE, "data", "data_base64")


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
        text, value = str | UnsetType | None, str | int | bool | UnsetType | None
        envelope = msgspec.defstruct(
            "Envelope",
            [
                *((name, str) for name in _CORE[:4]),
                *((name, text, UNSET) for name in _CORE[4:]),
                ("data", Raw | UnsetType, UNSET),
                ("data_base64", text, UNSET),
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
        version, event_id, source, kind, subject, time, content_type, schema, data, encoded = _core(envelope)
        if version != "1.0" or (data is not UNSET and encoded is not UNSET):
            return None
        extensions = {}
        for field, name in self._fields.items():
            if (value := getattr(envelope, field)) is not UNSET and value is not None:
                extensions[name] = value
        said = None if content_type is UNSET else content_type
        payload = None
        try:
            if data is not UNSET:
                said = JSON if said is None else said
                payload = bytes(data) if said == JSON else of_data(data, said)
            elif encoded is not UNSET and encoded is not None:
                payload = of_base64(encoded)
        except InvalidEvent:
            return None
        return Event(
            event_id,
            source,
            kind,
            None if subject is UNSET else subject,
            None if time is UNSET else time,
            said,
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
