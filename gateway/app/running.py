"""The node that runs on a data directory, asked over its admin socket."""

from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from gateway.api.admin_socket import socket_path
from gateway.core.errors import IsthmusError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"

_TIMEOUT = 30.0


class NotRunning(Unavailable):
    """No node runs on that data directory, or it does not answer."""


class _Connection(http.client.HTTPConnection):
    """HTTP over the admin socket of a data directory."""

    def __init__(self, folder: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._folder = folder

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT)
        with socket_path(self._folder) as path:
            self.sock.connect(path)


def ask(folder: Path, method: str, path: str, body: Mapping[str, object] | None = None) -> Json:
    """What the node answers.

    :raises NotRunning: nobody listens there.
    :raises IsthmusError: it refused; the message is its reason.
    """
    connection = _Connection(folder)
    try:
        connection.request(method, path, body=None if body is None else msgspec.json.encode(body))
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as problem:
        reason = f"{type(problem).__name__}: {problem}"
        raise NotRunning(f"no node answers on {folder} ({reason}); start it with: isthmus run CONFIG") from problem
    finally:
        connection.close()
    answer: Json = msgspec.json.decode(content)
    if response.status != http.client.OK:
        refusal = answer.get("error") if isinstance(answer, dict) else None
        raise IsthmusError(str(refusal or f"the node answered {response.status}"))
    return answer
