"""`make bench-rules`: what a filter costs, beside other engines on the same events; writes build/bench-rules.json.

Every figure is the least of several rounds over events of 1 KB that differ, in
µs an event, in this process; peers are asked the same question in the same
rounds, by turns, because the machine's speed drifts.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cel
from moto.events.models import EventPattern
from rich.console import Console
from rich.table import Table

from benchmarks.events import make
from gateway.codec.json import encode
from gateway.rules.dialects import compile_filter
from gateway.rules.lens import Lens
from gateway.rules.match import Matcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.core.event import Event

BUILD = Path("build")
_EVENTS = 2000
_BATCH = 100
_PUBLISHED = {"event-ruler (published, JVM)": 1e6 / 220_000}
"""µs an event of a peer that is not measured here."""


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    events = make("bench", 0, _EVENTS)
    documents = [encode(event) for event in events]
    rows = [
        *_compared("attribute filter", _attribute(events, documents), options.rounds),
        *_compared("data filter, with parsing", _data(events), options.rounds),
        *_chosen(events, options.rounds),
        *_indexed(events, options.rounds),
    ]
    table = Table(title="filters: µs an event of 1 KB")
    for heading in ("case", "engine", "µs/event", "× ours"):
        table.add_column(heading, justify="right" if heading[0] in "µ×" else "left")
    for row in rows:
        table.add_row(*(f"{value:,.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench-rules.json").write_text(json.dumps(rows, indent=1) + "\n")


def _attribute(events: Sequence[Event], documents: Sequence[bytes]) -> dict[str, Callable[[int], object]]:
    pattern = {"type": [{"prefix": "com.acme.order."}], "source": [{"prefix": "/shop/"}]}
    parsed = [json.loads(document) for document in documents]
    program = cel.compile("type.startsWith('com.acme.order.') && source.startsWith('/shop/')")
    moto = EventPattern.load(json.dumps(pattern))
    filters = {
        "isthmus filter": compile_filter([{"prefix": {"type": "com.acme.order."}}, {"prefix": {"source": "/shop/"}}]),
        "isthmus match": compile_filter({"match": pattern}),
        "isthmus cesql": compile_filter({"sql": "type LIKE 'com.acme.order.%' AND source LIKE '/shop/%'"}),
        "isthmus cel": compile_filter({"cel": program.source}),
    }
    return {name: _asking(rule.matches, events) for name, rule in filters.items()} | {
        "moto": lambda number: moto.matches_event(parsed[number]),
        "cel, document at hand": lambda number: program.execute(parsed[number]),
    }


def _data(events: Sequence[Event]) -> dict[str, Callable[[int], object]]:
    inner = {"currency": ["EUR"], "shipping": {"price": [{"numeric": ["<", 5]}]}, "order": [{"prefix": "7000"}]}
    program = cel.compile("data.currency == 'EUR' && data.shipping.price < 5.0 && data.order.startsWith('7000')")
    moto = EventPattern.load(json.dumps({"data": inner}))
    filters = {
        "isthmus match": compile_filter({"match": {"data": inner}}),
        "isthmus cel": compile_filter({"cel": program.source}),
    }
    found: dict[str, Callable[[int], object]] = {name: _asking(rule.matches, events) for name, rule in filters.items()}
    found["json.loads alone"] = lambda number: json.loads(events[number].data or b"")
    found["json.loads and moto"] = lambda number: moto.matches_event({"data": json.loads(events[number].data or b"")})
    found["json.loads and cel"] = lambda number: program.execute({"data": json.loads(events[number].data or b"")})
    try:
        import jsonatapy  # noqa: PLC0415  no wheel for every Python
    except ImportError:
        return found
    expression = jsonatapy.compile("currency = 'EUR' and shipping.price < 5 and $substring(order, 0, 4) = '7000'")
    found["json.loads and jsonata"] = lambda number: expression.evaluate(json.loads(events[number].data or b""))
    return found


def _asking(matches: Callable[[Event], bool], events: Sequence[Event]) -> Callable[[int], object]:
    return lambda number: matches(events[number])


def _compared(case: str, engines: dict[str, Callable[[int], object]], rounds: int) -> list[dict[str, object]]:
    """Each engine in each round; what the loop itself costs is taken off."""
    empty = _least([lambda number: number], rounds)[0]
    figures = [figure - empty for figure in _least(list(engines.values()), rounds)]
    rows: list[dict[str, object]] = [
        {"case": case, "engine": name, "us_per_event": round(figure, 3), "ratio": round(figure / figures[0], 2)}
        for name, figure in zip(engines, figures, strict=True)
    ]
    if case.startswith("data"):
        rows += [
            {"case": case, "engine": name, "us_per_event": round(figure, 3), "ratio": round(figure / figures[0], 2)}
            for name, figure in _PUBLISHED.items()
        ]
    return rows


def _least(asked: Sequence[Callable[[int], object]], rounds: int) -> list[float]:
    least = [float("inf")] * len(asked)
    for _ in range(rounds):
        for index, ask in enumerate(asked):
            began = time.perf_counter()
            for number in range(_EVENTS):
                ask(number)
            least[index] = min(least[index], (time.perf_counter() - began) / _EVENTS * 1e6)
    return least


def _chosen(events: Sequence[Event], rounds: int) -> list[dict[str, object]]:
    """Ten subscriptions that hardly an event is for, as a node asks them: a batch at a time."""
    kinds: dict[str, Callable[[int], object]] = {
        "begins of a text": lambda number: {"customer": [{"prefix": f"c-{number:04}"}]},
        "ranges of a number": lambda number: {"shipping": {"price": [{"numeric": ["<", number / 10]}]}},
        "values in an array": lambda number: {"lines": {"quantity": [100 + number]}},
        "no keys to look up": lambda number: {"currency": [{"anything-but": ["EUR", f"X{number}"]}]},
    }
    rows: list[dict[str, object]] = []
    for name, make_spec in kinds.items():
        lens = Lens()
        rules = {str(number): compile_filter({"match": {"data": make_spec(number)}}, lens=lens) for number in range(10)}
        least = _least_chosen(Matcher(rules, lens), events, rounds)
        case = f"10 subscriptions on the data, batches of {_BATCH}: {name}"
        rows.append({"case": case, "engine": "isthmus index", "us_per_event": round(least, 3), "ratio": 1.0})
    return rows


def _indexed(events: Sequence[Event], rounds: int) -> list[dict[str, object]]:
    kinds: dict[str, Callable[[int], object]] = {
        "exact type": lambda number: {"exact": {"type": f"com.acme.order.kind{number}"}},
        "prefix of the subject": lambda number: {"prefix": {"subject": f"order-{70_000_000 + number}"}},
        "cesql, type and source": lambda number: {"sql": f"type = 'kind{number}' AND source LIKE '/shop/%'"},
        "one type, customer in the data": lambda number: {
            "match": {"type": [{"prefix": "com.acme."}], "data": {"customer": [f"c-{number:05}"]}}
        },
    }
    rows: list[dict[str, object]] = []
    for count in (1000, 10_000, 100_000):
        for name, make_spec in kinds.items():
            lens = Lens()
            began = time.perf_counter()
            rules = {str(number): compile_filter(make_spec(number), lens=lens) for number in range(count)}
            matcher = Matcher(rules, lens)
            took = time.perf_counter() - began
            gc.collect()
            gc.freeze()
            fresh = _least_chosen(matcher, events, 1)
            warm = _least_chosen(matcher, events, max(2, rounds // 2))
            for what, figure in (("", warm), (", values never seen before", fresh)):
                rows.append(
                    {
                        "case": f"{count:,} subscriptions: {name}{what}",
                        "engine": f"isthmus index (built in {took:.1f} s)",
                        "us_per_event": round(figure, 3),
                        "ratio": 1.0,
                    }
                )
            gc.unfreeze()
    return rows


def _least_chosen(matcher: Matcher, events: Sequence[Event], rounds: int) -> float:
    """µs an event, asked a batch at a time."""
    batches = [events[start : start + _BATCH] for start in range(0, _EVENTS, _BATCH)]
    least = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        for batch in batches:
            matcher.choose(batch)
        least = min(least, (time.perf_counter() - began) / _EVENTS * 1e6)
    return least


if __name__ == "__main__":
    main()
