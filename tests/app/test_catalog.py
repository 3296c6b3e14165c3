from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.app import catalog
from gateway.core.errors import ConfigError

pytestmark = pytest.mark.usefixtures("installed")


def test_ours_and_those_of_installed_packages_are_known() -> None:
    assert set(catalog.names()) >= {"aws.sqs", "file", "http", "acme.vault", "acme.broken"}


def test_the_annotation_of_init_says_which_settings_to_parse() -> None:
    found = catalog.sink("acme.vault")

    assert found.settings.__name__ == "VaultSettings"
    assert found.build(found.settings.model_validate({"address": "x"})).max_batch == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "acme.broken",
            "of package acme-connectors cannot be imported from acme_broken: RuntimeError: no such library",
        ),
        ("acme.bare", "does not inherit Sink"),
        ("acme.untyped", "expected exactly one parameter, annotated with its Settings"),
        ("acme.none", "unknown connector 'acme.none', expected one of acme.bare"),
        ("http", "has no source"),
    ],
)
def test_a_connector_that_cannot_be_used_is_explained(name: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        (catalog.source if name == "http" else catalog.sink)(name)

    assert reason in str(caught.value)


def test_a_missing_extra_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiobotocore", None)
    for name in [
        name for name in sys.modules if name.startswith(("connectors.aws_sqs", "connectors._aws", "aiobotocore."))
    ]:
        monkeypatch.delitem(sys.modules, name)

    with pytest.raises(ConfigError) as caught:
        catalog.source("aws.sqs")

    assert "install the extra aws (pip install 'isthmus[aws]')" in str(caught.value)


def test_nothing_is_imported_before_it_is_named() -> None:
    """The SDKs of every cloud cost two seconds at each start."""
    program = "import sys; from gateway.app import catalog, config; catalog.names(); print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert not {"connectors.aws_sqs", "aiobotocore", "botocore", "grpc"} & set(loaded)
