"""Lens: the data of an event, parsed at most once however many rules look, and no more of it than they name.

Rules that are asked together share a lens. Each says which paths it reads, when
it is compiled; the lens then decodes only these (a third of the price of the
whole), and all of it where the document has another shape than they expect.
It remembers one event: ask all rules about one event before the next.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeAlias, TypedDict, Union

import msgspec

from gateway.codec.media import UTF_8, charset_of, is_json, is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.core.event import Event
    from gateway.rules.rule import Path

MOST = 500
"""Paths of a projection; with more the whole is decoded."""


class Absent:
    """What an event without readable data has; equal to nothing else, false."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = Absent()

Json: TypeAlias = "str | int | float | bool | None | list[Json] | dict[str, Json]"

_Scalar: TypeAlias = str | int | float | bool | None
PLAIN: Final = ("application/json", None)
"""Types of data that is nothing but JSON, as written nearly always."""
_whole = msgspec.json.Decoder(object).decode


def parse(data: bytes) -> object:
    """The JSON value, or ABSENT if it is none.

    Of members that stand twice the last counts; numbers beyond a double's
    range are infinite; text that is not UTF-8 is no JSON.
    """
    try:
        if not data.isascii():
            str(data, "utf-8")  # the decoder does not look at the bytes of what it skips
        return _whole(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    try:
        return json.loads(str(data, "utf-8"), parse_int=_integer, parse_constant=_refuse)  # for 1e400
    except (ValueError, RecursionError):
        return ABSENT


def _integer(text: str) -> float:
    try:
        return int(text)
    except ValueError:  # more digits than Python turns into a number
        return float(text)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def of_event(event: Event) -> object:
    """What `data` is in the event's JSON form: the value of JSON data, the string of text, ABSENT for anything else.

    Data of no declared type counts as JSON if it is JSON.
    """
    data, kind = event.data, event.datacontenttype
    if data is None:
        return ABSENT
    if kind is None or is_json(kind):
        return parse(data)
    if is_text(kind) and charset_of(kind) == UTF_8:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return ABSENT
    return ABSENT


class Lens:
    """A view of one event's data at a time."""

    def __init__(self) -> None:
        self._paths: set[Path] = set()
        self._is_whole = False
        self._projection: Callable[[bytes], object] | None = None
        self._stale = True
        self._last: tuple[Event | None, object] = (None, ABSENT)
        """A pair, so that whoever reads it from another thread sees both or neither."""

    def want(self, paths: Iterable[Path] | None) -> None:
        """A rule reads these paths; None, or an empty path: all of the data."""
        for path in ((),) if paths is None else paths:
            if not path:
                self._is_whole = True
            self._paths.add(path)
        self._stale = True
        self._last = (None, ABSENT)

    def look(self, event: Event) -> object:
        """The data, at least as far as it was wanted; as `of_event`, with members left out that nobody asked for."""
        last, found = self._last
        if last is event:
            return found
        if self._stale:
            self._build()
        data, project = event.data, self._projection
        if project is not None and data is not None and event.datacontenttype in PLAIN:
            try:
                if not data.isascii():
                    str(data, "utf-8")
                found = project(data)
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                found = parse(data)
        else:
            found = of_event(event)
        self._last = (event, found)
        return found

    def _build(self) -> None:
        self._stale = False
        self._last = (None, ABSENT)
        self._projection = None
        if not self._is_whole and 0 < len(self._paths) <= MOST:
            self._projection = msgspec.json.Decoder(_shape(self._paths)).decode


def holding(shape: type) -> type:
    """The type of a member that ought to be such an object: it may as well be a scalar, or an array of both."""
    if shape is object:
        return object
    return Union[shape, list[Union[shape, _Scalar]], _Scalar]  # type: ignore[return-value,valid-type]  # noqa: UP007


def _shape(paths: Iterable[Path]) -> type:
    """A TypedDict of the members that the paths name; where a path ends, whatever stands there.

    Of an object in which one of them is not ASCII it is all: msgspec does not
    find such a member, and takes one without a name for it.
    """
    members: dict[str, set[Path]] = {}
    for path in paths:
        members.setdefault(path[0], set()).add(path[1:])
    if not all(map(str.isascii, members)):
        return object
    kinds = {name: object if () in rest else holding(_shape(rest)) for name, rest in members.items()}
    return TypedDict("Shape", kinds, total=False)  # type: ignore[operator,no-any-return]  # made at run time
