from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from gateway.app import yaml
from gateway.app.schema import json_schema

if TYPE_CHECKING:
    from pathlib import Path

HOUSE = """
region: eu-west
node: n1
data: /var/lib/isthmus
insecure: true
log: {keep: 3d, at_most: 50GiB, full: refuse, forget: 7d, tail: 64MiB}
dedupe: {for: 10m, at_most: 1000000}
limits: {event: 1MiB, connections: "${CONNECTIONS:-100}", idle_timeout: 1m 30s}
sinks:
  vault:
    acme.vault: {address: "https://x", token: "${file:/run/secrets/vault}", timeout: 10s, inner: {depth: 2}}
subscriptions:
  bill-orders:
    from: [us-east, eu-west]
    filter: {all: [{prefix: {type: com.acme.order.}}, {not: {exact: {subject: x}}}]}
    to: vault
    order_by: subject
    lanes: ${LANES}
    batch: 10
    retry: {first: 200ms, longest: 30s, give_up: 1d}
    start: 2026-11-23T05:00:00Z
    poison: block
    stamp: false
    paused: ${PAUSED}
    was: billing
federation: {listen: 0.0.0.0:7443, peers: {us-east: [10.1.0.4:7443]}}
api: {http: 127.0.0.1:8080, grpc: 127.0.0.1:7070}
logging: {level: debug, format: json}
"""


def problems(folder: Path, text: str) -> list[str]:
    file = folder / "node.yaml"
    file.write_text(text)
    return [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(json_schema()).iter_errors(yaml.read(file).value)
    ]


@pytest.mark.usefixtures("installed")
def test_it_is_a_schema_and_takes_a_whole_config(tmp_path: Path) -> None:
    Draft202012Validator.check_schema(json_schema())

    assert problems(tmp_path, HOUSE) == []


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("keep: 3d", "keep: 3"),
        ("keep: 3d", "kep: 3d"),
        ("at_most: 50GiB", "at_most: 50"),
        ("full: refuse", "full: maybe"),
        ("node: n1", "node: N_1"),
        ("batch: 10", "batch: 0"),
        ("depth: 2", "depths: 2"),
        ("address:", "adress:"),
        ("  vault:\n    acme.vault", "  Vault:\n    acme.vault"),
        ("acme.vault", "acme.volt"),
        ("to: vault", "too: vault"),
        ("stamp: false", "stamp: 7"),
        ("peers: {us-east", "peers: {US"),
        ("[10.1.0.4:7443]", "[10.1.0.4]"),
    ],
)
def test_what_load_refuses_the_schema_refuses(tmp_path: Path, right: str, wrong: str) -> None:
    assert right in HOUSE

    assert problems(tmp_path, HOUSE.replace(right, wrong))


def test_defaults_are_written_with_their_units() -> None:
    found = json_schema()["$defs"]["LogConfig"]["properties"]

    assert (found["keep"]["default"], found["at_most"]["default"]) == ("3d", "50GiB")
