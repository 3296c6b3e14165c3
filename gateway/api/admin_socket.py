"""The admin API's Unix socket: where it is, for the node that binds it and the command line that connects."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

SOCKET = "admin.sock"
_LONGEST_PATH = 107
"""Bytes of a socket's path, without its NUL (Linux: sun_path has 108)."""


@contextmanager
def socket_path(folder: Path) -> Iterator[str]:
    """The path by which the admin socket of a data directory can be bound and connected to.

    A path too long for a socket is shortened through the folder's descriptor.

    :raises ConfigError: that does not work on this system.
    """
    path = str(folder / SOCKET)
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield path
        return
    if not Path("/proc/self/fd").is_dir():
        raise ConfigError(f"{path}: a socket's path has at most {_LONGEST_PATH} bytes, expected a shorter data:")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


def listen(folder: Path) -> socket.socket:
    """Bind the socket of a data directory, open to its owner only; one that a dead process left is replaced.

    :raises ConfigError: its path is longer than a socket's may be.
    """
    (folder / SOCKET).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)  # never open to others, not even for a moment
    try:
        with socket_path(folder) as path:
            listening.bind(path)
    except BaseException:
        listening.close()
        raise
    finally:
        os.umask(mask)
    listening.setblocking(False)  # noqa: FBT003  the standard library's signature
    return listening
