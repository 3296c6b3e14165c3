"""Opening: whether the log is whole, and whose it is.

After an unclean stop, or when its last frame is not the one it should be, the
files are walked in a process of their own before this one touches them.
"""

from __future__ import annotations

import logging
import re
import secrets
from typing import TYPE_CHECKING

from gateway.core.errors import ConfigError, Damaged
from gateway.log.damage import AFTER_CRASH, Problem, verify_apart
from gateway.log.files import DATA, open_environment, read_meta
from gateway.log.layout import DATABASES, FORMAT, META
from gateway.log.reading import Files

if TYPE_CHECKING:
    from pathlib import Path

    import lmdb

log = logging.getLogger(__name__)

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def looks_whole(directory: Path) -> bool:
    """Whether the log is new, or its last frame is the one that was appended last."""
    if read_meta(directory / DATA) is None:
        return True
    with open_environment(directory, write=False) as environment:
        return Files(environment).has_its_last_frame()


async def check(directory: Path) -> list[Problem]:
    """Walk the files of a log that nobody writes; the frames that cannot be used.

    :raises Damaged: none of it can.
    """
    if read_meta(directory / DATA) is None:
        return []
    report = await verify_apart(directory, at_most=AFTER_CRASH, is_quiet=True)
    if report.broken is not None:
        raise Damaged(f"{directory}: {report.broken}")
    log.info(
        "log checked because it was not closed cleanly",
        extra={"frames": report.frames, "problems": len(report.problems), "seconds": report.seconds},
    )
    for problem in report.problems:
        if not problem.is_frame:
            log.error(
                "log chain is broken",
                extra={"first": problem.first, "last": problem.last, "reason": problem.reason},
            )
    return [problem for problem in report.problems if problem.is_frame]


def identify(environment: lmdb.Environment, region: str, node: str | None) -> str:
    """The log id; made when the log is new, compared when it is not."""
    with environment.begin(write=True) as txn:
        for name in DATABASES:
            environment.open_db(name, txn=txn)
        meta = environment.open_db(META, txn=txn)
        written = txn.get(b"format", db=meta)
        if written is None:
            txn.put(b"format", str(FORMAT).encode(), db=meta)
            txn.put(b"region", region.encode(), db=meta)
            txn.put(b"node", (node or f"n-{secrets.token_hex(4)}").encode(), db=meta)
            txn.put(b"epoch", secrets.token_hex(8).encode(), db=meta)
        elif int(written) > FORMAT:
            raise ConfigError(f"the log is of format {int(written)}, this build reads {FORMAT}: use a newer isthmus")
        kept = {name: (txn.get(name.encode(), db=meta) or b"").decode() for name in ("region", "node", "epoch")}
    if kept["region"] != region:
        raise ConfigError(f"the data directory holds the log of region {kept['region']!r}, not of {region!r}")
    if node is not None and kept["node"] != node:
        raise ConfigError(f"the data directory holds the log of node {kept['node']!r}, not of {node!r}")
    if not (_LABEL.fullmatch(kept["region"]) and _LABEL.fullmatch(kept["node"])):
        raise ConfigError(f"region {kept['region']!r} and node {kept['node']!r} must be DNS labels")
    return f"{kept['region']}/{kept['node']}@{kept['epoch']}"
