"""Waking readers in other processes: one datagram to each after a commit, no polling.

A reader binds a socket in `<data>/wake/`; the writer notices the new name by the
folder's time of change. A datagram says only "look again": one that does not fit
into a reader's full buffer is not missed, since others wait there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from typing import TYPE_CHECKING, Final, Self

from gateway.log.files import WAKE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_COARSE: Final = 50_000_000
"""Nanoseconds by which a folder's time of change may be too coarse to show a second change."""


class Wakers:
    """The writer's side. Used by the I/O thread alone."""

    def __init__(self, directory: Path) -> None:
        folder = directory / WAKE
        folder.mkdir(exist_ok=True)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._names: list[str] = []
        self._looked = 0

    def ring(self) -> None:
        """Wake every reader; forget those that are gone. Never raises: the commit is done, whoever hears of it."""
        if os.fstat(self._folder).st_mtime_ns + _COARSE > self._looked:
            self._looked = time.time_ns()
            try:
                self._names = os.listdir(self._folder)  # noqa: PTH208  (the path may be too long for a socket)
            except (
                OSError
            ):  # it takes a descriptor, and there may be none: the known readers are woken, the next commit looks
                self._looked = 0
        for name in self._names:
            try:
                self._socket.sendto(b"\0", _address(self._folder, name))
            except BlockingIOError:
                continue
            except OSError:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self._folder)

    def close(self) -> None:
        """Close the sockets."""
        self._socket.close()
        os.close(self._folder)


class Wake:
    """A reader's side: calls `rung` on the loop whenever the writer committed."""

    def __init__(self, directory: Path, rung: Callable[[], None]) -> None:
        self._directory = directory
        self._rung = rung
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"

    def __enter__(self) -> Self:
        """Bind the socket and listen."""
        folder = self._directory / WAKE
        folder.mkdir(exist_ok=True)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.bind(_address(self._folder, self._name))
        asyncio.get_running_loop().add_reader(self._socket, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening and take the name away."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=self._folder)
        os.close(self._folder)

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(16)
        self._rung()


def _address(folder: int, name: str) -> str:
    """A path below the 108 bytes a socket's address may have, however deep the data directory lies."""
    return f"/proc/self/fd/{folder}/{name}"
