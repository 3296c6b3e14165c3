"""Filters, changes and keys in running nodes: what passes arrives, nothing else does, and nothing unmasked ever."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.e2e.alone import Alone, alone, isthmus
from tests.e2e.processes import free_port, node, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.e2e.processes import Region

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SECRET = "made-up-0123456789abcdef"
KINDS = ("order.placed", "order.paid", "order.returned", "stock.counted")
FOUR = """
keys: {{pii: {{"1": "${{file:key}}"}}}}
sinks:
  dialects: {{file: {{path: "{folder}/dialects.jsonl"}}}}
  pattern: {{file: {{path: "{folder}/pattern.jsonl"}}}}
  cesql: {{file: {{path: "{folder}/cesql.jsonl"}}}}
  cel: {{file: {{path: "{folder}/cel.jsonl"}}}}
subscriptions:
  dialects:
    filter:
      - prefix: {{type: order.}}
      - not: {{any: [{{suffix: {{type: .paid}}}}, {{exact: {{urgent: "true"}}}}]}}
    change: [{{mask: {{data.customer.card: {{hash: pii}}, data.customer.name: redact}}}}]
    to: dialects
    start: earliest
  pattern:
    match: {{type: [{{prefix: order.}}], data: {{total: [{{numeric: [">", 100]}}], items: {{sku: [a]}}}}}}
    change:
      - set: {{subject: "{{data.customer.card}}"}}
      - mask: {{subject: {{keep_last: 4}}, data.customer: redact}}
    to: pattern
    start: earliest
  cesql:
    cesql: type = 'stock.counted' OR (urgent AND source LIKE '%/1')
    change: [{{remove: [data.customer]}}]
    to: cesql
    start: earliest
  cel:
    cel: data.total < 20.0 && !has(attributes.urgent)
    change: [{{keep: [data.total, urgent]}}, {{rename: {{data.total: data.sum}}}}]
    to: cel
    start: earliest
"""


def event(number: int) -> dict[str, Any]:
    """One of many kinds; each has a card number and a name that nobody may see."""
    urgent = {"urgent": True} if number % 5 == 0 else {}
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": f"/shop/{number % 3}",
        "type": KINDS[number % len(KINDS)],
        **urgent,
        "data": {
            "total": number % 200 + 0.5,
            "items": [{"sku": "ab"[number % 2]}, {"sku": "c"}],
            "customer": {"card": f"41110000{number:08d}", "name": f"Ada the {number}th"},
        },
    }


def wanted(number: int) -> dict[str, bool]:
    """Which of the four want it, said once more in Python."""
    of = event(number)
    kind, total, urgent = of["type"], of["data"]["total"], "urgent" in of
    return {
        "dialects": kind.startswith("order.") and kind != "order.paid" and not urgent,
        "pattern": kind.startswith("order.") and total > 100 and number % 2 == 0,
        "cesql": kind == "stock.counted" or (urgent and number % 3 == 1),
        "cel": total < 20 and not urgent,
    }


def expected(name: str, number: int) -> dict[str, Any]:
    """What the subscription makes of it, but for the stamp."""
    of = {**event(number), "datacontenttype": "application/json"}
    data, card = of["data"], of["data"]["customer"]["card"]
    match name:
        case "dialects":
            hashed = hmac.digest(SECRET.encode(), card.encode(), hashlib.sha256).hex()
            data["customer"] = {"card": f"1:{hashed}", "name": "***"}
        case "pattern":
            of["subject"], data["customer"] = f"************{card[-4:]}", "***"
        case "cesql":
            del data["customer"]
        case _:
            of["data"] = {"sum": data["total"]}
    return of


async def publish(http: int, events: Sequence[dict[str, Any]]) -> None:
    """Post events until they are acknowledged, over a node's death too."""
    headers = {"content-type": "application/cloudevents-batch+json"}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        while True:
            try:
                url = f"http://127.0.0.1:{http}/events"
                async with session.post(url, data=json.dumps(events), headers=headers) as answer:
                    assert answer.status == 202, await answer.text()
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)  # it is down; what was not acknowledged is sent again


def lines(file: Path) -> list[dict[str, Any]]:
    """The events in a sink's file; one that is being written just now is not one yet."""
    text = file.read_text() if file.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def ids(file: Path) -> set[int]:
    return {int(line["id"]) for line in lines(file)}


async def restart(region: Region) -> None:
    await region.kill()
    await region.start()
    await region.ready()


async def test_four_languages_choose_and_change_over_kills(tmp_path: Path) -> None:
    """What each sink has is what its filter passes, as its change makes it, whenever the node was killed."""
    (tmp_path / "key").write_text(f"{SECRET}\n")
    one = alone(tmp_path, FOUR.format(folder=tmp_path))
    count = 1200
    due = {name: {number for number in range(count) if wanted(number)[name]} for name in wanted(0)}
    await one.node.start()
    await one.node.ready()

    for begin in range(0, count, 40):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(publish(one.node.http, [event(number) for number in range(begin, begin + 40)]))
            if begin % 400 == 200:
                await until(lambda: ids(tmp_path / "cesql.jsonl"))
                await restart(one.node)
    await until(lambda: all(due[name] <= ids(tmp_path / f"{name}.jsonl") for name in due), limit=40)
    metrics = await one.metrics()
    await one.node.stop()

    assert all(len(numbers) > 50 for numbers in due.values())
    for name, numbers in due.items():
        assert ids(tmp_path / f"{name}.jsonl") == numbers
        for line in lines(tmp_path / f"{name}.jsonl"):
            assert line.pop("isthorigin")
            assert line == expected(name, int(line["id"]))
    written = "".join((tmp_path / f"{name}.jsonl").read_text() for name in due)
    assert "41110000" not in written
    assert "Ada" not in written
    assert SECRET not in one.said
    assert not [name for name, value in metrics.items() if "dead_letters" in name and value]


A = """
region: a
data: "{folder}/a"
api: {{http: "127.0.0.1:{http_a}"}}
federation: {{listen: "127.0.0.1:{link_a}", peers: {{b: ["127.0.0.1:{link_b}"]}}}}
sinks: {{here: {{file: {{path: "{folder}/here.jsonl"}}}}}}
subscriptions: {{here: {{cesql: type = 'nothing like this', to: here}}}}
"""
B = """
region: b
data: "{folder}/b"
api: {{http: "127.0.0.1:{http_b}"}}
federation: {{listen: "127.0.0.1:{link_b}", peers: {{a: ["127.0.0.1:{link_a}"]}}}}
keys: {{pii: {{"1": "${{file:{folder}/key}}"}}}}
sinks:
  large: {{file: {{path: "{folder}/large.jsonl"}}}}
  urgent: {{file: {{path: "{folder}/urgent.jsonl"}}}}
subscriptions:
  large:
    from: [a]
    match: {{data: {{total: [{{numeric: [">=", 190]}}]}}}}
    change: [{{mask: {{data.customer.card: {{hash: pii}}, data.customer.name: redact}}}}]
    to: large
    start: earliest
  urgent:
    from: [a]
    filter: [{{sql: urgent}}, {{match: {{data: {{items: {{sku: [b]}}}}}}}}, {{cel: data.total < 50.0}}]
    change: [{{mask: {{data.customer.card: {{hash: pii}}, data.customer.name: redact}}}}]
    to: urgent
    start: earliest
"""


def crosses(number: int) -> dict[str, bool]:
    total = event(number)["data"]["total"]
    return {"large": total >= 190, "urgent": number % 5 == 0 and number % 2 == 1 and total < 50}


async def test_what_no_filter_of_a_region_passes_does_not_cross(tmp_path: Path) -> None:
    """A serves B what B's filters on data pass, and not one event more; killed on both sides, it stays complete."""
    ports = {name: free_port() for name in ("http_a", "http_b", "link_a", "link_b")}
    (tmp_path / "key").write_text(SECRET)
    for name, text in (("a", A), ("b", B)):
        (tmp_path / f"{name}.yaml").write_text(text.format(folder=tmp_path, **ports))
    first, second = (node(tmp_path / f"{name}.yaml", http=ports[f"http_{name}"]) for name in "ab")
    count = 600

    def has_all(upto: int) -> bool:
        return all(
            ids(tmp_path / f"{name}.jsonl") >= {number for number in range(upto) if crosses(number)[name]}
            for name in ("large", "urgent")
        )

    for region in (first, second):
        await region.start()
        await region.ready()
    await publish(first.http, [event(number) for number in range(count)])
    await until(lambda: has_all(count), limit=30)
    metrics = await Alone(first, tmp_path, tmp_path).metrics()
    received = await Alone(second, tmp_path, tmp_path).metrics()

    async with asyncio.TaskGroup() as tasks:
        for begin in range(count, 2 * count, 50):
            tasks.create_task(publish(first.http, [event(number) for number in range(begin, begin + 50)]))
        await restart(second)
        await restart(first)
    await until(lambda: has_all(2 * count), limit=40)
    for region in (first, second):
        await region.stop()

    crossed = sum(any(crosses(number).values()) for number in range(count))
    assert 0 < crossed < count / 5
    assert metrics['isthmus_served_events_total{region="b"}'] == crossed
    assert sum(value for name, value in received.items() if name.startswith("isthmus_link_events_total")) == crossed
    for name in ("large", "urgent"):
        assert ids(tmp_path / f"{name}.jsonl") == {number for number in range(2 * count) if crosses(number)[name]}
        for line in lines(tmp_path / f"{name}.jsonl"):
            assert line["data"]["customer"] == expected("dialects", int(line["id"]))["data"]["customer"]
    assert not lines(tmp_path / "here.jsonl")
    assert SECRET not in first.log.read_text() + second.log.read_text()


STRICT = """
keys: {{pii: {{"1": "${{file:key}}"}}}}
sinks: {{out: {{file: {{path: "{folder}/out.jsonl"}}}}}}
subscriptions:
  strict:
    match: {{type: [{{prefix: order.}}]}}
    change:
      - mask: {{data.customer.card: {{hash: pii}}, data.customer.name: redact}}
      - set: {{subject: "{place}"}}
    to: out
    start: earliest
"""


async def letters(one: Alone) -> list[dict[str, Any]]:
    code, said = await isthmus("dead-letters", "list", one.config, "--json")
    assert code == 0, said
    found: list[dict[str, Any]] = json.loads(said)
    return found


async def test_what_a_change_failed_on_is_sent_masked_once_the_config_is_mended(tmp_path: Path) -> None:
    """A dead letter keeps the event as it came in; sent again, it goes through the changes of that time."""
    (tmp_path / "key").write_text(SECRET)
    one = alone(tmp_path, STRICT.format(folder=tmp_path, place="{data.order}"))
    out = tmp_path / "out.jsonl"
    await one.node.start()
    await one.node.ready()
    good = [{**event(number), "data": {**event(number)["data"], "order": f"o-{number}"}} for number in (0, 1, 2)]
    bad = [event(number) for number in (4, 5, 6, 7)]

    await publish(one.node.http, [*good, *bad])
    await _grown(one, 3)
    buried = await letters(one)
    assert ids(out) == {0, 1, 2}
    code, said = await isthmus("dead-letters", "resend", "--data", one.config, "--all")
    assert (code, said.strip()) == (0, "3 will be sent again")
    await _grown(one, 3, redrives=1)
    again = await letters(one)
    assert ids(out) == {0, 1, 2}
    one.config.write_text(one.config.read_text().replace("{data.order}", "{data.order|none}"))
    await restart(one.node)
    code, said = await isthmus("dead-letters", "resend", "--data", one.config, "--subscription", "strict")
    assert (code, said.strip()) == (0, "3 will be sent again")
    await restart(one.node)
    await until(lambda: ids(out) == {0, 1, 2, 4, 5, 6})
    left = await letters(one)
    await one.node.stop()

    reason = "subscriptions.strict.change[1].set.subject: data.order is not there"
    assert [(letter["reason"], letter["redrives"]) for letter in buried] == [(reason, 0)] * 3
    assert [(letter["reason"], letter["redrives"]) for letter in again] == [(reason, 1)] * 3
    assert {int(letter["event"]["id"]): letter["event"]["data"] for letter in again} == {
        number: event(number)["data"] for number in (4, 5, 6)
    }
    assert left == []
    subjects = {int(line["id"]): line["subject"] for line in lines(out)}
    assert subjects == {0: "o-0", 1: "o-1", 2: "o-2", 4: "none", 5: "none", 6: "none"}
    assert "41110000" not in out.read_text()
    assert "Ada" not in out.read_text()


async def _grown(one: Alone, count: int, *, redrives: int = 0) -> None:
    """Wait until there are that many dead letters, all sent again so often."""
    async with asyncio.timeout(20):
        while [letter["redrives"] for letter in await letters(one)] != [redrives] * count:
            await asyncio.sleep(0.05)


async def test_a_wrong_rule_keeps_a_node_from_starting(tmp_path: Path) -> None:
    """With all that is wrong, and without the secret."""
    (tmp_path / "key").write_text(SECRET)
    text = FOUR.format(folder=tmp_path)
    for right, wrong in (("- prefix:", "- prefx:"), ("OR (urgent", "OR urgent ("), ("{hash: pii}", "{hash: pi}")):
        assert right in text
        text = text.replace(right, wrong)
    one = alone(tmp_path, text)

    code, said = await isthmus("run", one.config)

    assert code == 2
    assert len(said.splitlines()) == 3
    assert "subscriptions.dialects.filter[0]: 'prefx' is not a dialect" in said
    assert "subscriptions.cesql.cesql: line 1, column " in said
    assert "hash: 'pi' is not a key" in said
    assert SECRET not in said
