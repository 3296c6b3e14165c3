"""`sources:` and `sinks:`: a name of yours, the connector's name, its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, SerializeAsAny, ValidationError

from gateway.app import catalog
from gateway.app.fields import Section, label
from gateway.app.problems import explain, unknown
from gateway.core.contracts import Settings  # noqa: TC001  pydantic reads the annotations
from gateway.core.errors import ConfigError

if TYPE_CHECKING:
    from gateway.app.yaml import Document, Path, Value


class Connection(Section):
    """A configured source or sink."""

    connector: str
    """The connector's name, such as aws.sqs."""
    settings: SerializeAsAny[Settings] = Field(repr=False, exclude=True)
    """What the connector's own model made of them; may hold secrets, so it is neither shown nor dumped."""


def connect(document: Document, section: Literal["sources", "sinks"]) -> dict[str, Connection]:
    """Parse a section's settings with the models of the connectors it names; mistakes go to the document."""
    raw = document.value.get(section) if isinstance(document.value, dict) else None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        document.complain((section,), "expected a mapping of names to connectors")
        return {}
    made = {name: _connection(document, section, name, value) for name, value in raw.items()}
    return {name: connection for name, connection in made.items() if connection is not None}


def _connection(document: Document, section: Literal["sources", "sinks"], name: str, value: Value) -> Connection | None:
    at: Path = (section, name)
    try:
        label(name)
    except ValueError as problem:
        document.complain(at, str(problem))
    if not isinstance(value, dict) or len(value) != 1:
        document.complain(at, "expected exactly one connector and its settings, such as http: {url: …}")
        return None
    connector, raw = next(iter(value.items()))
    at = (*at, connector)
    if connector not in catalog.names():
        document.complain(at, unknown("connector", connector, catalog.names()))
        return None
    try:
        model = (catalog.source(connector) if section == "sources" else catalog.sink(connector)).settings
    except ConfigError as problem:
        document.complain(at, str(problem))
        return None
    try:
        settings = model.model_validate({} if raw is None else raw, context={"written": True})
    except ValidationError as problem:
        explain(document, model, problem, at)
        return None
    return Connection(connector=connector, settings=settings)
