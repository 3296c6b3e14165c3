"""Every config that the documentation shows is right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from gateway.app import yaml
from gateway.app.config import load
from gateway.app.schema import json_schema

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```yaml\n(region:.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
]


def test_the_documentation_shows_configs() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("text", EXAMPLES)
def test_a_config_in_the_documentation_loads_and_fits_the_schema(text: str, tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(text, encoding="utf-8")

    load(path)

    assert list(Draft202012Validator(json_schema()).iter_errors(yaml.read(path).value)) == []
