"""Templates: values that a step makes out of an event.

    "{data.total}"            alone: the JSON value that stands there, with its type
    "order {data.id} of {source}"   in a text: strings as they are, anything else as its JSON text
    "{data.name|unknown}"     where nothing (or null) is: the default, read as JSON if it is JSON
    "{data.items[*].sku}"     an array of all that is there
    "{{" "}}"                 braces

The law: what is inserted is JSON, never text pasted into JSON, and is not looked
at again. Names of members are no templates.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import Raw

from gateway.codec.payload import MALFORMED
from gateway.codec.validate import CORE
from gateway.core.errors import Rejected
from gateway.rules.change_reading import shown
from gateway.rules.draft import as_json, check_attribute
from gateway.rules.members import NotJson, encode, is_null, is_string, raw_of, size_of, text_of
from gateway.rules.places import Unreadable, is_unicode, scan_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.event import ExtensionValue
    from gateway.rules.change_reading import Reading
    from gateway.rules.draft import Draft
    from gateway.rules.members import Node
    from gateway.rules.places import Place

MAX_TEMPLATE = 16 * 1024
"""Characters of one template."""
MAX_VALUE_DEPTH = 32
"""Lists and mappings inside each other in one value."""

Value: TypeAlias = "Callable[[Draft], Node]"
"""Makes a value for the data; raises Rejected if it cannot."""
AttributeValue: TypeAlias = "Callable[[Draft], ExtensionValue]"
"""Makes a value for an attribute; raises Rejected if it cannot."""

_LITERAL = re.compile(r"(?:[^{}]|\{\{|\}\})++").match
_DEFAULT = re.compile(r'\|("(?:[^"\\]|\\.)*+"|[^{}]*+)\}', re.DOTALL).match
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,9})", re.ASCII).fullmatch
_raw = msgspec.json.Decoder(Raw).decode
_BITS = 32
_UNQUOTED = frozenset("-0123456789tfn{[")
"""With these begins all JSON that is no string."""


@dataclass(frozen=True, slots=True)
class Hole:
    """A place in a template, where something of the event is inserted."""

    place: Place
    default: Raw | None = None
    """None: the place must be there."""

    def read(self, draft: Draft) -> Raw:
        """The JSON of what stands there, or of the default.

        :raises Rejected: nothing does, and there is no default.
        """
        place = self.place
        node = self._find(draft) if place.is_data else _of_attribute(draft, place.root)
        if node is None or (self.default is not None and is_null(node)):
            if self.default is None:
                raise Rejected(f"{place} is not there")
            node = self.default
        raw = raw_of(node)
        draft.budget.insert(size_of(raw))
        return raw

    def _find(self, draft: Draft) -> Node | None:
        try:
            return draft.find(self.place.parts)
        except NotJson:
            try:
                if not self.place.parts:
                    return Raw(encode(draft.text()))
            except NotJson:
                pass
            if self.default is None:
                raise
            return None


def _of_attribute(draft: Draft, name: str) -> Raw | None:
    value = draft.attribute(name)
    return None if value is None else as_json(value)


Template: TypeAlias = tuple[str | Hole, ...]


def read_template(text: str) -> Template:
    """Read a template.

    :raises Unreadable: it is none, or longer than `MAX_TEMPLATE`.
    """
    if len(text) > MAX_TEMPLATE and ("{" in text or "}" in text):
        raise Unreadable(f"a template of {len(text)} characters, expected at most {MAX_TEMPLATE}")
    parts: list[str | Hole] = []
    at = 0
    while at < len(text):
        if literal := _LITERAL(text, at):
            parts.append(literal[0].replace("{{", "{").replace("}}", "}"))
            at = literal.end()
        elif text[at] == "}":
            raise Unreadable(f"{text[at : at + 20]!a}: a brace that closes nothing, expected }}}} for a brace as such")
        else:
            hole, at = _read_hole(text, at)
            parts.append(hole)
    return tuple(parts)


def _read_hole(text: str, start: int) -> tuple[Hole, int]:
    """The hole that begins with the brace there, and where it ends."""
    try:
        place, end = scan_place(text, start + 1)
    except Unreadable as problem:
        raise Unreadable(f"{problem} (a brace as such is written {{{{)") from None
    if text.startswith("}", end):
        return Hole(place), end + 1
    if default := _DEFAULT(text, end):
        return Hole(place, _read_default(default[1])), default.end()
    raise Unreadable(
        f"{text[start : start + 60]!a}: expected }} or |default}} after {str(place)!a:.40} (a brace as such is {{{{)"
    )


def _read_default(text: str) -> Raw:
    """JSON if it is JSON, else a string."""
    try:
        text.encode()
        return Raw(bytes(_raw(text)))
    except MALFORMED:
        return Raw(encode(text))


def read_value(content: object, path: str, reading: Reading) -> Value | None:
    """Read a value for the data: any JSON, in which strings are templates. None, and problems, if it is none."""
    made = _read(content, path, reading, MAX_VALUE_DEPTH)
    if isinstance(made, Raw):
        return lambda _: made
    return made


def _read(content: object, path: str, reading: Reading, depth: int) -> Raw | Value | None:
    """What is the same for every event as JSON text, anything else as a function."""
    made: Raw | Value | None = None
    if reading.is_full or not reading.spend(2, path):
        return None
    if isinstance(content, dict | list) and depth <= 0:
        reading.wrong(path, f"more than {MAX_VALUE_DEPTH} lists and mappings inside each other")
    elif isinstance(content, str):
        made = _read_text(content, path, reading)
    elif isinstance(content, dict):
        made = _read_object(content, path, reading, depth - 1)
    elif isinstance(content, list):
        made = _read_array(content, path, reading, depth - 1)
    elif content is None or isinstance(content, int) or (isinstance(content, float) and math.isfinite(content)):
        made = _constant(content)
    else:
        reading.wrong(path, f"{shown(content)}, expected a value that JSON has")
    return made


def _constant(content: object) -> Raw:
    return Raw(json.dumps(content, ensure_ascii=False).encode())


def _read_text(content: str, path: str, reading: Reading) -> Raw | Value | None:
    template = _template(content, path, reading)
    if template is None:
        return None
    match template:
        case (Hole() as hole,):
            return hole.read
        case () | (str(),):
            return _constant("".join(map(str, template)))
    return lambda draft: Raw(encode(_filled(template, draft)))


def _read_object(content: dict[object, object], path: str, reading: Reading, depth: int) -> Raw | Value | None:
    members: dict[str, Raw | Value] = {}
    for name, inner in content.items():
        if not isinstance(name, str) or not is_unicode(name):
            reading.wrong(path, f"{shown(name)} is not a name of a member, expected a string")
            continue
        reading.spend(len(name), path)
        if (made := _read(inner, f"{path}.{name:.40}", reading, depth)) is not None:
            members[name] = made
    if len(members) < len(content):
        return None
    if all(isinstance(made, Raw) for made in members.values()):
        return Raw(encode(members))
    return lambda draft: {name: made if isinstance(made, Raw) else made(draft) for name, made in members.items()}


def _read_array(content: list[object], path: str, reading: Reading, depth: int) -> Raw | Value | None:
    read = [_read(inner, f"{path}[{index}]", reading, depth) for index, inner in enumerate(content)]
    elements = [made for made in read if made is not None]
    if len(elements) < len(content):
        return None
    if all(isinstance(made, Raw) for made in elements):
        return Raw(encode(elements))
    return lambda draft: [made if isinstance(made, Raw) else made(draft) for made in elements]


def read_attribute(content: object, name: str, path: str, reading: Reading) -> AttributeValue | None:
    """Read a value for an attribute or extension: a template, a number or a boolean. None, and problems, if it is none.

    Of 32 bits an integer, and a boolean, stay such in an extension; all else becomes a string.
    """
    if isinstance(content, bool | int | float) and math.isfinite(content):
        content = content if isinstance(content, bool | int) and name not in CORE else json.dumps(content)
    if isinstance(content, str):
        template = _template(content, path, reading)
        if template is None:
            return None
        match template:
            case (Hole() as hole,):
                return lambda draft: attribute_of(hole.read(draft), name, hole.place)
            case () | (str(),):
                content = "".join(map(str, template))
            case _:
                return lambda draft: _filled(template, draft)
    if not isinstance(content, str | bool | int):
        reading.wrong(path, f"{shown(content)}, expected a string, a number or a boolean")
        return None
    constant = content
    try:
        check_attribute(name, constant)
    except Rejected as problem:
        reading.wrong(path, f"{shown(content)}, expected a value for {name}: {problem}")
        return None
    return lambda _: constant


def _template(content: str, path: str, reading: Reading) -> Template | None:
    if not is_unicode(content):
        reading.wrong(path, "a half of a surrogate pair, expected characters")
        return None
    if not reading.spend(len(content), path):
        return None
    try:
        template = read_template(content)
    except Unreadable as problem:
        reading.wrong(path, problem)
        return None
    for part in template:
        if isinstance(part, Hole) and part.place.is_data:
            reading.reads.add(part.place.parts)
    return template


def attribute_of(raw: Raw, name: str, place: Place) -> ExtensionValue:
    """What the JSON that stood at the place is as the value of that attribute or extension.

    :raises Rejected: it is null.
    """
    text = text_of(raw)
    if text[:1] not in _UNQUOTED or is_string(raw):
        return text
    if is_null(raw):
        raise Rejected(f"{place} is null")
    if name not in CORE:
        if text in ("true", "false"):
            return text == "true"
        if _INTEGER(text) and text != "-0" and -(2 ** (_BITS - 1)) <= int(text) < 2 ** (_BITS - 1):
            return int(text)
    return text


def _filled(template: Template, draft: Draft) -> str:
    return "".join([part if isinstance(part, str) else text_of(part.read(draft)) for part in template])
