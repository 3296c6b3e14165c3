"""Servers that live as long as the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import services

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def aws_environment() -> Iterator[None]:
    """Made-up credentials, and none of the machine's."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in services.MADE_UP.items():
            environment.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def ministack(aws_environment: None) -> Iterator[str]:
    with services.ministack() as url:
        yield url


@pytest.fixture(scope="session")
def moto(aws_environment: None) -> Iterator[str]:
    with services.moto() as url:
        yield url
