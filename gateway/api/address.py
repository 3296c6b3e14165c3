"""`host:port`, as the config and the command line say it; an IPv6 host stands in brackets."""

from __future__ import annotations

_LAST_PORT = 65535


def parse_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port`.

    :raises ValueError: it is not one.
    """
    host, separator, port = address.rpartition(":")
    if not (separator and host and port.isascii() and port.isdigit() and int(port) <= _LAST_PORT):
        raise ValueError(f"{address!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def spell_address(name: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """`host:port` of a socket's name."""
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
