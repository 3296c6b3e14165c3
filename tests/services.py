"""Real servers for tests: each started on a private port of loopback, waited for, and stopped by its pid.

A server that is not installed is a skip at home, with the command that
installs it, and a failure where the variable CI is true.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[1]
MADE_UP = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
"""The environment in which AWS SDKs talk to an emulator."""


@contextmanager
def ministack() -> Iterator[str]:
    """Ministack in an environment of its own, because it pins other versions than we do. Yields its URL."""
    program = ROOT / ".venv-ministack" / "bin" / "ministack"
    if not program.exists():
        _absent("ministack", "python3 -m venv .venv-ministack && .venv-ministack/bin/pip install ministack==1.5.33")
    port = free_port()
    variables = {"BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0", "GATEWAY_PORT": str(port)}
    with started([str(program)], variables, url=f"http://127.0.0.1:{port}/_localstack/health") as _:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def moto() -> Iterator[str]:
    """Moto's server, the second opinion. Yields its URL."""
    program = Path(sys.executable).with_name("moto_server")
    if not program.exists():
        _absent("moto", "pip install 'moto[server]>=5.2'")
    port = free_port()
    command = [str(program), "-H", "127.0.0.1", "-p", str(port)]
    with started(command, {}, url=f"http://127.0.0.1:{port}/moto-api/data.json") as _:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def started(command: Sequence[str], variables: Mapping[str, str], *, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that answers at `url`; killed at the end."""
    with subprocess.Popen(
        command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_for(url, process)
            yield process
        finally:
            process.kill()


def free_port() -> int:
    """A port nobody listens at just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 15
    while True:
        try:
            with urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.02)


def _absent(name: str, remedy: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not installed: {remedy}")
    pytest.skip(f"{name} is not installed: {remedy}")
