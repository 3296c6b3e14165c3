"""Masks: personal data made unreadable, and the keys that hash it.

    redact, {redact: text}     a fixed text in the place of whatever stands there
    {truncate: n}              the first n characters stay
    {keep_last: n}             the last n characters stay, the others become *
    {hash: key}                VERSION:HEX, see below; {hash: key@version} for one version

The law: a mask leaves no value whole. What has n characters or fewer is masked
to the last of them ("" by truncate, all * by keep_last). Null stays null, which
tells that nothing is there. Names of members are not masked.

What is masked is a text: of a string its characters, of a number or a boolean
its JSON text, of an attribute its canonical string. In an object or array each
value is masked by itself, except that redact replaces the whole.

HEX is HMAC-SHA-256 (RFC 2104) of that text in UTF-8, 64 digits in lower case:
anybody who has the key can compute it, the same value gives the same hash
wherever the key is the same, and 42 that of "42". Nothing is normalised: 1.0 is not 1,
é of one code point is not é of two. Who has the key can try out all phone
numbers: the hash is as secret as the key.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import Raw

from gateway.core.errors import ConfigError, Rejected
from gateway.rules.change_reading import shown
from gateway.rules.members import Budget, encode, is_level, is_null, is_string, raw_of, size_of, string_of
from gateway.rules.places import is_unicode, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.rules.change_reading import Reading
    from gateway.rules.members import Node

MIN_SECRET = 16
"""Bytes of the shortest secret that is taken; 32 random ones are right."""
MAX_SECRET = 64 * 1024
MAX_VERSIONS = 100
"""Versions of one key."""
MAX_KEPT = 1024
"""Characters that truncate and keep_last may leave."""
MAX_BELOW = 100
"""Objects and arrays inside each other below a masked place."""
MAX_REDACTION = 1024
"""Characters of the text that redact puts in."""
REDACTION = "***"
"""What redact puts in if nothing else is said."""

_BLOCK = 64  # bytes; HMAC, RFC 2104, section 2
_INNER = bytes(code ^ 0x36 for code in range(256))
_OUTER = bytes(code ^ 0x5C for code in range(256))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII).fullmatch
_HOWS = ("redact", "truncate", "keep_last", "hash")
_NAME_EXPECTED = "expected up to 64 letters, digits, '.', '_' and '-'"


class MaskKeys:
    """The versions of one key, the first of them current. Shows no secret."""

    __slots__ = ("__secrets",)

    def __init__(self, secrets: Mapping[str, str | bytes]) -> None:
        """Take version → secret.

        :raises ConfigError: all that is wrong with them, each with its version.
        """
        problems = list(_problems(secrets))
        if problems:
            raise ConfigError(*problems)
        self.__secrets = {
            version: secret.encode() if isinstance(secret, str) else bytes(secret)
            for version, secret in secrets.items()
        }

    @property
    def versions(self) -> tuple[str, ...]:
        """The names of the versions, the current one first."""
        return tuple(self.__secrets)

    def hasher(self, version: str | None = None) -> Callable[[str], str]:
        """What turns a text into VERSION:HEX; None: by the current version.

        :raises KeyError: there is no such version.
        """
        version = self.versions[0] if version is None else version
        secret = self.__secrets[version]
        block = (secret if len(secret) <= _BLOCK else hashlib.sha256(secret).digest()).ljust(_BLOCK, b"\0")
        # the states after the key, which hmac would compute again for every event
        inner, outer = hashlib.sha256(block.translate(_INNER)), hashlib.sha256(block.translate(_OUTER))
        prefix = f"{version}:"

        def hashed(text: str) -> str:
            first, second = inner.copy(), outer.copy()
            first.update(text.encode())
            second.update(first.digest())
            return prefix + second.hexdigest()

        return hashed

    def __repr__(self) -> str:
        return f"MaskKeys({', '.join(self.versions)})"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("keys are not copied out of the process")


def compile_keys(section: object, path: str = "keys") -> dict[str, MaskKeys]:
    """The keys by name, of a mapping name → version → secret.

    :raises ConfigError: all that is wrong with it, each with its path, and without any secret.
    """
    if not isinstance(section, dict):
        raise ConfigError(f"{path}: {type(section).__name__}, expected a mapping of names to versions and secrets")
    keys, problems = {}, []
    for name, secrets in section.items():
        if not isinstance(name, str) or not _NAME(name):
            problems.append(f"{path}: {name!a:.40} is not a name for a key, {_NAME_EXPECTED}")
            continue
        try:
            keys[name] = MaskKeys(secrets)
        except ConfigError as wrong:
            problems += [f"{path}.{name}{problem}" for problem in wrong.problems]
    if problems:
        raise ConfigError(*problems)
    return keys


def _problems(secrets: object) -> list[str]:
    """What is wrong with the versions of one key; never says what a secret is."""
    if not isinstance(secrets, dict) or not 0 < len(secrets) <= MAX_VERSIONS:
        return [f": expected a mapping of 1 to {MAX_VERSIONS} versions to secrets, the current one first"]
    problems = []
    for version, secret in secrets.items():
        if not isinstance(version, str) or not _NAME(version):
            problems.append(f": {version!a:.40} is not a version, {_NAME_EXPECTED}; a number needs quotes")
        elif not isinstance(secret, bytes) and (not isinstance(secret, str) or not is_unicode(secret)):
            problems.append(f".{version}: expected a string")
        elif not MIN_SECRET <= _bytes_of(secret) <= MAX_SECRET:
            problems.append(
                f".{version}: a secret of {_bytes_of(secret)} bytes, expected {MIN_SECRET} to {MAX_SECRET} bytes"
            )
    return problems


def _bytes_of(secret: str | bytes) -> int:
    return len(secret.encode() if isinstance(secret, str) else secret)


@dataclass(frozen=True, slots=True)
class Mask:
    """How a value is made unreadable."""

    of_text: Callable[[str], str]
    redaction: Raw | None = None
    """What replaces a whole, whatever it is; None: each value in it is masked by itself."""

    def of_node(self, node: Node, budget: Budget) -> Node:
        """The masked JSON.

        :raises Rejected: it cannot be masked; or more would be inserted than the budget allows.
        """
        if is_null(node):
            return node
        if self.redaction is not None:
            budget.insert(size_of(self.redaction))
            return self.redaction
        raw = raw_of(node)
        if is_string(raw):
            text = string_of(raw)
        elif is_level(raw):
            values = json.loads(str(raw, "utf-8"), object_pairs_hook=_unique, parse_int=str, parse_float=str)
            return Raw(encode(self._of_value(values, budget, MAX_BELOW)))
        else:
            text = str(raw, "utf-8")
        masked = encode(self.of_text(text))
        budget.insert(len(masked))
        return Raw(masked)

    def _of_value(self, value: object, budget: Budget, depth: int) -> object:
        """The same tree with all values masked; its numbers are texts already."""
        budget.visit(1)
        if depth < 0:
            raise Rejected(f"has more than {MAX_BELOW} objects and arrays inside each other")
        match value:
            case str() | bool():
                masked = self.of_text(value if isinstance(value, str) else json.dumps(value))
                budget.insert(len(masked))
                return masked
            case dict():
                return {name: self._of_value(inner, budget, depth - 1) for name, inner in value.items()}
            case list():
                return [self._of_value(inner, budget, depth - 1) for inner in value]
        return None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise Rejected("has two members of the same name below it")
    return members


def read_mask(content: object, path: str, reading: Reading) -> Mask | None:
    """Read how to mask; None, and a problem, if it says nothing that we know."""
    how, detail = content, None
    if isinstance(content, dict):
        how, detail = next(iter(content.items())) if len(content) == 1 else (None, None)
    if how == "redact":
        return _redact(REDACTION if content == "redact" else detail, f"{path}.redact", reading)
    if how in ("truncate", "keep_last"):
        return _keep(str(how), detail, f"{path}.{how}", reading)
    if how == "hash":
        return _hash(detail, f"{path}.hash", reading)
    expected = "redact, {redact: text}, {truncate: n}, {keep_last: n} or {hash: key}"
    known = unknown("a mask", how, _HOWS) if isinstance(how, str) else f"{shown(content)}, expected {expected}"
    reading.wrong(path, known)
    return None


def _redact(text: object, path: str, reading: Reading) -> Mask | None:
    if not isinstance(text, str) or len(text) > MAX_REDACTION or not is_unicode(text):
        reading.wrong(path, f"{shown(text)}, expected a text of at most {MAX_REDACTION} characters")
        return None
    fixed = text
    return Mask(lambda _: fixed, Raw(encode(fixed)))


def _keep(how: str, count: object, path: str, reading: Reading) -> Mask | None:
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= MAX_KEPT:
        reading.wrong(path, f"{shown(count)}, expected a number of characters from 1 to {MAX_KEPT}")
        return None
    kept = count
    if how == "truncate":
        return Mask(lambda text: text[:kept] if len(text) > kept else "")
    return Mask(lambda text: "*" * (len(text) - kept) + text[-kept:] if len(text) > kept else "*" * len(text))


def _hash(key: object, path: str, reading: Reading) -> Mask | None:
    if not isinstance(key, str) or not key:
        reading.wrong(path, f"{shown(key)}, expected the name of a key, or name@version")
        return None
    name, at, version = key.partition("@")
    if not reading.keys:
        reading.wrong(path, f"no key {name!a:.40}, expected one in the section keys, which has none")
    elif name not in reading.keys:
        reading.wrong(path, unknown("a key", name, reading.keys))
    elif at and version not in reading.keys[name].versions:
        reading.wrong(path, unknown(f"a version of {name}", version, reading.keys[name].versions))
    else:
        return Mask(reading.keys[name].hasher(version if at else None))
    return None
