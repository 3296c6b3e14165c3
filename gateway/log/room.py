"""Room: may these bytes be appended? Answered before LMDB would have to find out.

    0 ──────── used pages ──────── last page ─── need ─── reserve ───▶ file size
               (and free ones)               └── allocated ahead, in chunks ──┘

A full disk is met here, in `posix_fallocate`, never inside a commit; what was
allocated ahead stays for positions, rows and trimming, which need fresh pages
even to delete. File systems that copy on write (btrfs, ZFS) do not keep the
promise of allocated space: there a commit fails cleanly instead.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.core.clock import Clock

AT_MOST: Final = "at_most is reached"
DISK: Final = "the disk is full"

MiB: Final = 1024 * 1024
_RETRY: Final = 0.25
"""Seconds between two attempts to allocate on a full disk."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def map_size_for(at_most: int) -> int:
    """Bytes of address space: LMDB needs free pages beside those in use, and runs of them for large frames."""
    size = at_most + at_most // 4 + 64 * MiB
    return size - size % 65536


class Room:
    """Space in the map and on the disk of one data file. Used by the I/O thread alone."""

    def __init__(self, file: Path, *, at_most: int, clock: Clock) -> None:
        self._file = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        self._clock = clock
        self._retry_at = 0.0
        self.at_most = at_most
        disk = os.fstatvfs(self._file)
        total = disk.f_blocks * disk.f_frsize
        self.chunk = _pages(min(16 * MiB, at_most // 16, total // 32), least=256 * 1024)
        self.reserve = _pages(min(16 * MiB, at_most // 8, total // 16), least=512 * 1024)
        state = os.fstat(self._file)
        self.allocated = min(state.st_size, state.st_blocks * 512)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def refuses(self, need: int, *, used: int, end: int) -> str | None:
        """Why `need` more bytes may not be appended (AT_MOST, DISK), or None.

        `used` are the bytes of pages in use, `end` those up to the last page;
        the difference is free and will be used again.
        """
        if used + need > self.at_most:
            return AT_MOST
        if self._reaches(end + need + self.reserve):
            return None
        fits = end + need + self.reserve // 2 <= self.allocated  # should LMDB find no run of free pages after all
        if fits and end - used >= 2 * need:
            return None
        return DISK

    def _reaches(self, size: int) -> bool:
        """Whether that many bytes are allocated, after trying."""
        if size <= self.allocated:
            return True
        if self._clock.monotonic() < self._retry_at:
            return False
        want = max(size, self.allocated + self.chunk)
        disk = os.fstatvfs(self._file)
        if disk.f_bavail * disk.f_frsize >= want - self.allocated + self.chunk // 4:
            try:
                os.posix_fallocate(self._file, self.allocated, want - self.allocated)
            except OSError as problem:
                if problem.errno not in _FULL:
                    raise
            else:
                self.allocated = want
                return True
        self._retry_at = self._clock.monotonic() + _RETRY
        return False


def _pages(size: int, *, least: int) -> int:
    return max(size, least) // 65536 * 65536
