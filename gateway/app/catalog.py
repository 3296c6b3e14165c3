"""Connector name → module: our table, then the entry points `isthmus.connectors` of installed packages.

A connector is imported when a config names it, and not before: its SDK may be
heavy, or not installed.
"""

from __future__ import annotations

import importlib
import inspect
import typing
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar

from gateway.core.contracts import Settings, Sink, Source
from gateway.core.errors import ConfigError

if TYPE_CHECKING:
    from types import ModuleType

GROUP = "isthmus.connectors"
_OURS = {
    "aws.sqs": ("connectors.aws_sqs", "aws"),
    "file": ("connectors.file", ""),
    "http": ("connectors.http", ""),
}
"""Name → module, and the extra that brings what it needs."""

_FOREIGN_ERRORS = (
    ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, LookupError, OSError, RuntimeError,
)  # fmt: skip
"""What somebody else's module may raise while it is imported."""

Role: TypeAlias = Literal["source", "sink"]
Made = TypeVar("Made", Source, Sink)


@dataclass(frozen=True, slots=True)
class Connector(Generic[Made]):
    """One way of a connector: what to make, and from which settings."""

    name: str
    make: type[Made]
    settings: type[Settings]

    def build(self, settings: Settings) -> Made:
        """The source or sink itself; does no I/O."""
        return self.make(settings)  # type: ignore[call-arg]  # the one parameter was checked when it was found


def names() -> list[str]:
    """Every connector that can be named here, in alphabetical order; nothing is imported."""
    return sorted({*_OURS, *(point.name for point in entry_points(group=GROUP))})


def source(name: str) -> Connector[Source]:
    """The source of that name.

    :raises ConfigError: there is none, or it cannot be imported; says what to do.
    """
    return _find(name, "Source", Source)  # type: ignore[type-abstract]


def sink(name: str) -> Connector[Sink]:
    """The sink of that name.

    :raises ConfigError: there is none, or it cannot be imported; says what to do.
    """
    return _find(name, "Sink", Sink)  # type: ignore[type-abstract]


def roles(name: str) -> dict[Role, Connector[Source] | Connector[Sink]]:
    """What that connector can be: `source`, `sink` or both.

    :raises ConfigError: it is unknown, or it cannot be imported.
    """
    module = _module(name)
    found: dict[Role, Connector[Source] | Connector[Sink]] = {}
    if getattr(module, "Source", Source) is not Source:
        found["source"] = source(name)
    if getattr(module, "Sink", Sink) is not Sink:
        found["sink"] = sink(name)
    return found


def _find(name: str, attribute: str, kind: type[Made]) -> Connector[Made]:
    module = _module(name)
    found = getattr(module, attribute, kind)
    if found is kind:  # the module has none, or only imports the contract
        raise ConfigError(f"connector {name!r} has no {attribute.lower()}")
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise ConfigError(f"connector {name!r}: {module.__name__}.{attribute} does not inherit {kind.__name__}")
    return Connector(name, found, _settings(name, found))


def _module(name: str) -> ModuleType:
    if name in _OURS:
        module, extra = _OURS[name]
        try:
            return importlib.import_module(module)
        except ImportError as problem:
            remedy = f"install the extra {extra} (pip install 'isthmus[{extra}]')" if extra else "install isthmus again"
            raise ConfigError(
                f"connector {name!r} needs {problem.name!r}, which is not installed: {remedy}"
            ) from problem
    point = _entry_point(name)
    try:
        loaded = point.load()
    except _FOREIGN_ERRORS as problem:
        package = f" of package {point.dist.name}" if point.dist is not None else ""
        raise ConfigError(
            f"connector {name!r}{package} cannot be imported from {point.value}: {type(problem).__name__}: {problem}"
        ) from problem
    if not inspect.ismodule(loaded):
        raise ConfigError(f"connector {name!r}: entry point {point.value!r} is not a module")
    return loaded


def _entry_point(name: str) -> EntryPoint:
    for point in entry_points(group=GROUP, name=name):
        return point
    raise ConfigError(f"unknown connector {name!r}, expected one of {', '.join(names())}")


def _settings(name: str, found: type[Source | Sink]) -> type[Settings]:
    """The type of the one parameter of `__init__`."""
    where = f"connector {name!r}: {found.__module__}.{found.__qualname__}.__init__"
    init = inspect.getattr_static(found, "__init__")
    try:
        parameters = list(inspect.signature(init).parameters)[1:]
        hints = typing.get_type_hints(init)
    except (NameError, TypeError, ValueError) as problem:
        raise ConfigError(f"{where}: its annotations cannot be read: {problem}") from problem
    model = hints.get(parameters[0]) if len(parameters) == 1 else None
    if not (isinstance(model, type) and issubclass(model, Settings)):
        raise ConfigError(f"{where}: expected exactly one parameter, annotated with its Settings")
    return model
