"""Draft: an event while steps change it, and the event that comes of it.

The data is read when a step first looks into it, and written once at the end,
however many steps there are. Data of no declared type counts as JSON if it is
JSON; a step that puts JSON in declares it, so that `datacontenttype` stays true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw, ValidationError, structs

from gateway.codec.media import UTF_8, charset_of, is_json, is_text
from gateway.codec.payload import JSON, MALFORMED, why
from gateway.codec.validate import CORE, MAX_EXTENSIONS, size_of, validate
from gateway.core.errors import InvalidEvent, Rejected
from gateway.core.event import Event, canonical
from gateway.rules.looking import look
from gateway.rules.members import Budget, NotJson, encode, parse, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.event import ExtensionValue
    from gateway.rules.looking import Projection
    from gateway.rules.members import Node
    from gateway.rules.places import Part

MAX_RESULT = 3 * 1024 * 1024
"""Bytes of data and attributes of a changed event."""

_FEW = 16
"""With so few extensions the attributes are surely less than half of `MAX_RESULT`."""
_SHORT = 1024
_SHAPED = frozenset(("source", "time", "datacontenttype", "dataschema"))
_PROBE = Event(id="1", source="/", type="probe")


class Draft:
    """One event on its way through the steps. What fails leaves it in no state to use."""

    __slots__ = (
        "_event", "_extensions", "_fields", "_is_changed", "_is_open", "_project", "_seen", "_top", "budget", "held",
    )  # fmt: skip

    def __init__(self, event: Event, project: Projection) -> None:
        """Begin with the event; `project` decodes what templates read."""
        self._event = event
        self._project = project
        self._fields: dict[str, object] = {}
        self._extensions: dict[str, ExtensionValue] | None = None
        self._top: dict[str, Node] = {}
        self._seen: Node | None = None
        self._is_open = False
        self._is_changed = False
        self.budget = Budget()
        self.held: list[Callable[[], None]] = []
        """What a step has read, ready to be put in its place."""

    def attribute(self, name: str) -> ExtensionValue | None:
        """An attribute's or extension's value; None: it is not there."""
        if name in CORE:
            if name == "specversion":
                return "1.0"
            value = self._fields[name] if name in self._fields else getattr(self._event, name)
            return value if value is None or isinstance(value, str) else None
        return self.extensions.get(name)

    @property
    def extensions(self) -> dict[str, ExtensionValue]:
        """All extensions; never mutate."""
        return self._event.extensions if self._extensions is None else self._extensions

    def put_attribute(self, name: str, value: ExtensionValue) -> None:
        """Set an attribute or extension.

        :raises Rejected: CloudEvents does not allow that value, or the data is not of that type.
        """
        check_attribute(name, value)
        if name not in CORE:
            if self._extensions is None:
                self._extensions = dict(self._event.extensions)
            self._extensions[name] = value
            if len(self._extensions) > MAX_EXTENSIONS:
                raise Rejected(f"more than {MAX_EXTENSIONS} extensions")
            return
        self._fields[name] = value
        if name == "datacontenttype":
            self._settle_data()
            if is_json(str(value)):
                self.find(())

    def drop_attribute(self, name: str) -> None:
        """Take an attribute or extension away, if it is there."""
        if name in CORE:
            if self.attribute(name) is not None:
                self._fields[name] = None
                if name == "datacontenttype":
                    self._settle_data()
        elif name in self.extensions:
            self.keep_extensions(self.extensions.keys() - {name})

    def keep_extensions(self, names: set[str]) -> None:
        """Drop the extensions of other names."""
        kept = {name: value for name, value in self.extensions.items() if name in names}
        if len(kept) < len(self.extensions):
            self._extensions = kept

    def top(self) -> dict[str, Node]:
        """The data as `{"data": ...}`, to be changed in place (then call `touch`); `{}`: there is none.

        :raises NotJson: it is not JSON, or not declared as such.
        :raises Rejected: a name stands twice in it.
        """
        if not self._is_open:
            if data := self._json():
                self._top["data"] = parse(data)
            self._is_open = True
        return self._top

    def find(self, parts: tuple[Part, ...]) -> Node | None:
        """What stands there in the data; None: nothing, or the data has another shape. Never change it.

        :raises NotJson: it is not JSON, or not declared as such.
        """
        if self._is_open:
            node = self._top.get("data")
        elif (node := self._seen) is None and (data := self._json()):
            node = self._seen = self._decoded(data)
        return None if node is None else look(node, parts, self.budget)

    def _decoded(self, data: bytes) -> Node:
        """As much of the data as the steps read, or all of it if it has another shape than they expect."""
        try:
            if not data.isascii():
                str(data, "utf-8")  # the decoder does not look at the bytes of what it skips
            try:
                return self._project(data)
            except ValidationError:
                return whole(data)
        except MALFORMED as problem:
            raise NotJson(f"the data is not JSON: {why(problem)}") from None

    def _json(self) -> bytes | None:
        """The data as it came; None or empty, and it holds nothing, whatever it is said to be."""
        kind = self._event.datacontenttype
        if kind == JSON or kind is None or is_json(kind) or not self._event.data:
            return self._event.data
        raise NotJson(f"the data is not JSON, but {kind!a:.80}")

    def text(self) -> str:
        """Data that is declared as text, and not as JSON.

        :raises NotJson: it is not declared as text in UTF-8, or is none.
        """
        data, kind = self._event.data or b"", self._event.datacontenttype
        if kind is not None and not is_json(kind) and is_text(kind) and charset_of(kind) == UTF_8:
            try:
                return data.decode()
            except UnicodeDecodeError:
                pass
        raise NotJson("the data is neither JSON nor text in UTF-8")

    def touch(self) -> None:
        """Say that the data was changed."""
        self._is_changed = True

    def declare_json(self) -> None:
        """Say that JSON was put into the data."""
        self._is_changed = True
        kind = self._fields.get("datacontenttype", self._event.datacontenttype)
        if kind != JSON and not (isinstance(kind, str) and is_json(kind)):
            self._fields["datacontenttype"] = JSON

    def replace_data(self, node: Node | None) -> None:
        """Put other data in the place of all there is, whatever it was; None: no data."""
        self._top = {} if node is None else {"data": node}
        self._is_open = True
        if node is None:
            self._is_changed = True
        else:
            self.declare_json()

    def event(self) -> Event:
        """The event as it is now; the same object if nothing changed."""
        fields = self._fields
        if self._is_changed:
            fields["data"] = encode(self._top["data"]) if self._top else None
        if self._extensions is not None:
            fields["extensions"] = dict(self._extensions)
        return structs.replace(self._event, **fields) if fields else self._event

    def _settle_data(self) -> None:
        """Begin anew with what was made so far, since the type of the data is another now."""
        self._event, self._fields = self.event(), {}
        self._top, self._seen, self._is_open, self._is_changed = {}, None, False, False


def check_attribute(name: str, value: ExtensionValue) -> None:
    """Pass if CloudEvents allows the value.

    :raises Rejected: it does not; the message has the reason and not the value.
    """
    if isinstance(value, str) and name not in _SHAPED and 0 < len(value) <= _SHORT and _is_simple(value):
        return
    try:
        validate(structs.replace(_PROBE, **({name: value} if name in CORE else {"extensions": {name: value}})))
    except InvalidEvent as problem:
        reason = problem.reason.partition(": ")[2]
        if reason[:1] in "'\"":  # the value, which may be anybody's data
            reason = f"the value{reason[reason.rindex(' is not ') :]}"
        raise Rejected(reason) from None


def check_size(event: Event) -> None:
    """Pass if the event is not larger than `MAX_RESULT`.

    :raises Rejected: it is.
    """
    data, most = event.data, MAX_RESULT // 2
    if ((data is not None and len(data) > most) or len(event.extensions) > _FEW) and size_of(event) > MAX_RESULT:
        raise Rejected(f"the event would have {size_of(event)} bytes, the limit is {MAX_RESULT}")


def as_json(value: ExtensionValue) -> Raw:
    """An attribute's value as JSON: integers and booleans as such, anything else as its canonical string."""
    return Raw(encode(value if isinstance(value, str | int) else canonical(value)))


def _is_simple(text: str) -> bool:
    """Whether it is printable ASCII, and so surely a CloudEvents String."""
    return text.isascii() and text.isprintable()
