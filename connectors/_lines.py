"""One file of JSON lines, appended to and followed. Everything here blocks: it runs in a thread.

A line is whole when its newline is there. A writer that died leaves a partial
line, which the next one repairs; a reader waits for the rest of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

LONGEST = 64 * 1024 * 1024
"""Bytes of the longest line that is read."""
_CHUNK = 1024 * 1024
_MOST = 500
_HEAD = 256


class Line(NamedTuple):
    """A line without its newline, and where it begins."""

    text: bytes
    place: str
    """Inode and byte offset: the same at every reading."""


class LineWriter:
    """Appends whole lines: one write and one fsync a batch, all of it or none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = -1

    def append(self, lines: bytes) -> None:
        """Return once the lines are on disk. OSError: none of them is."""
        file = self._current()
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            before = _repair(file)
            try:
                rest = memoryview(lines)
                while rest:
                    rest = rest[os.write(file, rest) :]
                os.fsync(file)
            except OSError:
                os.ftruncate(file, before)
                raise
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _current(self) -> int:
        """The open file; opened again when somebody rotated it away."""
        if self._file >= 0 and _inode(self.path) == os.fstat(self._file).st_ino:
            return self._file
        self.close()
        is_new = not self.path.exists()
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if is_new:
            sync_folder(self.path.parent)
        return self._file


class LineReader:
    """Follows a file of lines from a position, across rotation and truncation."""

    def __init__(self, path: Path, position: str | None) -> None:
        self.path = path
        self._file = -1
        self._offset = 0
        self._head = b""
        """The first bytes that were read: tells this file from another with the same inode."""
        self._idle = 0
        self._start = position

    @property
    def position(self) -> str:
        """Where the next line begins: inode, byte offset, length and hash of the file's first bytes."""
        return f"{os.fstat(self._file).st_ino}:{self._offset}:{len(self._head)}:{_hash(self._head)}"

    def read(self, *, final: bool) -> list[Line]:
        """Up to 500 lines; empty when there is no more for now. `final`: an unfinished last line is a line.

        OSError: the file cannot be read, or a line is longer than `LONGEST`.
        """
        if self._file < 0:
            self._resume(self._start)
        self._begin_again_if_truncated()
        lines = list(self._lines(final=final or self._idle > 1))
        if lines:
            self._idle = 0
            return lines
        if _inode(self.path) not in (None, os.fstat(self._file).st_ino):
            # Rotated. Its writer may still be at it: the new file begins after a few vain looks.
            self._idle += 1
            if final or self._idle > 2:  # noqa: PLR2004
                self._open(self.path)
                return self.read(final=final)
        return []

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _lines(self, *, final: bool) -> Iterator[Line]:
        size = _CHUNK
        data = os.pread(self._file, size, self._offset)
        while len(data) == size and b"\n" not in data:
            if size >= LONGEST:
                raise OSError(f"a line of more than {LONGEST} bytes at byte {self._offset}")
            size *= 4
            data = os.pread(self._file, size, self._offset)
        inode = os.fstat(self._file).st_ino
        for line in _split(data)[:_MOST]:
            if not line.endswith(b"\n") and (len(data) == size or not final):
                break
            place = f"{inode}:{self._offset}"
            self._offset += len(line)
            if not line.isspace():
                yield Line(line.removesuffix(b"\n").removesuffix(b"\r"), place)
        if len(self._head) < _HEAD:
            self._head = os.pread(self._file, min(_HEAD, self._offset), 0)

    def _begin_again_if_truncated(self) -> None:
        if os.fstat(self._file).st_size >= self._offset and os.pread(self._file, len(self._head), 0) == self._head:
            return
        log.info("file was truncated, reading from its beginning", extra={"path": str(self.path)})
        self._offset, self._head = 0, b""

    def _resume(self, position: str | None) -> None:
        """Open the file the position is of, even if it was rotated meanwhile."""
        if position is None:
            self._open(self.path)
            return
        inode, offset, length, digest = position.split(":")
        siblings = sorted(self.path.parent.iterdir()) if self.path.parent.is_dir() else []
        for path in (self.path, *siblings):
            if str(_inode(path)) != inode or not path.is_file():
                continue
            self._open(path)
            head = os.pread(self._file, int(length), 0)
            if _hash(head) == digest and os.fstat(self._file).st_size >= int(offset):
                self._offset, self._head = int(offset), head
                return
        self._open(self.path)
        log.warning("not the file that was read before, reading from its beginning", extra={"path": str(self.path)})

    def _open(self, path: Path) -> None:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.close()
        self._file, self._offset, self._head, self._idle = file, 0, b"", 0


def sync_folder(path: Path) -> None:
    """Make new names in the folder durable."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _repair(file: int) -> int:
    """Cut off an unfinished last line, which nobody was told is durable; a whole JSON document gets its newline.

    Returns the size afterwards.
    """
    size = os.fstat(file).st_size
    if not size or os.pread(file, 1, size - 1) == b"\n":
        return size
    start = size
    tail = b""
    while start and b"\n" not in tail:
        step = min(_CHUNK, start)
        start -= step
        tail = os.pread(file, step, start) + tail
    tail = tail[tail.rfind(b"\n") + 1 :]
    try:
        msgspec.json.decode(tail, type=msgspec.Raw)
    except msgspec.DecodeError:
        os.ftruncate(file, size - len(tail))
        return size - len(tail)
    os.write(file, b"\n")
    return size + 1


def _split(data: bytes) -> list[bytes]:
    """Lines with their newlines; the last may lack it. A carriage return alone ends none."""
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + [part for part in parts[-1:] if part]


def _hash(head: bytes) -> str:
    return hashlib.blake2b(head, digest_size=8).hexdigest()


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
