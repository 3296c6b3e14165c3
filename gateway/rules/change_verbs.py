"""The verbs of a change: set, remove, keep, rename, template, mask.

Each is read into acts, small functions on a draft that are done in order. Where
a step names several places, all that it reads is read before anything is put,
so the order in which they are named means nothing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from msgspec import Raw

from gateway.codec.validate import CORE
from gateway.core.event import canonical
from gateway.rules.change_reading import shown
from gateway.rules.draft import as_json
from gateway.rules.keeping import kept, tree_of
from gateway.rules.mask import read_mask
from gateway.rules.members import raw_of
from gateway.rules.paths import change, put, rename, take
from gateway.rules.places import Every, Place, overlapping, unknown
from gateway.rules.templates import attribute_of, read_attribute, read_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gateway.core.event import ExtensionValue
    from gateway.rules.change_reading import Reading
    from gateway.rules.draft import Draft
    from gateway.rules.keeping import Tree
    from gateway.rules.mask import Mask
    from gateway.rules.members import Node
    from gateway.rules.places import Part
    from gateway.rules.templates import AttributeValue, Value

Act: TypeAlias = "Callable[[Draft], None]"
Acts: TypeAlias = list[tuple[str, Act]]
"""Each with the path that its failure is told with."""
T = TypeVar("T")
Put: TypeAlias = "Callable[[], None]"
"""Puts in its place what was read."""
Maker: TypeAlias = "Callable[[Draft], Put]"
"""Reads what is to be put."""

_REQUIRED = frozenset(("id", "source", "type", "specversion"))
_UNMASKED = CORE - {"subject"}


class Step(NamedTuple):
    """One step, ready to be done."""

    path: str
    acts: tuple[tuple[str, Act], ...]


def read_step(content: object, path: str, reading: Reading) -> Step | None:
    """Read a step. None, and problems, if it is none."""
    if not isinstance(content, dict) or len(content) != 1:
        reading.wrong(path, f"{shown(content)}, expected a mapping with one of {', '.join(_VERBS)}")
        return None
    ((verb, detail),) = content.items()
    if not isinstance(verb, str) or verb not in _VERBS:
        reading.wrong(path, unknown("a step", verb, _VERBS))
        return None
    here = f"{path}.{verb}"
    return Step(here, tuple(_VERBS[verb](detail, here, reading)))


def _read_set(content: object, path: str, reading: Reading) -> Acts:
    makers: list[tuple[str, Maker]] = []
    named: list[Place] = []
    for place, detail, here in _data_first(_places(content, path, reading, "places to values")):
        named.append(place)
        if place.root == "specversion":
            reading.wrong(here, "specversion is always 1.0, expected another attribute")
        elif place.is_data:
            if (value := read_value(detail, here, reading)) is not None:
                makers.append((here, partial(_made_for_data, place, value)))
        elif (attribute := read_attribute(detail, place.root, here, reading)) is not None:
            makers.append((here, partial(_made_for_attribute, place.root, attribute)))
    _refuse_overlap(named, path, reading)
    if len(makers) == 1:
        ((here, maker),) = makers
        return [(here, lambda draft: maker(draft)())]
    return [*((here, partial(_hold, maker)) for here, maker in makers), *((here, _release) for here, _ in makers)]


def _made_for_data(place: Place, value: Value, draft: Draft) -> Put:
    return partial(_put_data, draft, place, value(draft))


def _made_for_attribute(name: str, value: AttributeValue, draft: Draft) -> Put:
    return partial(draft.put_attribute, name, value(draft))


def _put_data(draft: Draft, place: Place, node: Node) -> None:
    if not place.parts:
        draft.replace_data(node)
    elif put(draft.top(), place, node, draft.budget):
        draft.declare_json()


def _hold(maker: Maker, draft: Draft) -> None:
    draft.held.append(maker(draft))


def _release(draft: Draft) -> None:
    draft.held.pop(0)()


def _read_remove(content: object, path: str, reading: Reading) -> Acts:
    named: list[tuple[Place, None, str]] = []
    for index, text in enumerate(reading.sequence(content, path, "places")):
        here = f"{path}[{index}]"
        if (place := reading.place(text, here)) is None:
            continue
        if place.root in _REQUIRED:
            reading.wrong(here, f"{place} cannot be removed, expected another attribute or a place in the data")
        named.append((place, None, here))
    return [(here, partial(_remove, place)) for place, _, here in _data_first(_last_first(named))]


def _remove(place: Place, draft: Draft) -> None:
    if not place.is_data:
        draft.drop_attribute(place.root)
    elif not place.parts:
        draft.replace_data(None)
    elif take(draft.top(), place, draft.budget):
        draft.touch()


def _read_keep(content: object, path: str, reading: Reading) -> Acts:
    paths: list[tuple[Part, ...]] = []
    extensions: set[str] = set()
    acts: Acts = []
    for index, text in enumerate(reading.sequence(content, path, "places")):
        here = f"{path}[{index}]"
        if (place := reading.place(text, here)) is None:
            continue
        if place.is_data:
            paths.append(place.parts)
        elif place.root in CORE:
            reading.wrong(here, f"{place} stays in any case, expected an extension or a place in the data")
        else:
            extensions.add(place.root)
    if paths and () not in paths:
        acts.append((path, partial(_keep_data, tree_of(paths))))
    if extensions:
        acts.append((path, lambda draft: draft.keep_extensions(extensions)))
    return acts


def _keep_data(tree: Tree, draft: Draft) -> None:
    top = draft.top()
    if "data" in top:
        top["data"] = kept(top["data"], tree, draft.budget)
        draft.touch()


def _read_rename(content: object, path: str, reading: Reading) -> Acts:
    moves: list[tuple[Place, Place, str]] = []
    inside: dict[Place, tuple[str, dict[str, str]]] = {}
    sources: list[Place] = []
    targets: list[Place] = []
    for place, text, here in _places(content, path, reading, "places to places"):
        if (target := reading.place(text, here)) is None:
            continue
        sources.append(place)
        targets.append(target)
        if place.root in _REQUIRED or target.root == "specversion":
            reading.wrong(here, f"{place} cannot become {target}: expected set, or another attribute")
        elif (names := _names(place, target)) is not None:
            inside.setdefault(place.upto(len(place.parts) - 1), (here, {}))[1][names[0]] = names[1]
        elif Every.ELEMENT in (*place.parts, *target.parts):
            reading.wrong(here, f"{target} stands elsewhere, expected with [*] a place that differs in its last name")
        else:
            moves.append((place, target, here))
    _refuse_overlap(sources, path, reading)
    _refuse_overlap(targets, path, reading)
    ordered = _data_first(_last_first(moves))
    return [
        *((here, partial(_take_out, place, target)) for place, target, here in ordered),
        *((here, partial(_rename_inside, parent, names)) for parent, (here, names) in inside.items()),
        *((here, _release) for _, _, here in ordered),
    ]


def _names(place: Place, target: Place) -> tuple[str, str] | None:
    """The two names, if the places are members of the same objects."""
    if place.parts and target.parts and place.parts[:-1] == target.parts[:-1]:
        old, new = place.parts[-1], target.parts[-1]
        if isinstance(old, str) and isinstance(new, str):
            return old, new
    return None


def _rename_inside(parent: Place, names: dict[str, str], draft: Draft) -> None:
    if rename(draft.top(), parent, names, draft.budget):
        draft.touch()


def _take_out(place: Place, target: Place, draft: Draft) -> None:
    """Take out what is to stand elsewhere, and hold how to put it there."""
    draft.held.append(_nothing)
    if not place.is_data:
        if (value := draft.attribute(place.root)) is not None:
            draft.drop_attribute(place.root)
            draft.held[-1] = _moved(draft, value, place, target)
    elif taken := take(draft.top(), place, draft.budget):
        draft.touch()
        draft.held[-1] = _moved(draft, taken[0], place, target)


def _moved(draft: Draft, found: ExtensionValue | Node, place: Place, target: Place) -> Put:
    if isinstance(found, Raw | dict | list):
        if target.is_data:
            return partial(_put_data, draft, target, found)
        return partial(draft.put_attribute, target.root, attribute_of(raw_of(found), target.root, place))
    if target.is_data:
        return partial(_put_data, draft, target, as_json(found))
    return partial(draft.put_attribute, target.root, canonical(found) if target.root in CORE else found)


def _nothing() -> None:
    """What is not there stays so."""


def _read_template(content: object, path: str, reading: Reading) -> Acts:
    value = read_value(content, path, reading)
    return [] if value is None else [(path, lambda draft: draft.replace_data(value(draft)))]


def _read_mask(content: object, path: str, reading: Reading) -> Acts:
    acts: Acts = []
    named: list[Place] = []
    for place, how, here in _data_first(_places(content, path, reading, "places to masks")):
        named.append(place)
        if place.root in _UNMASKED:
            reading.wrong(here, f"{place} cannot be masked, expected subject, an extension or a place in the data")
        elif (mask := read_mask(how, here, reading)) is not None:
            acts.append((here, partial(_mask_data if place.is_data else _mask_attribute, place, mask)))
    _refuse_overlap(named, path, reading)
    return acts


def _mask_data(place: Place, mask: Mask, draft: Draft) -> None:
    budget = draft.budget
    if change(draft.top(), place, budget, lambda node: mask.of_node(node, budget)):
        draft.touch()


def _mask_attribute(place: Place, mask: Mask, draft: Draft) -> None:
    if (value := draft.attribute(place.root)) is not None:
        draft.put_attribute(place.root, mask.of_text(canonical(value)))


def _places(content: object, path: str, reading: Reading, what: str) -> Iterator[tuple[Place, object, str]]:
    """The places that a mapping names, each with what it is mapped to and its path."""
    for text, detail in reading.mapping(content, path, what).items():
        here = f"{path}.{text!s:.60}"
        if (place := reading.place(text, path)) is not None:
            yield place, detail, here


def _data_first(named: Iterable[tuple[Place, T, str]]) -> list[tuple[Place, T, str]]:
    """So that data is read and written as what it is declared before the declaration changes."""
    return sorted(named, key=lambda entry: not entry[0].is_data)


def _last_first(named: Iterable[tuple[Place, T, str]]) -> list[tuple[Place, T, str]]:
    """So that taking out an element changes no index that is named after it."""
    return sorted(named, key=lambda entry: [_rank(part) for part in entry[0].parts], reverse=True)


def _rank(part: Part) -> tuple[int, int, str]:
    if isinstance(part, str):
        return (0, 0, part)
    return (1, part, "") if isinstance(part, int) else (2, 0, "")


def _refuse_overlap(places: list[Place], path: str, reading: Reading) -> None:
    if (found := overlapping(places)) is not None:
        reading.wrong(path, f"{found[0]} and {found[1]} overlap, expected them in steps of their own")


_VERBS: dict[str, Callable[[object, str, Reading], Acts]] = {
    "set": _read_set,
    "remove": _read_remove,
    "keep": _read_keep,
    "rename": _read_rename,
    "template": _read_template,
    "mask": _read_mask,
}
