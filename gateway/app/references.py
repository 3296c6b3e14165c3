"""References in the config: `${VAR}`, `${VAR:-default}`, `${VAR:?message}`, `${file:/path}`; `$$` is a dollar sign.

Replaced in parsed scalars only, never in the text of the file, never in keys,
and what was put in is never looked at again: a value can not add YAML, and a
secret that contains `${` stays as it is. The result of a reference is a string;
the setting it is for decides whether it is read as a number or a boolean, so a
numeric password stays a password and `lanes: ${LANES}` works.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gateway.app import yaml

_REFERENCE = re.compile(r"\$(?:\$|\{([^}]*)\}|\{)")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:[-?])(.*))?", re.DOTALL)
_MAX_FILE = 64 * 1024
_SHORTEST_SECRET = 4
_HIDDEN = "***"
_PIECE = 8
"""Characters of a part of a secret that is hidden too, because messages shorten what they quote."""


class References:
    """Resolves a document's references, and hides what they gave from anything we print."""

    def __init__(self, environment: Mapping[str, str], folder: Path, files: Mapping[str, str] | None = None) -> None:
        self._environment = environment
        self._folder = folder
        self._files = files or {}
        self._found: list[tuple[yaml.Path, str]] = []

    def resolve(self, document: yaml.Document) -> None:
        """Replace the references in every scalar; what fails becomes a problem of the document."""
        document.value = self._walk(document, document.value, ())

    def redact(self, path: yaml.Path, text: str) -> str:
        """A message about that path without any value that references put there or below, nor longer parts of one."""
        found = {value for where, value in self._found if where[: len(path)] == path or path[: len(where)] == where}
        for value in sorted(found, key=len, reverse=True):
            for shown in dict.fromkeys((value, repr(value)[1:-1], ascii(value)[1:-1])):
                text = _without_pieces(text.replace(shown, _HIDDEN), shown)
        return text

    def _walk(self, document: yaml.Document, value: yaml.Value, path: yaml.Path) -> yaml.Value:
        if isinstance(value, dict):
            return {key: self._walk(document, inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._walk(document, inner, (*path, index)) for index, inner in enumerate(value)]
        if not isinstance(value, str) or "$" not in value:
            return value

        def put(match: re.Match[str]) -> str:
            if match[0] == "$$":
                return "$"
            if match[1] is None:
                document.complain(path, "'${' without '}', write '$${' for a plain one")
                return ""
            try:
                found = self._value(match[1])
            except ValueError as problem:
                document.complain(path, str(problem))
                return ""
            if len(found) >= _SHORTEST_SECRET:
                self._found.append((path, found))
            return found

        return _REFERENCE.sub(put, value)

    def _value(self, inside: str) -> str:
        if inside.startswith("file:"):
            return self._file(inside.removeprefix("file:"))
        parts = _VARIABLE.fullmatch(inside)
        if parts is None:
            raise ValueError(
                f"'${{{inside}}}' is not a reference, expected "
                "${VAR}, ${VAR:-default}, ${VAR:?message} or ${file:/path}"
            )
        name, operator, rest = parts.groups()
        value = self._environment.get(name)
        if operator == ":-":
            return value or rest
        if operator == ":?" and not value:
            raise ValueError(f"environment variable {name}: {rest or 'not set'}")
        if value is None:
            raise ValueError(f"environment variable {name} is not set, expected it or ${{{name}:-default}}")
        return value

    def _file(self, path: str) -> str:
        if path in self._files:
            return self._files[path].removesuffix("\n").removesuffix("\r")
        try:
            with (self._folder / path).open("rb") as file:
                content = file.read(_MAX_FILE + 1)
            if len(content) > _MAX_FILE:
                raise ValueError(f"file {path} is larger than {_MAX_FILE} bytes")
            return content.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise ValueError(f"file {path} is not UTF-8") from None
        except OSError as problem:
            raise ValueError(f"file {path} cannot be read: {problem.strerror}") from None


def _without_pieces(text: str, secret: str) -> str:
    """The text, with its longest parts of `_PIECE` characters or more that are parts of the secret hidden."""
    kept: list[str] = []
    at = 0
    while at < len(text):
        end = at + _PIECE
        if end > len(text) or text[at:end] not in secret:
            kept.append(text[at])
            at += 1
            continue
        while end < len(text) and text[at : end + 1] in secret:
            end += 1
        kept.append(_HIDDEN)
        at = end
    return "".join(kept)
