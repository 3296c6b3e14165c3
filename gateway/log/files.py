"""The data directory: who holds it, whether it was closed cleanly, whether the file is whole.

    <data>/lock       flock'ed by the node that writes
    <data>/closed     size and time of the data file when it was closed; absent or other: it needs a check
    <data>/log.mdb    the log (LMDB), with log.mdb-lock beside it
    <data>/log-id     the log's id, written once: there was a log here, so an empty or missing file is a loss
    <data>/wake/      a socket for each reader in another process

LMDB maps its file and trusts it: a file shorter than its meta page says kills
the process with SIGBUS at the first touch, so the size is compared before.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import lmdb

from gateway.core.errors import ConfigError, Damaged, Unavailable
from gateway.log.layout import DATABASES

if TYPE_CHECKING:
    from pathlib import Path

DATA: Final = "log.mdb"
LOCK: Final = "lock"
CLOSED: Final = "closed"
MARKER: Final = "log-id"
WAKE: Final = "wake"

MAX_READERS: Final = 254

_META = struct.Struct("=16xIIQQ IHHQQQQQ 48x QQ")
"""A meta page of LMDB 0.9, 64 bit: magic, version, address, map size, free list, last page, transaction."""
_MAGIC = 0xBEEFC0DE


class MetaPage(NamedTuple):
    """What LMDB's newest meta page says."""

    page: int
    """Bytes of a page."""
    map_size: int
    last_page: int
    transaction: int

    @property
    def size(self) -> int:
        """Bytes the file must have."""
        return (self.last_page + 1) * self.page


class DirectoryLock:
    """The right to write to a data directory; held until closed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._file = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise Unavailable(f"data directory {directory} is in use by process {holder}") from problem
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    @property
    def was_clean(self) -> bool:
        """Whether the last holder closed the log and nobody touched its file since."""
        stamp = self._stamp()
        try:
            return stamp is None or (self._directory / CLOSED).read_text() == stamp
        except (FileNotFoundError, UnicodeDecodeError):
            return False

    def check_not_lost(self) -> None:
        """Refuse to begin a new log where there was one.

        :raises Damaged: the data file is empty or missing.
        """
        markers = [name for name in (MARKER, CLOSED) if (self._directory / name).exists()]
        if markers and read_meta(self._directory / DATA) is None:
            raise Damaged(
                f"{self._directory / DATA}: the log's file is gone or empty; restore it,"
                f" or remove {' and '.join(markers)} beside it to begin a new log"
            )

    def mark_log(self, log_id: str) -> None:
        """Say on disk, for good, that there is a log; without room for that the next start does."""
        marker = self._directory / MARKER
        if not marker.exists():
            with contextlib.suppress(OSError):
                with marker.open("w") as file:
                    file.write(f"{log_id}\n")
                    file.flush()
                    os.fsync(file.fileno())
                self._sync()

    def mark_running(self) -> None:
        """Say on disk that the log is being written."""
        (self._directory / CLOSED).unlink(missing_ok=True)
        self._sync()

    def mark_clean(self) -> None:
        """Say on disk that the log was closed, as it is now; without room for that it is checked at the next start."""
        stamp = self._stamp()
        if stamp is not None:
            with contextlib.suppress(OSError):
                (self._directory / CLOSED).write_text(stamp)
                self._sync()

    def _stamp(self) -> str | None:
        try:
            state = (self._directory / DATA).stat()
        except FileNotFoundError:
            return None
        return f"{state.st_size} {state.st_mtime_ns}"

    def _sync(self) -> None:
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def close(self) -> None:
        """Let others have the directory."""
        os.close(self._file)


def read_meta(file: Path) -> MetaPage | None:
    """What the newest of both meta pages says; None when nothing was ever written.

    :raises Damaged: not a data file of ours, or shorter than its meta page says.
    """
    try:
        with file.open("rb") as data:
            first = data.read(_META.size)
            if not first:
                return None
            page = _meta_page(file, first)
            data.seek(page.page)
            newest = max(page, _meta_page(file, data.read(_META.size)), key=lambda meta: meta.transaction)
            size = os.fstat(data.fileno()).st_size
    except FileNotFoundError:
        return None
    if newest.transaction == 0:
        return None
    if size < newest.size:
        raise Damaged(f"{file} has {size} bytes, its last commit needs {newest.size}: it was cut off; restore it")
    return newest


def _meta_page(file: Path, page: bytes) -> MetaPage:
    if len(page) < _META.size:
        raise Damaged(f"{file} is cut off inside its meta pages; restore it")
    magic, version, _, map_size, page_size, *_, last_page, transaction = _META.unpack(page)
    if magic != _MAGIC or version != 1:
        raise Damaged(f"{file} is not a log's data file, or its meta pages are overwritten")
    return MetaPage(page_size, map_size, last_page, transaction)


def open_environment(directory: Path, *, map_size: int = 0, write: bool) -> lmdb.Environment:
    """Open the data file, for writing or only for reading (`map_size` is then the writer's).

    :raises Damaged: cut off, or not a data file.
    :raises Unavailable: LMDB or the file system refuses.
    :raises ConfigError: there is no log, and it was to be read.
    """
    file = directory / DATA
    meta = read_meta(file)
    if meta is None and not write:
        raise ConfigError(f"there is no log in {directory}")
    try:
        return lmdb.open(
            str(file),
            map_size=max(map_size, meta.map_size) if meta is not None else map_size,
            subdir=False,
            readonly=not write,
            max_dbs=len(DATABASES),
            max_readers=MAX_READERS,
            max_spare_txns=1,
            mode=0o644,
            lib_version=0,
        )
    except (lmdb.CorruptedError, lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.PageNotFoundError) as problem:
        raise Damaged(f"{file}: {problem}") from problem
    except (lmdb.Error, OSError) as problem:
        raise Unavailable(f"{file}: {problem}") from problem
