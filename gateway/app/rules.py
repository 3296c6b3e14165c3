"""The filter and the changes of a configured subscription, for checking, building and explaining alike.

filter   the CloudEvents dialects        match   an event pattern
cesql    a CESQL expression              cel     a CEL expression
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.app import yaml
from gateway.rules.change import compile_changes
from gateway.rules.dialects import LANGUAGES, compile_filter
from gateway.rules.mask import compile_keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import JsonValue

    from gateway.app import config as written
    from gateway.rules.change import Changes
    from gateway.rules.lens import Lens
    from gateway.rules.mask import MaskKeys
    from gateway.rules.rule import Rule

DIALECTS: Mapping[str, str | None] = {"filter": None, "match": "match", "cesql": "sql", "cel": "cel"}
"""Key of a subscription → the dialect it is short for; exactly one of them may be there."""


def compile_by(key: str, spec: object, path: str, lens: Lens | None = None) -> Rule:
    """Compile what stands under one of these keys.

    :raises ConfigError: all that is wrong with it, each with its path from `path` on.
    """
    dialect = DIALECTS[key]
    if dialect is None:
        return compile_filter(spec, path, lens=lens)
    return LANGUAGES[dialect](spec, path, lens=lens)


def in_dialects(configured: written.Subscription) -> object | None:
    """Its filter as another region is told of it; None: everything."""
    for key, dialect in DIALECTS.items():
        spec: object = getattr(configured, key)
        if spec is not None:
            return spec if dialect is None else {dialect: spec}
    return None


def rule(configured: written.Subscription, path: str, lens: Lens | None = None) -> Rule | None:
    """Its filter, compiled; None: everything.

    :raises ConfigError: all that is wrong with it, each with its path from `path` on.
    """
    for key in DIALECTS:
        spec: object = getattr(configured, key)
        if spec is not None and spec != []:
            return compile_by(key, spec, f"{path}.{key}", lens)
    return None


def as_written(file: Path, dumped: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The dump of a config with filters and changes as they stand in its file: references there may be secrets."""
    document = yaml.read(file)
    subscriptions = dumped.get("subscriptions")
    for name, one in subscriptions.items() if isinstance(subscriptions, dict) else ():
        if isinstance(one, dict):
            one |= {key: document.at(("subscriptions", name, key)) for key in (*DIALECTS, "change") if key in one}
    return dumped


def changes(configured: written.Subscription, path: str, keys: Mapping[str, MaskKeys]) -> Changes | None:
    """Its changes, compiled; None: none.

    :raises ConfigError: all that is wrong with them, each with its path from `path` on.
    """
    if not configured.change:
        return None
    return compile_changes(configured.change, f"{path}.change", keys=keys)


def mask_keys(config: written.Config) -> dict[str, MaskKeys]:
    """The keys that masks may name.

    :raises ConfigError: all that is wrong with them, each with its path.
    """
    return compile_keys(
        {
            name: {version: secret.get_secret_value() for version, secret in versions.items()}
            for name, versions in config.keys.items()
        }
    )
