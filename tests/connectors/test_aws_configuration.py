"""What AWS's own configuration may get wrong, without any server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import CredentialRetrievalError

from connectors import _aws, aws_sqs
from gateway.core.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/orders"


@pytest.fixture(autouse=True)
def _fresh_session(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The session reads the environment once."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    _aws._session.cache_clear()
    yield
    _aws._session.cache_clear()


def sink() -> aws_sqs.Sink:
    return aws_sqs.Sink(aws_sqs.SinkSettings(url=URL))


async def test_a_profile_that_does_not_exist_is_an_error_of_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nosuch")

    with pytest.raises(ConfigError, match=r"orders: The config profile \(nosuch\) could not be found"):
        await sink().__aenter__()


async def test_a_file_that_cannot_be_read_is_an_error_of_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[default\nregion")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))

    with pytest.raises(ConfigError, match="Unable to parse config file"):
        await sink().__aenter__()


async def test_credentials_that_cannot_be_had_now_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A program that gives them fails: tomorrow it may not."""
    (tmp_path / "config").write_text("[default]\ncredential_process = /bin/false\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))

    with pytest.raises(Unavailable, match="orders") as raised:
        await sink().__aenter__()

    assert isinstance(raised.value.__cause__, CredentialRetrievalError)
