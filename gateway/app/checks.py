"""What must agree between the parts of a config.

Reads plain values and passes over what has the wrong type (the models complain
about that), so that these mistakes are named in the same run as all others.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

from gateway.app.fields import host_and_port, is_loopback
from gateway.app.problems import unknown
from gateway.app.rules import DIALECTS, compile_by
from gateway.app.yaml import name
from gateway.core.errors import ConfigError
from gateway.rules.change import compile_changes
from gateway.rules.mask import MIN_SECRET, compile_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.app.yaml import Document, Path, Value
    from gateway.rules.mask import MaskKeys

_Made = TypeVar("_Made")

_MADE_UP = "*" * MIN_SECRET
_BINDS: tuple[Path, ...] = (("api", "http"), ("api", "grpc"), ("federation", "listen"))


def check(document: Document) -> None:
    """Note every disagreement between the parts."""
    _check_binds(document)
    _check_peers(document)
    _check_targets(document)
    _check_regions(document)
    _check_rules(document)
    _check_renames(document)


def _mapping(document: Document, *path: str) -> dict[str, Value]:
    value = document.at(path)
    return value if isinstance(value, dict) else {}


def _subscriptions(document: Document) -> list[tuple[Path, dict[str, Value]]]:
    found = _mapping(document, "subscriptions").items()
    return [(("subscriptions", name), value) for name, value in found if isinstance(value, dict)]


def _check_binds(document: Document) -> None:
    if str(document.at(("insecure",))).lower() in ("true", "yes", "on", "1"):
        return
    for path in _BINDS:
        address = document.at(path)
        try:
            host = host_and_port(address)[0] if isinstance(address, str) else "localhost"
        except ValueError:
            continue
        if not is_loopback(host):
            document.complain(
                path,
                "other machines can reach this address and clients are not authenticated, "
                "expected a loopback address such as 127.0.0.1 (or `insecure: true` beside `region:`)",
            )


def _check_peers(document: Document) -> None:
    region = document.at(("region",))
    if isinstance(region, str) and region in _mapping(document, "federation", "peers"):
        document.complain(("federation", "peers", region), "this is this node's own region, expected other regions")


def _check_targets(document: Document) -> None:
    sinks = _mapping(document, "sinks")
    for path, subscription in _subscriptions(document):
        target = subscription.get("to")
        if isinstance(target, str) and target not in sinks:
            document.complain((*path, "to"), unknown("sink", target, sinks))


def _check_regions(document: Document) -> None:
    own = document.at(("region",))
    known = {own} if isinstance(own, str) else set()
    known |= set(_mapping(document, "federation", "peers"))
    for path, subscription in _subscriptions(document):
        regions = subscription.get("from")
        for index, region in enumerate(regions if isinstance(regions, list) else []):
            if isinstance(region, str) and region not in known:
                document.complain((*path, "from", index), unknown("region", region, known))


def _check_rules(document: Document) -> None:
    compiling = _Compiling(document)
    keys = _check_keys(document, compiling)
    for path, subscription in _subscriptions(document):
        found = [key for key in DIALECTS if subscription.get(key) is not None]
        for key in found[1:]:
            document.complain((*path, key), f"{found[0]} is here too, expected at most one of {', '.join(DIALECTS)}")
        for key in found:
            here = (*path, key)
            compiling.of(here, partial(compile_by, key, document.at(here), name(here)))
        here = (*path, "change")
        if subscription.get("change") is not None:
            compiling.of(here, partial(compile_changes, document.at(here), name(here), keys=keys))


def _check_keys(document: Document, compiling: _Compiling) -> dict[str, MaskKeys]:
    """The keys; made-up ones for those that are wrong, so that a mask that names them is not found wrong too."""
    keys = document.at(("keys",))
    if keys is None:
        return {}
    found = compiling.of(("keys",), partial(compile_keys, keys))
    if found is not None or not isinstance(keys, dict):
        return found or {}
    found = {}
    for key, versions in keys.items():
        named = versions if isinstance(versions, dict) else ()
        for made_up in (versions, dict.fromkeys(named, _MADE_UP), {"1": _MADE_UP}):
            with suppress(ConfigError):
                found |= compile_keys({key: made_up})
                break
    return found


class _Compiling:
    """Compiles what stands in a document, and notes what is wrong with it."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._known = {path for _, path, _ in document.problems}
        """Where something is wrong already, such as a reference to nothing."""

    @cached_property
    def _places(self) -> dict[str, Path]:
        return {name(path): path for path in self._document.lines}

    def of(self, here: Path, compile_it: Callable[[], _Made]) -> _Made | None:
        """Note what is wrong with what stands here, each problem at its own line where the file has one."""
        try:
            return compile_it()
        except ConfigError as problem:
            for text in problem.problems:
                where, _, what = text.partition(": ")
                place = self._places.get(where, ())
                if place[: len(here)] != here:
                    place, what = here, text.removeprefix(name(here)).removeprefix(": ")
                if place not in self._known:
                    self._document.complain(place, what)
            return None


def _check_renames(document: Document) -> None:
    names = _mapping(document, "subscriptions")
    taken: dict[str, str] = {}
    for path, subscription in _subscriptions(document):
        was = subscription.get("was")
        if not isinstance(was, str):
            continue
        if was in names:
            document.complain((*path, "was"), f"subscription {was!r} still exists, expected a name no longer used")
        elif was in taken:
            document.complain((*path, "was"), f"{taken[was]!r} says it was {was!r} too, expected one of them")
        taken.setdefault(was, str(path[-1]))
