"""What must agree between the parts of a config.

Reads plain values and passes over what has the wrong type (the models complain
about that), so that these mistakes are named in the same run as all others.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from gateway.app.fields import host_and_port, is_loopback
from gateway.app.problems import unknown
from gateway.app.rules import DIALECTS, compile_by
from gateway.app.yaml import name
from gateway.core.errors import ConfigError
from gateway.rules.change import compile_changes
from gateway.rules.mask import compile_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.app.yaml import Document, Path, Value

_Made = TypeVar("_Made")

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
    keys = document.at(("keys",))
    compiled = {} if keys is None else _compile(document, ("keys",), partial(compile_keys, keys)) or {}
    for path, subscription in _subscriptions(document):
        found = [key for key in DIALECTS if subscription.get(key) is not None]
        for key in found[1:]:
            document.complain((*path, key), f"{found[0]} is here too, expected at most one of {', '.join(DIALECTS)}")
        for key in found:
            here = (*path, key)
            _compile(document, here, partial(compile_by, key, document.at(here), name(here)))
        here = (*path, "change")
        if subscription.get("change") is not None:
            _compile(document, here, partial(compile_changes, document.at(here), name(here), keys=compiled))


def _compile(document: Document, here: Path, compile_it: Callable[[], _Made]) -> _Made | None:
    """Note what is wrong with what stands here, each problem at its own line where the file has one."""
    try:
        return compile_it()
    except ConfigError as problem:
        places = {name(path): path for path in document.lines if path[: len(here)] == here}
        for text in problem.problems:
            where, _, what = text.partition(": ")
            if where in places:
                document.complain(places[where], what)
            else:
                document.complain(here, text.removeprefix(name(here)).removeprefix(": "))
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
