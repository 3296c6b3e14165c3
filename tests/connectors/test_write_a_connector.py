"""The connector of the guide works as it is printed there: its tests pass, and the gateway finds it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "write-a-connector.md"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guide's files, and the metadata an installation makes of its pyproject.toml."""
    folder = tmp_path_factory.mktemp("isthmus_outbox")
    for name, text in re.findall(r"^`([\w.]+)`\n\n```\w+\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL):
        (folder / name).write_text(text)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    metadata = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["isthmus.connectors"]
    lines = [f"{name} = {module}" for name, module in points.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[isthmus.connectors]", *lines]))
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": f"{folder}{os.pathsep}{GUIDE.parents[2]}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_its_tests_pass(package: Path) -> None:
    """The laws it declares are proven, the others are visible skips."""
    done = run(package, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 passed, 4 skipped" in done.stdout
    assert done.stdout.count("not declared") == 4, done.stdout


def test_the_gateway_finds_it(package: Path) -> None:
    """By its entry point, with its settings."""
    show = "from gateway.app import catalog; print(sorted(catalog.roles('acme.outbox').items()))"

    done = run(package, "-c", show)

    assert "source" in done.stdout, done.stderr
    assert "sink" in done.stdout
    assert "OutboxSettings" in done.stdout


def test_it_is_short(package: Path) -> None:
    """Under 60 lines with its tests: the promise of the guide."""
    files = [path.read_text().splitlines() for path in package.glob("*.py")]

    assert sum(1 for lines in files for line in lines if line.strip()) < 60
