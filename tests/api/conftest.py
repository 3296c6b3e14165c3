"""The HTTP door, patient and strict, on a publisher that keeps what it is given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.api.answers import Answer
from gateway.api.http import HttpDoor
from gateway.api.limits import Limits
from tests.api.publishers import LogPublisher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.api.http1 import Request

LIMITS = Limits(
    event=10_000,
    request=100_000,
    connections=5,
    header_timeout=0.4,
    body_timeout=0.4,
    idle_timeout=0.4,
    answer_timeout=0.4,
    drain_timeout=0.4,
    events=50,
)
PATIENT = replace(LIMITS, header_timeout=15, body_timeout=15, idle_timeout=15, answer_timeout=15, drain_timeout=15)


@pytest.fixture
def publisher() -> LogPublisher:
    return LogPublisher()


async def _livez(request: Request) -> Answer:
    return Answer(200, b"alive")


@pytest.fixture
async def door(publisher: LogPublisher) -> AsyncIterator[HttpDoor]:
    async with HttpDoor("127.0.0.1:0", publisher, PATIENT, {"GET /livez": _livez}) as door:
        yield door


@pytest.fixture
async def strict(publisher: LogPublisher) -> AsyncIterator[HttpDoor]:
    async with HttpDoor("127.0.0.1:0", publisher, LIMITS, {"GET /livez": _livez}) as door:
        yield door
