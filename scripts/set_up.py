"""Make the environments of this project, with nothing but Python's standard library.

    .venv             the project and everything in requirements.lock
    .venv-ministack   an SQS server for the tests (requirements-ministack.lock)
    .venv-proto       the protobuf compiler for `make proto`
    .venv-lock        the resolver for `make lock` and `make matrix`

With `uv` on PATH it does the work. Else the environment is made without pip
(Debian keeps ensurepip in a package of its own) and the very pip that
requirements.lock names is taken from the package index and checked against
its hash there. Where the index is, which certificates and which proxy: as pip
and uv are told, by environment variables and pip's configuration files.

Nothing is done when nothing changed: each environment keeps a stamp of what it
was made from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from configparser import Error as ConfigError
from configparser import RawConfigParser
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit

ROOT = Path(__file__).resolve().parent.parent
LOCK = "requirements.lock"
DEFAULT_INDEX = f"https://{'pypi'}.org/simple/"
"""Put together here so that the repository names no registry host that a mirror would have to rewrite."""
TIMEOUT = 60.0
ATTEMPTS = 3


@dataclass(frozen=True)
class Environment:
    """One virtual environment and what goes into it."""

    folder: str
    lock: str | None = None
    """A file of pinned and hashed requirements."""
    requirements: tuple[str, ...] = ()
    """Or a few pinned by name, where no lock is kept."""
    with_project: bool = False


ENVIRONMENTS = {
    "project": Environment(".venv", LOCK, with_project=True),
    "ministack": Environment(".venv-ministack", "requirements-ministack.lock"),
    "proto": Environment(".venv-proto", requirements=("grpcio-tools==1.81.1",)),
    "lock": Environment(".venv-lock", requirements=("uv>=0.13,<1",)),
}


class SetUpError(Exception):
    """Something a person must look at."""


def main() -> None:
    """Make the environments named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="+", choices=ENVIRONMENTS)
    names = parser.parse_args().names
    try:
        for name in names:
            make(ENVIRONMENTS[name])
    except SetUpError as problem:
        sys.exit(f"set-up: {problem}")


def say(message: str) -> None:
    """One line of progress."""
    print(f"set-up: {message}", flush=True)


def make(environment: Environment) -> None:
    """Make one environment, or leave it alone when its stamp says that it is as wanted."""
    folder = ROOT / environment.folder
    stamp = folder / "set-up.stamp"
    wanted = fingerprint(environment)
    works = is_working(folder)
    if works and stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    started = time.monotonic()
    stamp.unlink(missing_ok=True)
    settings = Settings.read()
    uv = shutil.which("uv")
    say(f"making {environment.folder} with Python {sys.version.split()[0]} and {'uv' if uv else 'pip'}")
    if not works:
        create(folder)
    if not (uv and install_with_uv(uv, environment, folder, settings)):
        install_with_pip(environment, folder, settings)
    stamp.write_text(wanted, encoding="utf-8")
    say(f"{environment.folder} is ready ({time.monotonic() - started:.0f} s)")


def fingerprint(environment: Environment) -> str:
    """What an environment is made from, as one hash; the folder too, because scripts in it name it."""
    digest = hashlib.sha256(f"{ROOT} {environment}".encode())
    files = [environment.lock] if environment.lock else []
    for name in [*files, "pyproject.toml"] if environment.with_project else files:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def python_of(folder: Path) -> str:
    """The interpreter of an environment."""
    return str(folder / "bin" / "python")


def is_working(folder: Path) -> bool:
    """Whether there is an environment with a Python that starts and is new enough."""
    test = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python_of(folder), "-c", test], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def create(folder: Path) -> None:
    """Make an empty environment, without pip."""
    run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)], os.environ.copy(), "venv")


def install_with_uv(uv: str, environment: Environment, folder: Path, settings: Settings) -> bool:
    """Install with uv; False when it failed, and pip shall try."""
    variables = settings.for_uv()
    install = [uv, "pip", "install", "--python", python_of(folder), "--quiet"]
    try:
        run([*install, *wanted_by(environment)], variables, "uv")
        if environment.with_project:
            run([*install, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], variables, "uv")
    except SetUpError as problem:
        say(f"{problem}; trying with pip")
        return False
    return True


def install_with_pip(environment: Environment, folder: Path, settings: Settings) -> None:
    """Install with the pip that requirements.lock names."""
    variables = settings.for_pip()
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-input"]
    with tempfile.TemporaryDirectory(prefix="isthmus-set-up-") as scratch:
        wheel = fetch_pip(Path(scratch), settings)
        pip = [python_of(folder), f"{wheel}/pip"]
        say(f"installing {environment.lock or ' '.join(environment.requirements)} (a minute or two the first time)")
        run([*pip, *install, *wanted_by(environment)], variables, "pip")
        if environment.with_project:
            run([*pip, *install, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], variables, "pip")


def wanted_by(environment: Environment) -> list[str]:
    """The arguments, the same for pip and uv, that say what to install."""
    if environment.lock:
        return ["--require-hashes", "-r", str(ROOT / environment.lock)]
    return list(environment.requirements)


def run(command: list[str], variables: dict[str, str], what: str) -> None:
    """Run a command; SetUpError with its name when it fails (it has said why itself)."""
    if subprocess.run(command, env=variables, cwd=ROOT, check=False).returncode:
        raise SetUpError(f"{what} failed (its message is above)")


# --- where packages come from -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """What this machine says about its package index; the environment wins over pip's files."""

    indexes: tuple[str, ...]
    """The index and then the extra ones, as pip and uv look through them."""
    index_is_set: bool
    certificates: str | None
    """A file of certificate authorities to trust; None: the system's."""
    proxy: str | None

    @classmethod
    def read(cls) -> Settings:
        """Read the environment variables of pip and uv, and pip's configuration files."""
        files = pip_configuration()
        index = first("UV_DEFAULT_INDEX", "PIP_INDEX_URL", "UV_INDEX_URL") or files.get("index-url")
        extra = first("PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL") or files.get("extra-index-url", "")
        return cls(
            indexes=(without_name(index or DEFAULT_INDEX), *map(without_name, extra.split())),
            index_is_set=index is not None,
            certificates=first("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE") or files.get("cert"),
            proxy=first("PIP_PROXY") or files.get("proxy"),
        )

    def for_pip(self) -> dict[str, str]:
        """Environment variables for pip, which reads its own files itself."""
        variables = os.environ.copy()
        if self.index_is_set:
            variables["PIP_INDEX_URL"] = self.indexes[0]
        if self.certificates:
            variables["PIP_CERT"] = self.certificates
        return variables

    def for_uv(self) -> dict[str, str]:
        """Environment variables for uv, which does not read pip's."""
        variables = os.environ.copy()
        if self.index_is_set:
            variables["UV_DEFAULT_INDEX"] = self.indexes[0]
        if self.certificates:
            variables["SSL_CERT_FILE"] = self.certificates
        if self.proxy:
            variables.setdefault("ALL_PROXY", self.proxy)
        return variables


def first(*names: str) -> str | None:
    """The first of these environment variables that is set and not empty."""
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def without_name(index: str) -> str:
    """An index without the `name=` that uv allows before it."""
    return re.sub(r"^[A-Za-z0-9._-]+=(?=[a-z]+:)", "", index)


def pip_configuration() -> dict[str, str]:
    """Read pip's own files, later ones over earlier ones; only what the set-up needs."""
    home = Path("~").expanduser()
    config_home = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), home / ".pip/pip.conf", config_home / "pip/pip.conf"]
    if named := os.environ.get("PIP_CONFIG_FILE"):
        files = [] if named == os.devnull else [*files, Path(named)]
    found: dict[str, str] = {}
    for file in files:
        parser = RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (ConfigError, UnicodeDecodeError, OSError) as problem:
            say(f"{file} is left out: {type(problem).__name__}")
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                found.update({key.replace("_", "-"): value for key, value in parser.items(section) if value})
    return found


# --- pip itself ---------------------------------------------------------------------------------------------------


def fetch_pip(folder: Path, settings: Settings) -> Path:
    """Put the wheel of the pip that the lock names into a folder; its hash is the lock's."""
    version, hashes = pinned_pip((ROOT / LOCK).read_text(encoding="utf-8"))
    name = f"pip-{version}-py3-none-any.whl"
    problems: list[str] = []
    for index in settings.indexes:
        try:
            if url := find(name, index, settings):
                content, _, _ = download(url, settings)
                if hashlib.sha256(content).hexdigest() not in hashes:
                    raise SetUpError(f"{name} from {shown(index)} has another hash than {LOCK} states")
                (folder / name).write_bytes(content)
                return folder / name
            problems.append(f"{shown(index)} has no {name}")
        except (OSError, ValueError) as problem:
            problems.append(f"{shown(index)}: {reason(problem)}")
    raise SetUpError(
        "cannot get pip from the package index:\n  " + "\n  ".join(problems) + "\n  A mirror is named with "
        "PIP_INDEX_URL (or UV_DEFAULT_INDEX), certificates with PIP_CERT, a proxy with HTTPS_PROXY."
    )


def pinned_pip(lock: str) -> tuple[str, set[str]]:
    """Version and hashes of pip in the lock."""
    if match := re.search(r"^pip==(\S+)((?: \\\n +--hash=sha256:[0-9a-f]{64})+)", lock, re.MULTILINE):
        return match[1], set(re.findall(r"sha256:([0-9a-f]{64})", match[2]))
    raise SetUpError(f"{LOCK} does not name pip: run make lock")


def find(name: str, index: str, settings: Settings) -> str | None:
    """The address of that file in an index (Simple repository API, JSON or HTML); None if it has none."""
    page = urljoin(index.rstrip("/") + "/", "pip/")
    if page.startswith("file:"):
        page += "index.html"
    try:
        body, kind, page = download(page, settings)
    except urllib.error.HTTPError as problem:
        if problem.code == 404:  # noqa: PLR2004  an index without pip
            return None
        raise
    if "json" in kind:
        links: list[str] = [file["url"] for file in json.loads(body)["files"]]
    else:
        anchors = Anchors()
        anchors.feed(body.decode("utf-8"))
        links = anchors.links
    for link in links:
        url = urldefrag(urljoin(page, link)).url
        if unquote(urlsplit(url).path).rpartition("/")[2] == name:
            return url
    return None


class Anchors(HTMLParser):
    """Collects where the links of a page point."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the href of an `a`."""
        if tag == "a":
            self.links.extend(value for key, value in attrs if key == "href" and value)


def download(url: str, settings: Settings) -> tuple[bytes, str, str]:
    """Body, content type and final address of a page; a passing fault is tried again."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return get(url, settings, ssl.create_default_context(cafile=settings.certificates))
        except urllib.error.URLError as problem:
            if isinstance(problem, urllib.error.HTTPError) and problem.code < 500:  # noqa: PLR2004  not the server's fault
                raise
            if isinstance(problem.reason, ssl.SSLCertVerificationError):
                if settings.certificates or has_authorities() or urlsplit(url).username:
                    raise
                # A bare Debian has no certificates at all. What is fetched is a page of links and a wheel whose
                # hash requirements.lock states, so nothing rests on who sent it. pip brings its own certificates.
                return get(url, settings, ssl._create_unverified_context())  # noqa: S323, SLF001
            if attempt == ATTEMPTS:
                raise
            time.sleep(attempt)
    raise AssertionError


def get(url: str, settings: Settings, context: ssl.SSLContext) -> tuple[bytes, str, str]:
    """Fetch once; a user and password in the address become a header."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)))  # noqa: S310  file: is a mirror too
    request.add_header("Accept", "application/vnd.pypi.simple.v1+json, text/html;q=0.5, */*;q=0.1")
    if parts.username:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_unredirected_header("Authorization", "Basic " + b64encode(secret.encode()).decode())
    proxies = {"http": settings.proxy, "https": settings.proxy} if settings.proxy else None
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context)
    )
    with opener.open(request, timeout=TIMEOUT) as answer:
        final = urlsplit(answer.url)
        if parts.username and final.netloc == host:
            final = final._replace(netloc=parts.netloc)
        return answer.read(), answer.headers.get("Content-Type", ""), urlunsplit(final)


def has_authorities() -> bool:
    """Whether this machine trusts any certificate authority."""
    paths = ssl.get_default_verify_paths()
    folder = Path(paths.capath) if paths.capath else None
    return bool(paths.cafile) or bool(folder and folder.is_dir() and any(folder.iterdir()))


def shown(index: str) -> str:
    """An index without its password."""
    parts = urlsplit(index)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def reason(problem: Exception) -> str:
    """What went wrong, in one line."""
    if isinstance(problem, urllib.error.URLError) and not isinstance(problem, urllib.error.HTTPError):
        return str(problem.reason)
    return str(problem) or type(problem).__name__


if __name__ == "__main__":
    main()
