"""Rules of Amazon EventBridge: the same language as `match:`, over another envelope.

    detail → data    detail-type → type    source id time → the same    resources → subject

That is how an event looks that was mapped to a CloudEvent. One that came
through a queue as it is has the whole envelope in its data: with `whole` the
pattern is moved there unchanged. `account` and `region` are no attributes;
whoever has them in extensions says in which.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from gateway.app.foreign import Findings, Found, Imported, import_all, inner, leave_out
from gateway.app.foreign_reading import find, read_object
from gateway.codec.validate import RESERVED, is_extension_name
from gateway.core.errors import ConfigError
from gateway.rules.pattern import document_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLACES: Final = ("account", "region")
"""What of the envelope may be in an extension."""
_ATTRIBUTES = {"source": "source", "detail-type": "type", "id": "id", "time": "time", "resources": "subject"}
_ENVELOPE = frozenset((*_ATTRIBUTES, *PLACES, "detail", "version"))
_VERSION = "0"
_OF_THE_TARGET = ("InputTransformer", "InputPath", "Input", "input_transformer", "input_path", "input")


def import_rules(document: object, name: str, *, extensions: Mapping[str, str], whole: bool) -> list[Imported]:
    """The rules of a document: a bare pattern, a rule as AWS describes it, a list of them, a template.

    `name`: what a pattern is called that has no name of its own. `whole`: the
    envelope is in the data of the events, as it came.

    :raises ConfigError: there is none, or what cannot be carried over, each with its place in the file.
    """
    if isinstance(document, dict) and document and all(_is_field(field) for field in document):
        found = [Found("", document, name)]
    else:
        found = find(document, ("EventPattern", "event_pattern"), also=("ScheduleExpression", "schedule_expression"))
    patterns = [one if one.name else one._replace(name=name) for one in found if one.spec is not None]
    if not patterns:
        what = "only schedules" if found else "neither"
        raise ConfigError(f"expected an event pattern, or rules with EventPattern; there is {what}")
    made = import_all(patterns, partial(_import_rule, extensions=extensions, whole=whole))
    return leave_out(made, found, "a schedule without an event pattern")


def _is_field(name: str) -> bool:
    return name == "$or" or name.partition(".")[0] in _ENVELOPE


def extensions_of(options: Sequence[str]) -> dict[str, str]:
    """The extensions that `account=NAME` and `region=NAME` name.

    :raises ConfigError: not such, or not the name of an extension.
    """
    named: dict[str, str] = {}
    for option in options:
        place, equals, name = option.partition("=")
        if not equals or place not in PLACES:
            raise ConfigError(f"--extension {option}: expected account=NAME or region=NAME")
        if not is_extension_name(name) or name in RESERVED:
            raise ConfigError(f"--extension {option}: expected the name of an extension: a-z and 0-9, no attribute")
        if name in named.values():
            raise ConfigError(f"--extension {option}: {name} holds something else already")
        named[place] = name
    return named


def _import_rule(found: Found, *, extensions: Mapping[str, str], whole: bool) -> Imported:
    findings = Findings()
    spec = read_object(found, findings)
    document_pattern(spec, found.place)
    if whole:
        findings.note(found.place, "the data of the events is taken to be EventBridge's whole envelope")
        pattern: dict[str, object] | None = {"data": spec}
    else:
        pattern = _Envelope(findings, extensions).read(spec, found.place) or None
    _read_around(found, findings)
    return findings.imported(found.name, pattern)


class _Envelope:
    """Translates the fields of the envelope."""

    def __init__(self, findings: Findings, extensions: Mapping[str, str]) -> None:
        self._findings = findings
        self._extensions = extensions

    def read(self, spec: Mapping[str, object], place: str, *, nested: bool = False) -> dict[str, object]:
        """The fields of one object; `nested`: it is an alternative of `$or`."""
        translated: dict[str, object] = {}
        for name, content in spec.items():
            here = inner(place, name)
            if name == "$or" and isinstance(content, list):
                translated[name] = [
                    self.read(part, f"{here}[{index}]", nested=True) for index, part in enumerate(content)
                ]
            elif name == "detail" or name.startswith("detail."):
                translated[f"data{name.removeprefix('detail')}"] = content
            elif name == "version":
                self._drop_version(content, here, nested=nested)
            elif (attribute := self._attribute(name, here)) is not None:
                self._check_values(name, content, here)
                translated[attribute] = content
        return translated

    def _attribute(self, name: str, here: str) -> str | None:
        if name in self._extensions:
            attribute = self._extensions[name]
            self._findings.note(here, f"compared with the extension {attribute}")
            return attribute
        if name in PLACES:
            what = "is no attribute of a CloudEvent"
            ways = (
                f"if an extension holds it, say --extension {name}=NAME; if data is the whole envelope, --envelope data"
            )
            self._findings.wrong(here, f"{what}; {ways}")
        elif name not in _ATTRIBUTES:
            self._findings.wrong(here, "no field of an EventBridge event, expected one of its envelope or detail")
        return _ATTRIBUTES.get(name)

    def _check_values(self, name: str, content: object, here: str) -> None:
        if isinstance(content, dict):
            self._findings.wrong(here, "has no members in an event, expected a list of values")
        elif name == "resources":
            self._findings.warn(here, "compared with subject: of an event with several resources that holds one")

    def _drop_version(self, content: object, here: str, *, nested: bool) -> None:
        if nested or not isinstance(content, list) or _VERSION not in content:
            self._findings.wrong(here, f'is "{_VERSION}" in every event, expected ["{_VERSION}"] or nothing')
        else:
            self._findings.note(here, f'left out: it is "{_VERSION}" in every event of EventBridge')


def _read_around(found: Found, findings: Findings) -> None:
    """What else the file says about the rule."""
    place = found.place.rpartition(".")[0]
    for key, value in found.around.items():
        here = inner(place, key)
        match key.lower().replace("_", ""), value:
            case "targets", [_, *_]:
                _read_targets(value, here, findings)
            case "state", str() if value.upper() == "DISABLED":
                findings.warn(here, "the rule is disabled; this subscription is not (paused: true)")
            case "scheduleexpression", str() if value:
                findings.warn(here, "not converted: a subscription has no schedule")
            case "eventbusname", _:
                findings.note(here, "not compared: the subscription sees the events of all sources")


def _read_targets(targets: Sequence[object], here: str, findings: Findings) -> None:
    findings.warn(here, "targets are not converted: make sinks of them, and a subscription for each (--to)")
    for index, target in enumerate(targets):
        for key in target if isinstance(target, dict) else ():
            if key in _OF_THE_TARGET:
                findings.warn(f"{here}[{index}].{key}", "not converted yet: the event goes to the sink as it is")
