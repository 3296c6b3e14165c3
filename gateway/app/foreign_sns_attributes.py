"""Policies of SNS over message attributes: the fields and values they have once the message is an event.

    sqs         raw delivery into a queue that `aws.sqs` reads: extension sqsmsg<name>, always text;
                ce-<name> and content-type are the event's own attributes
    envelope    delivery that is not raw: data.MessageAttributes.<name>.Value, always text
    extensions  publishers that send CloudEvents: extension <name>; text, a whole number or a boolean
    data        publishers that put them into the payload: data.<name>, as JSON has it

Where values are text, numbers are compared as text (a warning says so) and
cannot be compared by size, which is refused. The elements of a String.Array,
which arrive as the text of a JSON array, are found by wildcards.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from connectors._envelope import extension_name
from gateway.app.foreign import inner, number_text
from gateway.codec.validate import CORE, RESERVED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from gateway.app.foreign import Findings

Landing: TypeAlias = Literal["sqs", "envelope", "extensions", "data"]

_PREFIX: Final = "sqsmsg"
_BINARY = re.compile(r"(?:ce[-_]|cloudEvents[:_])([a-z0-9]+)").fullmatch
_OF_THE_QUEUE = ("SenderId", "AWSTraceHeader", "MessageDeduplicationId")
_TAKEN = frozenset([extension_name(name, _PREFIX, ()) for name in _OF_THE_QUEUE])
"""Extensions that `aws.sqs` makes of the queue's own attributes."""
_NO_NAME = re.compile(r"[^a-z0-9]+")
_IN_JSON = re.compile(r"[ !#-)+-\[\]-~]*").fullmatch
"""Text that writers of JSON write as it is, and that means itself in a wildcard."""
_BETWEEN = (" ", ",", "[", "]")
"""What stands between the strings of a JSON array."""


class Attributes:
    """Translates one policy."""

    def __init__(self, findings: Findings, landing: Landing, arrays: Collection[str]) -> None:
        self._findings = findings
        self._landing = landing
        self._arrays = frozenset(arrays)
        self._is_text = landing in ("sqs", "envelope")
        self._names: dict[str, str] = {}
        """Field → the attribute that became it."""

    def read(self, policy: Mapping[str, object], place: str) -> dict[str, object]:
        """The policy over events."""
        pattern = self._read(policy, place)
        names = set(self._names.values())
        if self._is_text and names - self._arrays:
            what = "a String.Array arrives as text, its elements are not looked into; name such attributes by --array"
            self._findings.note(place, what)
        for name in sorted(self._arrays - names):
            self._findings.wrong(place, f"--array {name}: the policy has no such attribute")
        if self._landing == "sqs":
            what = "the messages are taken to be no CloudEvents in JSON, of which aws.sqs keeps no message attributes"
            self._findings.note(place, what)
        binary = sorted(name for name in names if _BINARY(name))
        if self._landing == "sqs" and binary and len(binary) < len(names):
            what = f"a message with {binary[0]} is an event in binary mode, which keeps no attributes of other names"
            self._findings.warn(place, what)
        if self._landing == "envelope":
            return {"data": {"MessageAttributes": pattern}}
        return {"data": pattern} if self._landing == "data" else pattern

    def _read(self, policy: Mapping[str, object], place: str) -> dict[str, object]:
        fields: dict[str, object] = {}
        for name, content in policy.items():
            here = inner(place, name)
            if not isinstance(content, list):
                self._findings.wrong(here, "a message attribute has no members, expected a list of values")
            elif name == "$or":
                parts = enumerate(content)
                fields[name] = [self._read(part, f"{here}[{index}]") for index, part in parts]
            else:
                field, values = self._field(name, here), self._values(name, content, here)
                fields[field] = {"Value": values} if self._landing == "envelope" else values
        return fields

    def _field(self, name: str, here: str) -> str:
        """The member that the attribute becomes."""
        if self._landing == "sqs":
            field = self._of_queue(name, here)
        else:
            field = self._of_publisher(name, here) if self._landing == "extensions" else name
        if self._names.setdefault(field, name) != name:
            what = f"becomes {field}, as {self._names[field]} does; in an event nobody can tell them apart"
            self._findings.wrong(here, what)
        return field

    def _of_queue(self, name: str, here: str) -> str:
        binary = _BINARY(name)
        if binary or name.lower() == "content-type":
            field = binary[1] if binary else "datacontenttype"
            self._findings.note(here, f"is read as the event's own {field}")
            return field
        field = extension_name(name, _PREFIX, ())
        if field in _TAKEN:
            what = f"becomes {field} or {field}2, since the queue has an attribute of that name; nobody can say which"
            self._findings.wrong(here, what)
        elif field == _PREFIX:
            self._findings.wrong(here, "has neither letters nor digits, of which the name of an extension is made")
        elif field != _PREFIX + name:
            what = f"is the extension {field}, as is every attribute with the same letters and digits"
            self._findings.warn(here, what)
        return field

    def _of_publisher(self, name: str, here: str) -> str:
        field = _NO_NAME.sub("", name.lower())
        if not field or field in RESERVED - CORE or field == "specversion":
            self._findings.wrong(here, "cannot be the name of an extension, expected another with a-z and 0-9 in it")
        elif field in CORE:
            self._findings.warn(here, f"is taken to be the event's own attribute {field}")
        elif field != name:
            self._findings.warn(here, f"is the extension {field} here: the name of one has only a-z and 0-9")
        return field

    def _values(self, name: str, content: list[object], here: str) -> list[object]:
        read: Callable[[object, str], object] = self._native
        if name in self._arrays and self._landing != "data":
            read = self._of_array
        elif self._is_text:
            read = self._of_text
        values = []
        for index, value in enumerate(content):
            place = f"{here}[{index}]"
            values.append(read(_unescaped(value, self._findings, place), place))
        return values

    def _native(self, value: object, here: str) -> object:
        """Where values keep their types."""
        if self._landing == "extensions":
            if value is None:
                self._findings.wrong(here, "an extension is never null")
            elif isinstance(value, float) and value != int(value):
                self._findings.wrong(here, "an extension is never a fraction; say --attributes data")
            elif isinstance(value, int | float) or _is_about_numbers(value):
                self._findings.note(here, "holds for extensions of the type Integer or Boolean, not for text")
        return value

    def _of_text(self, value: object, here: str) -> object:
        """Where every value is text."""
        match value:
            case bool() | None:
                what = "holds only for elements of a String.Array, which is text here; say --attributes data"
                self._findings.wrong(here, what)
            case int() | float():
                return self._number(value, here)
            case {"numeric": ["=", int() | float() as number]}:
                return self._number(number, here)
            case {"numeric": _}:
                what = "a message attribute is text in an event, and text is not compared by size"
                self._findings.wrong(here, f"{what}; say --attributes extensions or data if publishers can change")
            case {"anything-but": int() | float() as number}:
                return {"anything-but": self._number(number, here)}
            case {"anything-but": list(items)}:
                return {"anything-but": [self._number(item, here) for item in items]}
        return value

    def _number(self, value: object, here: str) -> object:
        """The text of a number; what is none stays."""
        if not isinstance(value, int | float):
            return value
        text = number_text(value)
        what = f'is compared with the text "{text}"; other ways to write the number are other texts'
        self._findings.warn(here, what)
        return text

    def _of_array(self, value: object, here: str) -> object:
        """A String.Array as the text of a JSON array, in which an element is text between quotes."""
        match value:
            case {"exists": _}:
                return value
            case str(text):
                wanted = f'"{text}"'
            case {"prefix": str(text)}:
                wanted = f'"{text}'
            case {"suffix": str(text)}:
                wanted = f'{text}"'
            case _:
                what = "a String.Array is text here, in which only strings, prefix and suffix can be looked for"
                self._findings.wrong(here, f"{what}; say --attributes data if publishers can change")
                return value
        if not _IN_JSON(text) or text.startswith(_BETWEEN) or text.endswith(_BETWEEN):
            self._findings.wrong(here, f"{text!a:.40} cannot be looked for in the text of a JSON array")
        self._findings.note(
            here, "is looked for in the text of a JSON array, whose elements are taken to hold no quotes"
        )
        return {"wildcard": f"[*{wanted}*]"}


def _is_about_numbers(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    but = value.get("anything-but")
    return "numeric" in value or any(
        isinstance(item, int | float) for item in (but if isinstance(but, list) else [but])
    )


def _unescaped(value: object, findings: Findings, here: str) -> object:
    """The value without the second escaping that SNS asks for, of quotes and backslashes in attributes."""
    if isinstance(value, dict):
        return {name: _unescaped(item, findings, here) for name, item in value.items()}
    if isinstance(value, list):
        return [_unescaped(item, findings, here) for item in value]
    if not isinstance(value, str) or not ("\\" in value or '"' in value):
        return value
    try:
        text = json.loads(f'"{value}"')
    except ValueError:
        what = "a policy over attributes escapes quotes and backslashes twice; SNS finds nothing with this one"
        findings.wrong(here, what)
        return value
    findings.note(here, "quotes and backslashes are escaped once here, and twice in SNS")
    return str(text)
