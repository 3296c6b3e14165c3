from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.app.config import Config, Subscription, load
from gateway.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydantic import BaseModel

    Write = Callable[[str], Path]

SMALLEST = "region: eu-west\ndata: data\n"

MISTAKES = """\
data: /var/lib/isthmus
insecre: true
log:
  keep: 3 days
  at_most: 50
sources:
  orders:
    aws.sqss: {url: x}
sinks:
  Billing_1:
    acme.vault: {address: x}
  vault:
    acme.vault:
      addres: x
      inner: {depth: very}
subscriptions:
  bill:
    from: [eu-wst]
    to: valt
    lanes: 0
    start: yesterday
federation:
  listen: 0.0.0.0:7443
  peers: {eu-west: ["10.0.0.1:7443"]}
api:
  http: "0.0.0.0:8080"
  grpc: 127.0.0.1
limits:
  event: 4MiB
"""

FOUND = [
    (1, "region", "missing"),
    (2, "insecre", "did you mean 'insecure'?"),
    (4, "log.keep", "expected numbers with units such as 3d"),
    (5, "log.at_most", "expected a size with its unit"),
    (8, "sources.orders.aws.sqss", "unknown connector 'aws.sqss', expected one of acme.bare"),
    (10, "sinks.Billing_1", "DNS label"),
    (13, "sinks.vault.acme.vault.address", "missing"),
    (
        14,
        "sinks.vault.acme.vault.addres",
        "expected one of address, inner, part, timeout, token; did you mean 'address'?",
    ),
    (15, "sinks.vault.acme.vault.inner.depth", "expected a whole number"),
    (18, "subscriptions.bill.from[0]", "unknown region 'eu-wst', expected one of eu-west; did you mean 'eu-west'?"),
    (19, "subscriptions.bill.to", "unknown sink 'valt', expected one of Billing_1, vault; did you mean 'vault'?"),
    (20, "subscriptions.bill.lanes", "expected at least 1"),
    (21, "subscriptions.bill.start", "expected latest, earliest or an RFC 3339 time"),
    (23, "federation.listen", "other machines can reach this address"),
    (26, "api.http", "other machines can reach this address"),
    (27, "api.grpc", "expected host:port"),
    (29, "limits.event", "expected at most 3MiB"),
]


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return list(caught.value.problems)


@pytest.mark.usefixtures("installed")
def test_one_run_names_every_mistake_with_its_line_and_path(write: Write) -> None:
    path = write(MISTAKES)

    found = problems(path)

    for line, where, what in FOUND:
        assert any(text.startswith(f"{path}:{line}: {where}: ") and what in text for text in found), (where, found)
    assert len(found) == len(FOUND)


def test_the_smallest_config_is_a_region_and_a_place_for_data(write: Write, tmp_path: Path) -> None:
    config = load(write(SMALLEST))

    assert config.region == "eu-west"
    assert config.data == tmp_path / "data"
    assert (config.log.keep, config.log.at_most, config.dedupe.window) == (3 * 86400.0, 50 * 2**30, 600.0)


@pytest.mark.usefixtures("installed")
def test_a_subscription_wants_its_own_region_by_default(write: Write) -> None:
    config = load(
        write(SMALLEST + "sinks: {vault: {acme.vault: {address: x}}}\nsubscriptions: {bill: {to: vault, lanes: 2}}\n")
    )

    assert config.subscriptions["bill"] == Subscription(from_=["eu-west"], to="vault", lanes=2)
    assert config.sinks["vault"].connector == "acme.vault"


@pytest.mark.parametrize(
    ("start", "expected"),
    [("latest", "latest"), ("earliest", "earliest"), ("2026-11-23T05:00:00Z", 1795410000.0)],
)
@pytest.mark.usefixtures("installed")
def test_a_start_is_a_word_or_a_moment(write: Write, start: str, expected: str | float) -> None:
    sinks = "sinks: {vault: {acme.vault: {address: x}}}\n"

    config = load(write(SMALLEST + sinks + f"subscriptions: {{bill: {{to: vault, start: {start}}}}}\n"))

    assert config.subscriptions["bill"].start == expected


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "localhost:0", '"[::1]:80"', "127.8.8.8:1"])
def test_loopback_needs_no_permission(write: Write, address: str) -> None:
    assert load(write(SMALLEST + f"api:\n  http: {address}\n")).api.http


@pytest.mark.parametrize("address", ["0.0.0.0:8080", "example.com:80", '"[::]:80"', "10.0.0.1:80"])
def test_beyond_loopback_needs_permission(write: Write, address: str) -> None:
    text = SMALLEST + f"api:\n  grpc: {address}\n"

    assert "insecure: true" in problems(write(text))[0]
    assert load(write(text + "insecure: true\n")).insecure


@pytest.mark.parametrize("text", ["node: NO\n", "node: 22:22\n"])
def test_values_that_yaml_1_1_would_change_stay_strings(write: Write, text: str) -> None:
    """`NO` is not false and `22:22` is not 1342: both are strings, and neither is a DNS label."""
    assert "DNS label" in problems(write(SMALLEST + text))[0]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (SMALLEST + "region: us\n", 3, "region: duplicate key, the first is on line 1"),
        (SMALLEST + "log: {<<: {keep: 1d}}\n", 3, "merge keys are not YAML 1.2"),
        (SMALLEST + "node: !!binary YQ==\n", 3, "not known here"),
        (SMALLEST + "? [a]\n: 1\n", 3, "expected a name"),
        (SMALLEST + "log: {keep: 1d\n", 4, "not YAML"),
        (SMALLEST + "---\nregion: x\n", 3, "not YAML"),
        ("- region\n", 1, "expected a mapping"),
        ("", 1, "expected a mapping"),
        ("region: &r [*r]\ndata: x\n", 1, "alias"),
    ],
)
def test_yaml_that_means_something_else_is_refused(write: Write, text: str, line: int, what: str) -> None:
    path = write(text)

    assert any(f"{path}:{line}: " in problem and what in problem for problem in problems(path))


def test_a_file_that_is_not_there_is_a_config_error(tmp_path: Path) -> None:
    assert "cannot be read" in problems(tmp_path / "none.yaml")[0]


def test_a_key_without_a_value_counts_as_not_written(write: Write) -> None:
    assert load(write(SMALLEST + "log:\nsources:\napi:\n  http:\n")) == load(write(SMALLEST))


def test_a_request_must_hold_an_event(write: Write) -> None:
    assert problems(write(SMALLEST + "limits: {event: 2MiB, request: 1MiB}\n"))[0].endswith("expected at least as much")


@pytest.mark.usefixtures("installed")
def test_two_subscriptions_cannot_go_on_from_one_position(write: Write) -> None:
    found = problems(
        write(
            SMALLEST
            + "sinks: {vault: {acme.vault: {address: x}}}\n"
            + "subscriptions:\n  a: {to: vault, was: z}\n  b: {to: vault, was: z}\n  c: {to: vault, was: a}\n"
        )
    )

    assert ["subscriptions.b.was" in found[0], "subscriptions.c.was" in found[1], len(found)] == [True, True, 2]


@pytest.mark.usefixtures("installed")
def test_a_filter_that_cannot_be_compiled_is_named_with_its_line(write: Write) -> None:
    path = write(
        SMALLEST
        + "sinks: {vault: {acme.vault: {address: x}}}\nsubscriptions:\n  a:\n    to: vault\n"
        + "    filter:\n      any:\n        - exact: {type: a}\n        - exat: {type: b}\n"
    )

    found = problems(path)

    assert len(found) == 1
    assert found[0].startswith(f"{path}:10: subscriptions.a.filter.any[1]: 'exat' is not a dialect")


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


_WORDS = st.sampled_from(
    [*_keys(Config), *_keys(Subscription), "http", "file", "url", "eu", "a", "3d", "1MiB", "${HOME}", "${file:/}", "$"]
)
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), _WORDS, st.just("127.0.0.1:1")
)
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS | st.text(max_size=8), inner, max_size=6),
    max_leaves=25,
)


def _written(tree: object) -> str:
    """Flow YAML of a tree; `repr` of strings is no YAML, which is as well here."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{_written(key)}: {_written(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(_written(value) for value in tree) + "]"
    return repr(tree)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.dictionaries(_WORDS, _TREES, max_size=8))
def test_whatever_is_in_the_file_only_config_errors_come_out(write: Write, tree: dict[str, object]) -> None:
    try:
        load(write(_written({"region": "eu", "data": "x"} | tree)))
    except ConfigError as problem:
        assert problem.problems  # noqa: PT017  (either outcome is right)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | st.text(alphabet="a:-{}[]&*!|>'\"%@`#,? \n\t\\x0", max_size=60).map(str.encode))
def test_whatever_the_bytes_are_only_config_errors_come_out(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "node.yaml"
    path.write_bytes(data)

    with pytest.raises(ConfigError):
        load(path)
