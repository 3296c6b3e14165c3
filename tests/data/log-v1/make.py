"""How `log.mdb.zst` was made, once, with format 1. Never make it again: it stands for the logs that are out there.

python -m tests.data.log-v1.make       (a new format gets a folder of its own)
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import zstandard

from gateway.codec.frames import pack, seal
from gateway.core.event import Binary, Event, Timestamp, Uri, UriReference
from gateway.core.records import Row
from gateway.log.files import DATA, read_meta
from gateway.log.lmdb import LmdbLog
from tests.log.arrange import StillClock

ORIGIN = "us-east/n1@0123456789abcdef"
EVENTS = [
    Event(
        "a",
        "https://shop.example/eu",
        "order.created",
        subject="1",
        data=b'{"total": 1.10, "big": 1152921504606846976}',
    ),
    Event("b", "/relative", "no.data"),
    Event(
        "c",
        "urn:x",
        "typed",
        time="2026-01-02T03:04:05.678901234+01:00",
        data=b"\x00\xff" * 40,
        extensions={
            "text": "Grüße",
            "flag": True,
            "number": -2147483648,
            "binary": Binary(b"\x00\x01"),
            "uri": Uri("https://x.example/"),
            "ref": UriReference("../y"),
            "moment": Timestamp("2026-01-02T03:04:05Z"),
        },
    ),
    Event("d", "urn:x", "long", datacontenttype="text/plain", dataschema="urn:s", data=b"compress me " * 500),
]


async def make(directory: Path) -> None:
    clock = StillClock(1_790_000_000.0)
    async with LmdbLog(
        directory, region="eu", node="n1", at_most=4 << 20, keep=None, full="refuse", clock=clock
    ) as log:
        await log.append(pack("main", [Event("trimmed", "urn:x", "t")]))
        await log.append(pack("main", EVENTS[:2]), positions={"source/q": (None, b"2")})
        clock.time += 10
        link = seal(pack("main", EVENTS[2:]), origin=ORIGIN, first=41, accepted=1_789_999_000.0)
        await log.append([link], positions={f"link/{ORIGIN}": (None, b"42")})
        clock.time += 10
        await log.append(pack("other", EVENTS[:1]))
        await log.write([Row("dead", b"k\x00\xff", b"v"), Row("waiting", b"k", b"w")])
        await log.trim(2)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(make(Path(folder)))
        meta = read_meta(Path(folder) / DATA)
        assert meta is not None
        content = (Path(folder) / DATA).read_bytes()[: meta.size]
        (Path(__file__).parent / "log.mdb.zst").write_bytes(zstandard.ZstdCompressor(level=19).compress(content))
