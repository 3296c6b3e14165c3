"""What the kernel says: CPU and memory of processes, bytes of TCP connections, free ports."""

from __future__ import annotations

import os
import re
import socket
import struct
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_SOCK_DIAG, _BY_FAMILY, _DUMP, _DONE, _INFO = 4, 20, 0x301, 3, 2
_ACKED_AT = 120
"""Offset of `tcpi_bytes_acked` in struct tcp_info; `tcpi_bytes_received` follows."""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(pid: int) -> int:
    """Resident bytes of a process, without the pages of its log that are mapped: those are the page cache's."""
    total, mapped, is_log = 0, 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            is_log = line.endswith(".mdb")
        elif line.startswith("Rss:"):
            size = int(line.split()[1]) * 1024
            total += size
            mapped += size if is_log else 0
    return total - mapped


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody holds just now."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Traffic(NamedTuple):
    """Payload bytes of TCP connections to one port, both directions."""

    to_port: int
    from_port: int

    @property
    def both(self) -> int:
        """All of them."""
        return self.to_port + self.from_port


def traffic(port: int) -> Traffic:
    """What open connections to a listening port have carried so far (sock_diag, as `ss -ti` shows it)."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as link:
        sent = received = 0
        for family in (socket.AF_INET, socket.AF_INET6):
            request = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, 1 << 1) + bytes(48)
            link.send(struct.pack("=IHHII", 16 + len(request), _BY_FAMILY, _DUMP, 1, 0) + request)
            for local, acked, got in _connections(link):
                if local == port:
                    sent, received = sent + acked, received + got
    return Traffic(to_port=received, from_port=sent)


def _connections(link: socket.socket) -> list[tuple[int, int, int]]:
    """Local port, bytes acknowledged and bytes received of each established connection of one answer."""
    found: list[tuple[int, int, int]] = []
    while True:
        answer = link.recv(1 << 20)
        at = 0
        while at < len(answer):
            size, kind = struct.unpack_from("=IH", answer, at)
            if kind != _BY_FAMILY:
                return found
            (port,) = struct.unpack_from("!H", answer, at + 16 + 4)
            attribute = at + 16 + 72
            while attribute < at + size:
                length, what = struct.unpack_from("=HH", answer, attribute)
                if what == _INFO and length >= 4 + _ACKED_AT + 16:
                    found.append((port, *struct.unpack_from("=QQ", answer, attribute + 4 + _ACKED_AT)))
                attribute += (length + 3) & ~3
            at += (size + 3) & ~3
