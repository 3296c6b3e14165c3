"""Config files, and connectors of a third party."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

VAULT = '''
from __future__ import annotations

from pydantic import Field, SecretStr

from gateway.core.contracts import Door, Settings, Sink, Source
from gateway.core.event import Outgoing
from gateway.core.quantities import Duration, Size


class Inner(Settings):
    depth: int = 1
    """How deep."""


class VaultSettings(Settings):
    address: str
    """Where it is."""
    token: SecretStr = SecretStr("none")
    """Who we are."""
    timeout: Duration = Field(default=10.0, gt=0)
    """How long a call may take."""
    part: Size = 1024
    """Bytes at once."""
    inner: Inner = Inner()


class Sink(Sink):
    def __init__(self, settings: VaultSettings) -> None:
        self.settings = settings

    async def send(self, events: list[Outgoing]) -> None:
        return None
'''

MODULES = {
    "acme_vault": VAULT,
    "acme_broken": "raise RuntimeError('no such library')",
    "acme_bare": "class Sink: pass",
    "acme_untyped": VAULT.replace("settings: VaultSettings", "settings, more"),
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that brings the connectors acme.vault, acme.broken, acme.bare and acme.untyped."""
    site = tmp_path / "site"
    info = site / "acme_connectors-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-connectors\nVersion: 1.0\n")
    points = "\n".join(f"{name.replace('_', '.')} = {name}" for name in MODULES)
    (info / "entry_points.txt").write_text(f"[isthmus.connectors]\n{points}\n")
    for name, text in MODULES.items():
        (site / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(site))
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write a config file, give its path."""

    def write(text: str) -> Path:
        path = tmp_path / "node.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
