"""A folder of documents, one event each. Everything here blocks: it runs in a thread.

Whoever writes, writes under a hidden name (or elsewhere on the same disk) and
renames: what has a name that does not begin with a dot is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from connectors._lines import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)

LARGEST = 64 * 1024 * 1024
"""Bytes of the largest document that is read."""
DONE = "done"
"""Where documents go once the log has them."""
_MOST = 100
_AT_ONCE = 8 * 1024 * 1024


class Document(NamedTuple):
    """A file as it was when it was read."""

    path: Path
    text: bytes
    inode: int
    changed: int
    """Nanoseconds since 1970."""

    @property
    def place(self) -> str:
        """Name, inode and time of change: the same at every reading."""
        return f"{self.path.name}:{self.inode}:{self.changed}"

    @property
    def time(self) -> str:
        """When it was last changed, RFC 3339."""
        return datetime.fromtimestamp(self.changed / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class FolderWriter:
    """Puts documents under names that follow from their keys: a repeat replaces its first copy."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, documents: Iterable[tuple[str, bytes]]) -> None:
        """Return once all (key, document) are on disk under their names. OSError: some may be."""
        self.path.mkdir(exist_ok=True)
        for key, document in documents:
            name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32] + ".json"
            hidden = self.path / f".{name}.{os.getpid()}"
            try:
                with hidden.open("wb") as file:
                    file.write(document)
                    file.flush()
                    os.fsync(file.fileno())
                hidden.replace(self.path / name)
            except OSError:
                with contextlib.suppress(OSError):
                    hidden.unlink()
                raise
        sync_folder(self.path)


class FolderReader:
    """Reads what lies in a folder, oldest first, and puts away what was taken."""

    def __init__(self, path: Path, *, delete: bool) -> None:
        self.path = path
        self._delete = delete
        self._left_alone: set[tuple[int, int]] = set()

    def read(self) -> list[Document]:
        """Up to 100 documents or 8 MiB, the one that was changed first, first. OSError: the folder cannot be read."""
        found: list[Document] = []
        size = 0
        for entry in self._waiting():
            if len(found) == _MOST or size > _AT_ONCE:
                break
            if (document := self._open(entry)) is not None:
                found.append(document)
                size += len(document.text)
        return found

    def put_away(self, documents: Iterable[Document]) -> None:
        """Move them to `done` (or delete them), unless they were changed since they were read."""
        if not self._delete:
            (self.path / DONE).mkdir(exist_ok=True)
        for document in documents:
            with contextlib.suppress(FileNotFoundError):
                now = document.path.stat()
                if (now.st_ino, now.st_mtime_ns) != (document.inode, document.changed):
                    continue
                if self._delete:
                    document.path.unlink()
                else:
                    document.path.rename(self._free_name(document))

    def _waiting(self) -> list[os.DirEntry[str]]:
        waiting = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if not entry.name.startswith(".") and entry.is_file():
                        waiting.append((entry.stat().st_mtime_ns, entry.name, entry))
        return [entry for _, _, entry in sorted(waiting, key=lambda found: found[:2])]

    def _open(self, entry: os.DirEntry[str]) -> Document | None:
        try:
            with open(entry.path, "rb") as file:  # noqa: PTH123  (scandir gives strings)
                found = os.fstat(file.fileno())
                if found.st_size <= LARGEST:
                    return Document(Path(entry.path), file.read(), found.st_ino, found.st_mtime_ns)
        except FileNotFoundError:  # somebody was faster
            return None
        if (found.st_ino, found.st_mtime_ns) not in self._left_alone:
            self._left_alone.add((found.st_ino, found.st_mtime_ns))
            log.error("document is too large, left where it is", extra={"path": entry.path, "size": found.st_size})
        return None

    def _free_name(self, document: Document) -> Path:
        """A name in `done` that is free: there may be an older document of the same name."""
        name = self.path / DONE / document.path.name
        return name if not name.exists() else name.with_name(f"{document.changed}-{document.inode}-{name.name}")
