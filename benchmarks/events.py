"""The same 1 KB CloudEvents for everybody: nine attributes, an order as JSON data, never twice the same."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import NamedTuple

from gateway.core.event import Event

_POOL = 4096
_WORDS = (
    "lamp brass oak shelf wool rug mug stone linen cushion desk chair mirror frame clock vase glass candle basket "
    "throw curtain rail hook board tray bowl plate spoon kettle pan grater timer scale apron towel bath mat soap dish"
).split()
_CITIES = ("Praha", "Brno", "Wien", "Graz", "Berlin", "Leipzig", "Lyon", "Nantes", "Porto", "Braga", "Gent", "Aarhus")
_TYPES = tuple(f"com.acme.order.{verb}" for verb in ("placed", "changed", "packed", "shipped", "returned", "closed"))


class Sample(NamedTuple):
    """All of an event but its id."""

    event: Event
    head: bytes
    """The structured document before the id, and `tail` after it."""
    tail: bytes


@cache
def samples() -> list[Sample]:
    """The pool that events are made from."""
    chance = random.Random(20261123)
    return [_sample(chance, number) for number in range(_POOL)]


def _sample(chance: random.Random, number: int) -> Sample:
    customer = f"c-{chance.randrange(100_000):05}"
    lines = [
        {
            "sku": f"{chance.choice(_WORDS).upper()}-{chance.choice(_WORDS).upper()}-{chance.randrange(100):02}",
            "name": f"{chance.choice(_WORDS)} {chance.choice(_WORDS)}",
            "quantity": chance.randrange(1, 9),
            "price": chance.randrange(199, 39_900) / 100,
            "taxable": True,
        }
        for _ in range(4)
    ]
    order = {
        "order": f"{70_000_000 + number}",
        "customer": customer,
        "currency": "EUR",
        "lines": lines,
        "shipping": {"method": "parcel", "price": 4.9, "carrier": "northpost"},
        "address": {
            "street": f"{chance.choice(_WORDS).title()} street {chance.randrange(1, 200)}",
            "city": chance.choice(_CITIES),
            "postcode": f"{chance.randrange(10_000, 99_999)}",
            "country": "EU",
        },
        "note": " ".join(chance.choices(_WORDS, k=20)),
    }
    event = Event(
        id="",
        source=f"/shop/checkout/{chance.randrange(16)}",
        type=chance.choice(_TYPES),
        subject=f"order-{70_000_000 + number}",
        time=f"2026-11-23T08:{chance.randrange(60):02}:{chance.randrange(60):02}.{chance.randrange(1000):03}Z",
        datacontenttype="application/json",
        data=json.dumps(order, separators=(",", ":")).encode(),
        extensions={
            "partitionkey": customer,
            "traceparent": f"00-{chance.randbytes(16).hex()}-{chance.randbytes(8).hex()}-01",
        },
    )
    attributes = {
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time,
        "datacontenttype": event.datacontenttype,
        **event.extensions,
    }
    inside = json.dumps(attributes, separators=(",", ":"))[1:-1].encode()
    return Sample(event, b'{"specversion":"1.0","id":"', b'",' + inside + b',"data":' + (event.data or b"null") + b"}")


def make(run: str, first: int, count: int) -> list[Event]:
    """So many events from a number on; the same numbers are the same events."""
    pool = samples()
    made = []
    for number in range(first, first + count):
        one = pool[number % _POOL].event
        made.append(
            Event(
                f"{run}-{number}",
                one.source,
                one.type,
                one.subject,
                one.time,
                one.datacontenttype,
                None,
                one.data,
                one.extensions,
            )
        )
    return made


def documents(run: str, first: int, count: int) -> list[bytes]:
    """The same events as structured JSON documents."""
    pool = samples()
    made = []
    for number in range(first, first + count):
        one = pool[number % _POOL]
        made.append(b"%b%b-%d%b" % (one.head, run.encode(), number, one.tail))
    return made
