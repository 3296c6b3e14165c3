"""Filter patterns of Apache EventMesh, with the meaning that they were written for.

EventMesh knows the attributes of CloudEvents and `data`, and of operators
prefix, suffix, anything-but, numeric, exists and specified. What its own engine
makes of them differs from that: it never sees a payload, lets an array with
one right element pass the whole pattern, and takes numeric and exists for true
where there is nothing. Nobody filters so on purpose; notes say it.
"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final

from gateway.app.foreign import LARGEST, Findings, Found, Imported, import_all, inner, kind_of, leave_out, number_text
from gateway.app.foreign_reading import find, read_object
from gateway.codec.validate import CORE

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEYS = ("condition", "filterPattern")
_OPERATORS: Final = ("prefix", "suffix", "anything-but", "numeric", "exists", "specified")
_EXPECTED = {"prefix": "a string", "suffix": "a string", "cidr": "a string"} | {
    "exists": "true or false",
    "numeric": "a list of comparisons and numbers",
}
_NOTES = {
    "exists": "asks whether the field is there; EventMesh takes every field for one that is",
    "cidr": "EventMesh has no cidr and refuses it; read as EventBridge's",
}
_COMPARISONS = ("=", "!=", ">", ">=", "<", "<=")


def import_filters(document: object, name: str) -> list[Imported]:
    """The filters of a document: a bare pattern, a condition, or the list of conditions by topic of a group.

    `name`: what a pattern is called that belongs to no topic.

    :raises ConfigError: all that cannot be carried over, each with its place in the file.
    """
    is_bare = isinstance(document, dict) and document.keys() <= CORE | {"data"}
    found = [] if is_bare else find(document, _KEYS, also=("functionType", "transformerType"))
    filters = [one for one in found if one.spec is not None]
    made = import_all(filters or [Found("", document)], partial(_import_filter, name=name))
    return leave_out(made, found, "no filter but another function")


def _import_filter(found: Found, *, name: str) -> Imported:
    findings = Findings()
    spec = read_object(found, findings)
    topic = found.around.get("topic")
    if isinstance(topic, str):
        where = inner(found.place.rpartition(".")[0], "topic")
        what = f'the filter is for the topic {topic!a:.80} alone; add subject: ["{topic:.80}"] if events name it there'
        findings.warn(where, what)
    if not spec:
        findings.note(found.place, "an empty pattern passes everything, as a subscription without match does")
        return findings.imported(found.name or name, None)
    return findings.imported(found.name or name, _Reader(findings).read(spec, found.place), place=found.place)


class _Reader:
    """Reads one pattern."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def read(self, spec: Mapping[str, object], place: str) -> dict[str, object]:
        pattern: dict[str, object] = {}
        for name, content in spec.items():
            here = inner(place, name)
            if name == "data" and isinstance(content, dict):
                what = "looks into the payload, as it was meant; EventMesh itself never hands the payload to its filter"
                self._findings.note(here, what)
                pattern[name] = self._members(content, here)
            elif name == "data":
                self._findings.wrong(here, f"expected an object of fields, got {kind_of(content)}")
            elif name not in CORE:
                self._findings.wrong(here, f"EventMesh knows no extensions, expected {', '.join(sorted(CORE))} or data")
            else:
                pattern[name] = self._values(content, here, is_text=True)
        return pattern

    def _members(self, spec: Mapping[str, object], place: str) -> dict[str, object]:
        if not spec:
            self._findings.wrong(place, "expected at least one field, got an empty object")
        members: dict[str, object] = {}
        for name, content in spec.items():
            here = inner(place, name)
            if name == "$or":
                self._findings.wrong(here, "EventMesh has no $or; it would be a field of that name")
            elif isinstance(content, dict):
                members[name] = self._members(content, here)
            else:
                members[name] = self._values(content, here, is_text=False)
        return members

    def _values(self, content: object, place: str, *, is_text: bool) -> list[object]:
        """Any of them. `is_text`: of an attribute, which EventMesh compares as text whatever the pattern has."""
        if not isinstance(content, list) or not content:
            found = kind_of(content) if content != [] else "an empty one"
            self._findings.wrong(place, f"expected a list of values, got {found}")
            return []
        values: list[object] = []
        for index, value in enumerate(content):
            here = f"{place}[{index}]"
            if isinstance(value, dict):
                values += self._operator(value, here, is_text=is_text)
            else:
                values.append(self._scalar(value, here, is_text=is_text))
        return values

    def _scalar(self, value: object, here: str, *, is_text: bool) -> object:
        if isinstance(value, list):
            self._findings.wrong(here, "expected a value or an operator, got a list")
        elif is_text:
            return text_of(value)
        elif not isinstance(value, str):
            what = f"is {text_of(value)} alone, of its own type; EventMesh compares texts, to it the string is the same"
            self._findings.note(here, what)
        return value

    def _operator(self, spec: Mapping[str, object], here: str, *, is_text: bool) -> list[object]:
        """What stands for it: one value, or several of which any may hold."""
        if len(spec) != 1:
            self._findings.wrong(here, f"expected one operator, got {len(spec)} (EventMesh takes the first)")
            return []
        ((name, operand),) = spec.items()
        place = f"{here}.{name}"
        match name, operand:
            case "specified", _:
                return [self._scalar(operand, place, is_text=is_text)]
            case "anything-but", _:
                return [{name: self._but(operand, place, is_text=is_text)}]
            case "numeric", list():
                return [{name: one} for one in self._numeric(operand, place, is_text=is_text)]
            case (("prefix" | "suffix" | "cidr"), str()) | ("exists", bool()):
                if name in _NOTES:
                    self._findings.note(place, _NOTES[name])
                return [spec]
        if name in _EXPECTED:
            self._findings.wrong(place, f"expected {_EXPECTED[name]}, got {kind_of(operand)}")
        else:
            self._findings.wrong(here, f"{name!a:.40} is no operator of EventMesh; they are {', '.join(_OPERATORS)}")
        return []

    def _but(self, operand: object, place: str, *, is_text: bool) -> object:
        """The operand of anything-but."""
        if isinstance(operand, list) and operand:
            return [self._scalar(item, f"{place}[{i}]", is_text=is_text) for i, item in enumerate(operand)]
        if not isinstance(operand, dict | list):
            return self._scalar(operand, place, is_text=is_text)
        match operand:
            case {"prefix": str()} | {"suffix": str()} if len(operand) == 1:
                return operand
            case {"specified": value} if len(operand) == 1:
                return self._scalar(value, f"{place}.specified", is_text=is_text)
        self._findings.wrong(place, "expected values, or one of prefix and suffix with a string")
        return operand

    def _numeric(self, operand: list[object], here: str, *, is_text: bool) -> list[list[object]]:
        if is_text:
            self._findings.wrong(here, "an attribute is text, which no number is compared with")
            return []
        pairs = list(zip(operand[::2], operand[1::2], strict=False))
        for comparison, limit in pairs:
            if comparison not in _COMPARISONS:
                self._findings.wrong(here, f"expected one of {' '.join(_COMPARISONS)}, got {kind_of(comparison)}")
            if isinstance(limit, bool) or not isinstance(limit, int | float):
                self._findings.wrong(here, f"expected a number to compare with, got {kind_of(limit)}")
        if not pairs or len(operand) % 2:
            self._findings.wrong(here, 'expected comparisons and their numbers in turn, such as [">", 0, "<=", 5]')
        if self._findings.problems:
            return []
        self._findings.note(here, "wants a number there; EventMesh passes events with other values, or without")
        ranges = intervals([(str(comparison), float(str(limit))) for comparison, limit in pairs])
        if not ranges:
            self._findings.wrong(here, "no number is all of that")
        return ranges


def text_of(value: object) -> str:
    """A scalar as EventMesh compares it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return number_text(value) if isinstance(value, int | float) else str(value)


def intervals(comparisons: list[tuple[str, float]]) -> list[list[object]]:
    """The numbers for which all comparisons hold, as operands of `numeric` of which any may hold."""
    low, low_in, high, high_in = -inf, False, inf, False
    for comparison, limit in comparisons:
        if comparison in ("=", ">", ">=") and (limit, comparison == ">") >= (low, not low_in):
            low, low_in = limit, comparison != ">"
        if comparison in ("=", "<", "<=") and (-limit, comparison == "<") >= (-high, not high_in):
            high, high_in = limit, comparison != "<"
    ranges = []
    for out in sorted({limit for comparison, limit in comparisons if comparison == "!=" and low <= limit <= high}):
        ranges.append((low, low_in, out, False))
        low, low_in = out, False
    ranges.append((low, low_in, high, high_in))
    return [_operand(*one) for one in ranges if one[0] < one[2] or (one[0] == one[2] and one[1] and one[3])]


def _operand(low: float, low_in: bool, high: float, high_in: bool) -> list[object]:  # noqa: FBT001  one range, in order
    if low == high:
        return ["=", _number(low)]
    operand: list[object] = []
    if low > -inf:
        operand += [">=" if low_in else ">", _number(low)]
    if high < inf:
        operand += ["<=" if high_in else "<", _number(high)]
    return operand


def _number(value: float) -> float:
    return int(value) if abs(value) < LARGEST and value == int(value) else value
