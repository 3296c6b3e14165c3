"""YAML 1.2 into plain values, with the line of every value and every mistake at once.

ruamel parses; what is made of the scalars is decided here, by the core schema
of YAML 1.2: `NO`, `22:22`, `1_000` and `2020-01-01` are strings.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from gateway.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path as FilePath

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indexes from the root to a value."""
Value: TypeAlias = "None | bool | int | float | str | list[Value] | dict[str, Value]"

_MAX_BYTES = 8 * 1024 * 1024
_MAX_VALUES = 500_000
"""Aliases are expanded; this bounds what a small file can become."""
_MAX_DEPTH = 64
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}|0x[0-9a-fA-F]{1,15}|0o[0-7]{1,20}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, None | bool | float] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(slots=True)
class Document:
    """A file's values, where each of them stands, and what was wrong with it so far."""

    file: str
    value: Value = None
    lines: dict[Path, int] = field(default_factory=dict)
    """Path → line, from 1; for a value in a mapping, the line of its key."""
    problems: list[tuple[int, Path, str]] = field(default_factory=list)

    def at(self, path: Path) -> Value:
        """The value there; None when there is none."""
        value = self.value
        for part in path:
            if isinstance(value, dict) and isinstance(part, str):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def line(self, path: Path) -> int:
        """The line of that value, or of the nearest thing around it that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def complain(self, path: Path, what: str, *, line: int | None = None) -> None:
        """Note a problem; `what` says what was wrong and what was expected."""
        self.problems.append((line or self.line(path), path, what))

    def has_problem(self, path: Path) -> bool:
        """Whether something was already said about exactly that value."""
        return any(where == path for _, where, _ in self.problems)

    def error(self, redact: Callable[[Path, str], str]) -> ConfigError:
        """All problems in the order of the file, each `file:line: path: what`; `redact` takes secrets out."""
        texts = dict.fromkeys(
            f"{self.file}:{line}: {name(path)}: {redact(path, what)}" if path else f"{self.file}:{line}: {what}"
            for line, path, what in sorted(self.problems, key=lambda problem: problem[0])
        )
        return ConfigError(*texts)


def name(path: Path) -> str:
    """The path as people write it: `subscriptions.bill.from[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def read(file: FilePath) -> Document:
    """Parse a file.

    :raises ConfigError: it cannot be read or is not YAML. Lesser mistakes
        (duplicate keys, tags) are in the document's problems.
    """
    document = Document(str(file))
    try:
        data = file.read_bytes()
        if len(data) > _MAX_BYTES:
            raise ConfigError(f"{file}: larger than {_MAX_BYTES} bytes")
        root = YAML(typ="safe", pure=True).compose(data.decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else f"not UTF-8 at byte {problem.start}"
        raise ConfigError(f"{file}: cannot be read: {reason}") from problem
    except RecursionError as problem:
        raise ConfigError(f"{file}: nested too deeply") from problem
    except (YAMLError, ValueError) as problem:  # ValueError: ruamel on version directives and odd escapes
        raise ConfigError(_not_yaml(file, problem)) from None
    if root is not None:
        document.value = _Reading(document).value(root, (), _line(root))
    return document


def _not_yaml(file: FilePath, problem: YAMLError | ValueError) -> str:
    mark = getattr(problem, "problem_mark", None) or getattr(problem, "context_mark", None)
    if isinstance(problem, MarkedYAMLError) and mark is not None:
        return f"{file}:{mark.line + 1}: not YAML: {problem.problem or problem.context}"
    return f"{file}:1: not YAML: {str(problem).splitlines()[0] if str(problem) else type(problem).__name__}"


class _Reading:
    """One walk over the parsed nodes."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: set[int] = set()
        self._count = 0

    def value(self, node: Node, path: Path, line: int) -> Value:
        self._document.lines[path] = line
        self._count += 1
        if self._count > _MAX_VALUES:
            raise ConfigError(f"{self._document.file}: more than {_MAX_VALUES} values")
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open or len(path) > _MAX_DEPTH:
            self._document.complain(path, "nested too deeply, or an alias of what contains it")
            return None
        self._open.add(id(node))
        self._check_tag(node, path)
        found: Value = self._mapping(node, path) if isinstance(node, MappingNode) else self._sequence(node, path)
        self._open.remove(id(node))
        return found

    def _sequence(self, node: Node, path: Path) -> list[Value]:
        return [self.value(item, (*path, index), _line(item)) for index, item in enumerate(node.value)]

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Value]:
        found: dict[str, Value] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = _line(key_node)
            if not isinstance(key_node, ScalarNode):
                self._document.complain(path, "a key is a list or a mapping, expected a name", line=line)
                continue
            key = self._text(key_node, path)
            if key_node.tag == "tag:yaml.org,2002:merge" and not key_node.style:
                self._document.complain((*path, key), "merge keys are not YAML 1.2, write the keys out", line=line)
            elif key in found:
                self._document.complain((*path, key), f"duplicate key, the first is on line {first[key]}", line=line)
            else:
                first[key] = line
                found[key] = self.value(value_node, (*path, key), line)
        return found

    def _scalar(self, node: ScalarNode, path: Path) -> Value:
        text = self._text(node, path)
        if node.style is not None:
            self._check_tag(node, path)
            return text
        if self._check_tag(node, path) == "str":
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        return text

    def _text(self, node: Node, path: Path) -> str:
        """What a scalar says; half of a character, which an escape can make, is refused."""
        text = str(node.value)
        whole = text if text.isascii() else text.encode("utf-8", "replace").decode()
        if whole != text:
            self._document.complain(path, f"{text!a:.40} has half a character, expected text", line=_line(node))
        return whole

    def _check_tag(self, node: Node, path: Path) -> str:
        """The explicit tag `str`, or what ruamel guessed; any other explicit tag is refused."""
        tag = str(node.tag)
        if not tag.startswith("tag:yaml.org,2002:") or tag.endswith(("binary", "set", "omap", "pairs")):
            self._document.complain(path, f"tag {tag!r} is not known here, expected a plain value")
        return tag.removeprefix("tag:yaml.org,2002:")


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
