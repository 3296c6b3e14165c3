"""From what a user names (a config file or a data directory) to where a node keeps its data and listens.

Reads only what is needed: a config whose secrets are not here is good enough
to look at its log.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.app import yaml
from gateway.app.references import References
from gateway.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def data_of(where: Path) -> Path:
    """The data directory: the one named, or `data:` of the config file named.

    :raises ConfigError: it is neither.
    """
    if where.is_dir():
        return where
    found = _section(where, "data")
    if not isinstance(found, str) or not found:
        raise ConfigError(f"{where}: data: missing, expected the data directory")
    return where.absolute().parent / found


def doors_of(where: Path) -> dict[str, str]:
    """The addresses under `api:` of a config file, such as `{"http": "127.0.0.1:8080"}`.

    :raises ConfigError: it cannot be read.
    """
    found = _section(where, "api")
    return (
        {door: address for door, address in found.items() if isinstance(address, str)}
        if isinstance(found, dict)
        else {}
    )


def _section(where: Path, key: str) -> yaml.Value:
    document = yaml.read(where)
    value = document.value.get(key) if isinstance(document.value, dict) else None
    document.value = {key: value}
    references = References(os.environ, where.absolute().parent)
    references.resolve(document)
    if document.problems:
        raise document.error(references.redact)
    return document.value[key]
