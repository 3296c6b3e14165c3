from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING

import pytest

from gateway.app import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("gateway.test")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def test_a_line_is_one_json_object_with_the_values_of_extra() -> None:
    stream = io.StringIO()
    logs.set_up(stream=stream)

    log.info("sink recovered", extra={"sink": "billing", "down_for": 1.5, "event": "x"})
    log.debug("not seen")

    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], line["sink"], line["down_for"]) == ("sink recovered", "info", "billing", 1.5)


@pytest.mark.parametrize("style", ["json", "console"])
def test_tracebacks_show_no_values_of_variables(style: logs.Style) -> None:
    """They hold payloads and secrets."""
    stream = io.StringIO()
    logs.set_up(style=style, stream=stream)
    password = "hunter2" + "-5a1e"

    try:
        int("x" * len(password))
    except ValueError:
        log.exception("failed")

    assert "ValueError: invalid literal" in stream.getvalue()
    assert password not in stream.getvalue()
