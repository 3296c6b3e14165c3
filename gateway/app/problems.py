"""What pydantic found wrong, in the words of our config: what was expected, and what was perhaps meant."""

from __future__ import annotations

import contextlib
import difflib
import types
import typing
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from gateway.core.quantities import duration_text, seconds, size, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails

    from gateway.app.yaml import Document, Path, Value

_EXPECTED = {
    "string_type": "expected a string; a number or a boolean needs quotes here",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "dict_type": "expected a mapping (key: value)",
    "model_type": "expected a mapping (key: value)",
    "model_attributes_type": "expected a mapping (key: value)",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "path_type": "expected a path",
    "too_short": "expected at least {min_length}",
    "too_long": "expected at most {max_length}",
    "string_too_short": "expected at least {min_length} characters",
    "string_too_long": "expected at most {max_length} characters",
    "greater_than": "out of bounds, expected more than {gt}",
    "greater_than_equal": "out of bounds, expected at least {ge}",
    "less_than": "out of bounds, expected less than {lt}",
    "less_than_equal": "out of bounds, expected at most {le}",
    "literal_error": "expected {expected}",
    "enum": "expected {expected}",
}


def explain(document: Document, model: type[BaseModel], problem: ValidationError, at: Path = ()) -> None:
    """Note every error of a validation of `model` at that path. Never says what the value was: it may be a secret."""
    for error in problem.errors(include_url=False, include_input=False):
        inner = tuple(part for part in error["loc"] if part != "[key]")
        written = _written(document, (*at, *inner), is_absent=error["type"] == "missing")
        if not document.has_problem(written):
            document.complain(written, _what(error, model, inner, document.at(written)))


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Say that there is no such name, which there are, and which one was perhaps meant."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    expected = f"expected one of {', '.join(known)}" if known else "there is none"
    return f"unknown {what} {name!r}, {expected}" + (f"; did you mean {near[0]!r}?" if near else "")


def _what(error: ErrorDetails, model: type[BaseModel], inner: Path, value: Value) -> str:
    kind = error["type"]
    if kind == "missing":
        return "missing, expected a value"
    if kind == "extra_forbidden":
        return unknown("key", str(inner[-1]), _keys(model, inner[:-1]))
    if kind in _EXPECTED:
        return _EXPECTED[kind].format_map(
            {name: _spelled(bound, value) for name, bound in error.get("ctx", {}).items()}
        )
    return error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _spelled(bound: object, value: Value) -> object:
    """A bound with the units that the value was written with."""
    if isinstance(value, str) and isinstance(bound, int | float):
        with contextlib.suppress(ValueError):
            seconds(value)
            return duration_text(bound)
        with contextlib.suppress(ValueError):
            size(value)
            return size_text(int(bound))
    return bound


def _written(document: Document, path: Path, *, is_absent: bool) -> Path:
    """The path without what pydantic adds of its own (members of unions), which is never in the file."""
    found: Path = ()
    for index, part in enumerate(path):
        longer = (*found, part)
        if longer in document.lines or (is_absent and index == len(path) - 1):
            found = longer
    return found


def _keys(model: type[BaseModel], inner: Path) -> list[str]:
    """The keys that are known where that path leads."""
    kind: object = model
    for part in inner:
        kind = _step(kind, part)
    kind = _plain(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [field.alias or name for name, field in kind.model_fields.items()]
    return []


def _step(kind: object, part: str | int) -> object:
    kind = _plain(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        by_key = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
        return by_key.get(str(part), kind)
    arguments = typing.get_args(kind)
    return arguments[-1 if typing.get_origin(kind) is dict else 0] if arguments else kind


def _plain(kind: object) -> object:
    """The type without Annotated and None; of a union the first model."""
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        members = [_plain(member) for member in typing.get_args(kind) if member is not type(None)]
        models = [member for member in members if isinstance(member, type) and issubclass(member, BaseModel)]
        return (models or members)[0]
    return kind
