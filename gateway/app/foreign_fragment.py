"""Imported filters as YAML: the `subscriptions:` of a config, to be pasted into one.

Every string of a pattern stands in quotes, so that no reader takes it for a
number or a word, and dollars are doubled where the config would look for a
reference.
"""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.app.foreign import Imported

NO_SINK: Final = "name-a-sink"
"""What stands for a sink that was not named; `isthmus check` says that there is none of that name."""
_WIDTH = 120
_WORDS = frozenset(("null", "true", "false"))
_PLAIN = re.compile(r"[A-Za-z$][A-Za-z0-9_-]*").fullmatch
_REFERENCE = re.compile(r"\$[${]")


def fragment(imports: Iterable[Imported], to: str) -> str:
    """The subscriptions, each with its pattern and the sink they go to."""
    subscriptions = CommentedMap()
    for one in imports:
        subscription = CommentedMap()
        if one.pattern is not None:
            subscription["match"] = _written(one.pattern)
        subscription["to"] = _text(to)
        subscriptions[_key(one.name)] = subscription
    writer = YAML(pure=True)
    writer.width = _WIDTH
    writer.brace_single_entry_mapping_in_flow_sequence = True
    writer.indent(mapping=2, sequence=4, offset=2)
    text = StringIO()
    writer.dump(CommentedMap(subscriptions=subscriptions), text)
    return text.getvalue()


def _written(fields: dict[str, object]) -> CommentedMap:
    """An object of fields, one a line; `$or` one alternative after the other, the values of a field on one line."""
    mapping = CommentedMap()
    for name, content in fields.items():
        if isinstance(content, dict):
            mapping[_key(name)] = _written(content)
        elif name == "$or" and isinstance(content, list):
            mapping[_key(name)] = CommentedSeq(_written(part) for part in content)
        else:
            mapping[_key(name)] = _on_one_line(content)
    return mapping


def _on_one_line(value: object) -> object:
    if isinstance(value, dict):
        mapping = CommentedMap((_key(name), _on_one_line(item)) for name, item in value.items())
        mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list):
        sequence = CommentedSeq(_on_one_line(item) for item in value)
        sequence.fa.set_flow_style()
        return sequence
    return _quoted(value) if isinstance(value, str) else value


def _key(name: str) -> str:
    return name if _is_plain(name) else _in_quotes(name)


def _text(text: str) -> str:
    return text if _is_plain(text) else _quoted(text)


def _is_plain(text: str) -> bool:
    return bool(_PLAIN(text)) and text.lower() not in _WORDS


def _quoted(text: str) -> str:
    return _in_quotes(text.replace("$", "$$") if _REFERENCE.search(text) else text)


def _in_quotes(text: str) -> str:
    quoted: str = DoubleQuotedScalarString(text)
    return quoted
