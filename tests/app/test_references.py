from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.app.config import Config, load
from gateway.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str], Path]

pytestmark = pytest.mark.usefixtures("installed")
TEXT = """\
region: eu
data: data
sinks:
  vault:
    acme.vault:
      address: {address}
      token: {token}
"""


def settings_of(config: Config) -> dict[str, object]:
    return dict(config.sinks["vault"].settings)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${HOST}", "vault.example"),
        ("https://${HOST}:${PORT}/x", "https://vault.example:8200/x"),
        ("${NONE:-here}", "here"),
        ("${EMPTY:-here}", "here"),
        ("${NONE:-}", ""),
        ("${HOST:-here}", "vault.example"),
        ("${HOST:?say it}", "vault.example"),
        ("$${HOST}", "${HOST}"),
        ("$$", "$"),
        ("pa$word", "pa$word"),
        ("${NESTED}", "${HOST}"),
        ("${PORT}", "8200"),
    ],
)
def test_references_are_replaced_once(
    write: Write, monkeypatch: pytest.MonkeyPatch, written: str, expected: str
) -> None:
    for name, value in {"HOST": "vault.example", "PORT": "8200", "EMPTY": "", "NESTED": "${HOST}"}.items():
        monkeypatch.setenv(name, value)

    config = load(write(TEXT.format(address=f"'{written}'", token="x")))

    assert settings_of(config)["address"] == expected


@pytest.mark.parametrize("value", ["a\nregion: us", "x: y", "- z", "[1, 2]", "'", "*alias", "# no", "${HOME}", "null"])
def test_a_value_cannot_add_yaml(write: Write, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("EVIL", value)

    config = load(write(TEXT.format(address="${EVIL}", token="x")))

    assert settings_of(config)["address"] == value
    assert config.region == "eu"


def test_the_setting_decides_what_a_reference_is_read_as(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A numeric password stays a string, and the number of lanes becomes a number."""
    for name, value in {"PASSWORD": "0123", "LANES": "4", "PAUSED": "true", "KEEP": "2d"}.items():
        monkeypatch.setenv(name, value)
    text = (
        TEXT.format(address="${PASSWORD}", token="x") + "log: {keep: '${KEEP}'}\nsubscriptions:\n  s:\n    to: vault\n"
    )

    config = load(write(text + "    lanes: ${LANES}\n    paused: ${PAUSED}\n"))

    assert settings_of(config)["address"] == "0123"
    assert (config.subscriptions["s"].lanes, config.subscriptions["s"].paused, config.log.keep) == (4, True, 172800.0)


def test_a_secret_file_is_read_beside_the_config_without_its_last_newline(write: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("line one\nline two\n")

    config = load(write(TEXT.format(address="${file:token}", token=f"${{file:{tmp_path}/token}}")))

    assert settings_of(config)["address"] == "line one\nline two"


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("${NONE}", "environment variable NONE is not set"),
        ("${NONE:?the token of the vault}", "environment variable NONE: the token of the vault"),
        ("${file:none}", "file none cannot be read: No such file or directory"),
        ("${file:binary}", "file binary is not UTF-8"),
        ("${file:large}", "file large is larger than"),
        ("${file:}", "cannot be read: Is a directory"),
        ("${1}", "is not a reference"),
        ("${HOME", "without '}'"),
    ],
)
def test_a_reference_that_fails_is_a_mistake_with_its_line(
    write: Write, tmp_path: Path, written: str, what: str
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    path = write(TEXT.format(address="x", token=f"'{written}'"))

    with pytest.raises(ConfigError) as caught:
        load(path)

    assert caught.value.problems[0].startswith(f"{path}:7: sinks.vault.acme.vault.token: ")
    assert what in caught.value.problems[0]


SECRET = "hunter2-5a1e"


def test_secrets_are_in_no_repr_and_no_dump(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)

    config = load(write(TEXT.format(address="https://user:${TOKEN}@host", token="${TOKEN}")))

    assert SECRET in str(settings_of(config)["address"])
    for shown in (repr(config), str(config), repr(config.sinks), config.model_dump_json(), repr(config.model_dump())):
        assert SECRET not in shown


@pytest.mark.parametrize(
    "extra",
    [
        "      inner: {depth: '${TOKEN}'}\n",
        "      timeout: ${TOKEN}\n",
        "      part: ${TOKEN}\n",
        "      inner: ${TOKEN}\n",
        "  ot: ${TOKEN}\n",
        "api: {http: '${TOKEN}'}\n",
        "node: x${TOKEN}_\n",
        "limits: {connections: '${TOKEN}'}\n",
        "logging: {level: '${TOKEN}'}\n",
        "subscriptions: {s: {to: vault, start: '${TOKEN}'}}\n",
        "subscriptions: {s: {to: '${TOKEN}'}}\n",
        "subscriptions: {s: {to: vault, from: ['${TOKEN}']}}\n",
        "subscriptions: {s: {to: vault, was: '${TOKEN}_'}}\n",
        "subscriptions: {s: {to: vault, filter: {'${TOKEN}': 1, exact: '${TOKEN}'}}}\n",
        "federation: {peers: {us: ['${TOKEN}']}}\n",
    ],
)
def test_secrets_are_in_no_error(write: Write, monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    monkeypatch.setenv("TOKEN", SECRET)

    with pytest.raises(ConfigError) as caught:
        load(write(TEXT.format(address="x", token="${TOKEN}") + extra))

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert SECRET not in repr(caught.value.__context__)
