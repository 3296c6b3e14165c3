"""The set-up finds the pinned pip on whatever index this machine is told to use."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).parents[2] / "scripts" / "set_up.py"
WHEEL = b"the wheel"
NAME = "pip-26.3-py3-none-any.whl"
PIN = f"pip==26.3 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{hashlib.sha256(WHEEL).hexdigest()}\n"


@pytest.fixture(name="set_up")
def _set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("set_up", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "set_up", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    (tmp_path / "requirements.lock").write_text(f"attrs==1\n{PIN}zstandard==2\n")
    for name in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL", "UV_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "PIP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return module


class Index(BaseHTTPRequestHandler):
    """A package index that wants a password."""

    json = False

    def do_GET(self) -> None:
        body, kind, status = b"not here", "text/plain", 404
        if self.headers["Authorization"] != "Basic " + b64encode(b"us er:p@ss").decode():
            status = 401
        elif self.path == "/simple/pip/" and self.json:
            files = [{"filename": NAME, "url": f"../../files/{NAME}"}]
            body, kind, status = json.dumps({"files": files}).encode(), "application/vnd.pypi.simple.v1+json", 200
        elif self.path == "/simple/pip/":
            body, kind, status = f'<a href="../../files/{NAME}#sha256=00">{NAME}</a>'.encode(), "text/html", 200
        elif self.path == f"/files/{NAME}":
            body, status = WHEEL, 200
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(name="index", params=[False, True], ids=["html", "json"])
def _index(request: pytest.FixtureRequest) -> Iterator[str]:
    served = type("Served", (Index,), {"json": request.param})
    server = ThreadingHTTPServer(("127.0.0.1", 0), served)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://us%20er:p%40ss@127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    thread.join()
    server.server_close()


def test_pip_comes_from_the_mirror_that_pip_would_use(
    set_up: Any, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with a password, and from pip's configuration file."""
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {index}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))

    wheel = set_up.fetch_pip(tmp_path, set_up.Settings.read())

    assert wheel.read_bytes() == WHEEL
    assert wheel.name == NAME


def test_another_pip_than_the_lock_states_is_refused(
    set_up: Any, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", index)
    monkeypatch.setitem(globals(), "WHEEL", b"another wheel")

    with pytest.raises(set_up.SetUpError, match="another hash") as problem:
        set_up.fetch_pip(tmp_path, set_up.Settings.read())

    assert "p@ss" not in str(problem.value)
    assert not (tmp_path / NAME).exists()


def test_an_index_out_of_reach_is_named_without_its_password(
    set_up: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:1/simple")

    with pytest.raises(set_up.SetUpError, match=r"127\.0\.0\.1:1/simple: .*refused") as problem:
        set_up.fetch_pip(tmp_path, set_up.Settings.read())

    assert "secret" not in str(problem.value)


def test_the_environment_wins_over_files_and_uv_over_pip(
    set_up: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex_url = https://file/\ncert = /file.pem\n[install]\nproxy = p:1\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip/")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "mirror=https://uv/")
    monkeypatch.setenv("SSL_CERT_FILE", "/environment.pem")

    settings = set_up.Settings.read()

    assert settings.indexes[0] == "https://uv/"
    assert settings.certificates == "/environment.pem"
    assert settings.proxy == "p:1"
    assert settings.for_pip()["PIP_INDEX_URL"] == "https://uv/"


def test_the_locks_name_no_address() -> None:
    """They are installed through whatever index a machine has."""
    for lock in SCRIPT.parents[1].glob("requirements*.lock"):
        assert not [line for line in lock.read_text().splitlines() if "://" in line or "file:" in line]
