"""The JSON Schema of the config file, with the settings of every connector that can be imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pydantic import JsonValue
from pydantic.json_schema import models_json_schema

from gateway.app import catalog
from gateway.app.config import Config
from gateway.core.errors import ConfigError
from gateway.core.quantities import duration_text, seconds, size, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import BaseModel

Schema: TypeAlias = dict[str, JsonValue]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Schema = {
    "type": "string",
    "pattern": r"\$\{",
    "description": "A reference: ${VAR}, ${VAR:-default}, ${VAR:?message} or ${file:/path}.",
}


def json_schema(connectors: Sequence[str] | None = None) -> Schema:
    """The schema that editors complete and check a config file with; connectors: these, or all that are installed."""
    names = catalog.names() if connectors is None else connectors
    settings = {(role, name): model for name in names for role, model in _models(name).items()}
    models: list[type[BaseModel]] = list(dict.fromkeys([Config, *settings.values()]))
    found, definitions = models_json_schema([(model, "validation") for model in models], ref_template="#/$defs/{model}")
    defs: Schema = definitions["$defs"]
    config = _mapping(defs.pop("Config"))
    properties = _mapping(config["properties"])
    for section, role in (("sources", "source"), ("sinks", "sink")):
        by_name = {name: found[model, "validation"] for (kind, name), model in settings.items() if kind == role}
        section_schema = _mapping(properties[section])
        section_schema["patternProperties"] = dict.fromkeys(
            _mapping(section_schema["patternProperties"]), _one_of(by_name)
        )
    for unused in ("Connection", "Settings"):
        defs.pop(unused, None)
    _adapt_all(properties)
    for definition in defs.values():
        _adapt_all(_mapping(_mapping(definition).get("properties", {})))
    return {"$schema": _DIALECT, **config, "title": "Isthmus", "$defs": {**defs, "Reference": _REFERENCE}}


def _models(name: str) -> dict[catalog.Role, type[BaseModel]]:
    """The settings models of a connector; none if it cannot be imported here."""
    try:
        return {role: connector.settings for role, connector in catalog.roles(name).items()}
    except ConfigError:
        return {}


def _one_of(connectors: dict[str, Schema]) -> Schema:
    """A mapping with exactly one connector; its settings may be left empty."""
    return {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {name: {"anyOf": [schema, {"type": "null"}]} for name, schema in connectors.items()},
    }


def _adapt_all(properties: Schema) -> None:
    for name, schema in properties.items():
        properties[name] = _adapt(_mapping(schema))


def _adapt(schema: Schema) -> Schema:
    """Defaults with their units, and a reference or nothing where a number, boolean, name or choice stands."""
    about: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    if about.get("default", ...) is None:
        del about["default"]
    rest = {key: value for key, value in schema.items() if key not in ("description", "default", "title")}
    if "items" in rest:
        rest["items"] = _adapt(_mapping(rest["items"]))
    if "patternProperties" in rest:
        rest["additionalProperties"] = False
        inner = _mapping(rest["patternProperties"])
        rest["patternProperties"] = {pattern: _adapt(_mapping(value)) for pattern, value in inner.items()}
    write = _unit(rest)
    default = about.get("default")
    if write is not None and isinstance(default, int | float):
        about["default"] = write(default)
    inside = rest.get("anyOf")
    choices: list[JsonValue] = inside if isinstance(inside, list) else [rest]
    if any(_is_narrow(_mapping(choice)) for choice in choices):
        choices = [*choices, {"$ref": "#/$defs/Reference"}]
    return {**about, **(_mapping(choices[0]) if len(choices) == 1 else {"anyOf": choices})}


def _is_narrow(schema: Schema) -> bool:
    """Whether a string with a reference would not pass."""
    return schema.get("type") in ("integer", "number", "boolean") or "pattern" in schema or "enum" in schema


def _unit(schema: Schema) -> Callable[[float], str] | None:
    """How values of a duration's or size's schema are written, told by its examples."""
    examples = schema.get("examples")
    text = examples[0] if isinstance(examples, list) and examples else None
    if not isinstance(text, str):
        return None
    for read, write in ((seconds, duration_text), (size, lambda value: size_text(int(value)))):
        try:
            read(text)
        except ValueError:
            continue
        return write
    return None


def _mapping(value: JsonValue) -> Schema:
    return value if isinstance(value, dict) else {}
