"""Settings as people read them: key, kind of value, default, meaning."""

from __future__ import annotations

import types
import typing
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel, SecretStr

from gateway.core.quantities import Duration, Size, duration_text, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

_DURATION, _SIZE = (typing.get_args(kind)[1] for kind in (Duration, Size))
_KINDS: dict[object, str] = {
    str: "string", int: "whole number", float: "number", bool: "true or false", SecretStr: "secret",
}  # fmt: skip
_BOUNDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


class Setting(NamedTuple):
    """One setting."""

    key: str
    kind: str
    default: str
    """As it would be written; empty: none, `required` when there must be a value."""
    meaning: str


def settings(model: type[BaseModel], prefix: str = "") -> Iterator[Setting]:
    """The settings of a model in order, those of inner models after it with a dotted key."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        inner = _model(field.annotation)
        if inner is not None and not _is_mapping(field.annotation):
            yield from settings(inner, f"{key}.")
        else:
            yield Setting(key, _kind(field.annotation, field), _default(field), _sentence(field.description))


def _kind(annotation: object, field: FieldInfo) -> str:
    metadata = [*field.metadata, *_metadata(annotation)]
    kind = "duration" if _DURATION in metadata else "size" if _SIZE in metadata else _name(annotation)
    bounds = [
        f"{words} {_written(getattr(item, bound), kind)}"
        for item in metadata
        for bound, words in _BOUNDS.items()
        if getattr(item, bound, None) is not None
    ]
    return ", ".join(dict.fromkeys([field.title or kind, *bounds]))


def _name(annotation: object) -> str:
    annotation = _bare(annotation)
    if annotation in _KINDS:
        return _KINDS[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(str(argument) for argument in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_name(argument) for argument in arguments if argument is not type(None)))
    if origin in (list, tuple):
        return f"list of {_name(arguments[0])}s"
    if origin is dict:
        return "mapping"
    return getattr(annotation, "__name__", str(annotation)).lower()


def _metadata(annotation: object) -> list[object]:
    """What Annotated says, also inside of a union."""
    found: list[object] = []
    if typing.get_origin(annotation) is typing.Annotated:
        found += typing.get_args(annotation)[1:]
    for inner in (
        typing.get_args(annotation) if typing.get_origin(annotation) in (typing.Union, types.UnionType) else ()
    ):
        found += _metadata(inner)
    return [*found, *(item for entry in found for item in getattr(entry, "metadata", ()))]


def _bare(annotation: object) -> object:
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    kind = _kind(field.annotation, field).split(",")[0]
    return _written(field.get_default(call_default_factory=True, validated_data={}), kind)


def _written(value: object, kind: str) -> str:
    if value in (None, [], {}):
        return ""
    if isinstance(value, SecretStr):
        return "" if not value.get_secret_value() else str(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and kind in ("duration", "size"):
        return duration_text(value) if kind == "duration" else size_text(int(value))
    return str(value)


def _model(annotation: object) -> type[BaseModel] | None:
    annotation = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in typing.get_args(annotation):
        found = _model(argument)
        if found is not None:
            return found
    return None


def _is_mapping(annotation: object) -> bool:
    return typing.get_origin(_bare(annotation)) is dict


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split())
