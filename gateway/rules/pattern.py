"""EventBridge event patterns, over CloudEvents and over any JSON document, compiled to one function each.

    text ─parse_pattern─▶ spec ─read─▶ nodes ─write─▶ one Python expression ─▶ Rule
                                          └▶ anchors for an index, paths for the lens

The law: a compiled pattern says what AWS says. Where AWS's published engine
(event-ruler) and the recorded answers of its service differ, the service
counts. Known differences, each on purpose:

- A wildcard may be as complex as one likes: AWS refuses some, because its
  automaton grows; here any takes linear time.
- `cidr` holds addresses of its own version and nothing else; event-ruler lets
  `0.0.0.0/0` hold numbers, words and IPv6 addresses, whose first digits fit.
- Alternatives of `$or` that have a value in common are asked in full;
  event-ruler may forget the other values of the second.
- A quotation mark in a prefix or suffix is one of the string; event-ruler
  takes it for the end of the string, too.
- Characters beyond U+FFFF are compared as they are when case is ignored;
  event-ruler makes question marks of them.
- A value found by a name with a dot, or in a member that stands twice, is
  free of the arrays that other values of the field are in.

Over events: of members of the data that stand twice the last counts, and a
fraction with more digits than a double holds is the double next to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.rules.lens import Lens
from gateway.rules.pattern_anchors import anchors_of, paths_read
from gateway.rules.pattern_explaining import Explainer
from gateway.rules.pattern_nodes import leaves
from gateway.rules.pattern_reading import read_pattern
from gateway.rules.pattern_text import parse_document, parse_pattern
from gateway.rules.pattern_writing import Writer
from gateway.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compile_pattern", "document_pattern", "parse_document", "parse_pattern"]


def compile_pattern(spec: object, path: str = "match", *, lens: Lens | None = None) -> Rule:
    """Compile a pattern over events, as YAML, JSON or `parse_pattern` gives it.

    It sees an event as its JSON form: the attributes, integers and booleans as
    such, other extensions by their canonical strings; `data` as the lens gives
    it, `data_base64` where that gives nothing. The lens is told what is read.

    :raises ConfigError: all that is wrong with it, each with its path from `path` on.
    """
    node = read_pattern(spec, path, of_event=True)
    fields = leaves(node)
    names = frozenset(leaf.path[0] for leaf in fields)
    lens = Lens() if lens is None else lens
    if "data" in names:
        lens.want(paths_read(fields))
    elif "data_base64" in names:
        lens.want(None)
    matches = Writer(node, lens.look).of_events()
    return Rule(
        matches=matches,
        explain=Explainer(node, path, lens.look, matches).explain,
        reads=names - {"data", "data_base64", "specversion"},
        looks="data" in names or "data_base64" in names,
        anchors=anchors_of(node),
    )


def document_pattern(spec: object, path: str = "") -> Callable[[object], bool]:
    """Compile the same language over any JSON document, such as an event of AWS; nothing but an object ever passes.

    Documents are what `parse_document` or any JSON parser gives.

    :raises ConfigError: all that is wrong with it, each with its path from `path` on.
    """
    return Writer(read_pattern(spec, path, of_event=False)).of_documents()
