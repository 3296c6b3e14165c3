"""Looking for damage: LMDB does not check itself.

    python -m gateway.log.damage DIRECTORY [BYTES]        one JSON report on stdout

Three things are checked: the trees (every page, by lmdb.verify, only while
nobody writes), the chain of frames, and each frame's checksum. It runs in a
process of its own, because a broken tree may kill the one that touches it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import lmdb
import lmdb.verify
import msgspec

from gateway.codec.frames import parse
from gateway.core.errors import Damaged, IsthmusError
from gateway.log.files import DATA, DirectoryLock, open_environment, read_meta
from gateway.log.layout import FRAMES, HEAD_SIZE, META, Tail, link_of, offset_of, read_head, read_tail

if TYPE_CHECKING:
    from collections.abc import Iterator

AFTER_CRASH: Final = 4 * 1024 * 1024 * 1024
"""Bytes of the newest frames whose checksums are compared after an unclean stop; older ones are when they are read."""
TREES_AFTER_CRASH: Final = 1_000_000
"""Frames up to which the trees are walked after an unclean stop, at about 30 µs a frame; LMDB keeps them whole."""
_MOST: Final = 1000
"""Problems named in a report."""


class Problem(msgspec.Struct, frozen=True):
    """Something that is not as it was written."""

    first: int
    """Local offsets concerned; 0 when it is the file itself."""
    last: int
    reason: str
    is_frame: bool
    """The frame itself cannot be used; otherwise only its place in the chain is in doubt."""


class Report(msgspec.Struct, frozen=True):
    """What was looked at, and what was wrong."""

    frames: int = 0
    events: int = 0
    first: int = 1
    end: int = 0
    bytes_checked: int = 0
    seconds: float = 0.0
    broken: str | None = None
    """The file cannot be used at all, and why."""
    problems: tuple[Problem, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.broken is None and not self.problems


def verify(directory: Path, *, at_most: int | None = None) -> Report:
    """Check a log, open or closed, reading `at_most` bytes of its newest frames (None: all).

    Takes about 30 µs a frame and a second for 1 GB, from a warm page cache.

    :raises ConfigError: there is no log.
    :raises Unavailable: the files cannot be opened.
    """
    started = time.monotonic()
    try:
        read_meta(directory / DATA)
        with open_environment(directory, write=False) as environment:
            if (at_most is None or _frames_in(environment) <= TREES_AFTER_CRASH) and not _is_written_to(directory):
                _check_trees(directory / DATA)
            return msgspec.structs.replace(_walk(environment, at_most), seconds=time.monotonic() - started)
    except (Damaged, lmdb.verify.VerifyError, lmdb.Error) as problem:
        return Report(broken=str(problem), seconds=time.monotonic() - started)


def _check_trees(file: Path) -> None:
    faults: list[str] = lmdb.verify.verify(str(file), subdir=False)  # type: ignore[no-untyped-call]  # untyped upstream
    if faults:
        raise Damaged(f"the tree is damaged: {faults[0]} ({len(faults)} faults)")


def _frames_in(environment: lmdb.Environment) -> int:
    frames = environment.open_db(FRAMES, create=False)
    with environment.begin() as txn:
        return txn.stat(frames)["entries"]


def _is_written_to(directory: Path) -> bool:
    """Whether a node has the log open; the process that runs this on a node's behalf is told by the environment."""
    if os.environ.get("ISTHMUS_LOG_IS_QUIET") == "1":
        return False
    try:
        DirectoryLock(directory).close()
    except IsthmusError:
        return True
    return False


def _walk(environment: lmdb.Environment, at_most: int | None) -> Report:
    frames, meta = (environment.open_db(name, create=False) for name in (FRAMES, META))
    problems: list[Problem] = []
    count = events = checked = 0
    with environment.begin(buffers=True) as txn:
        tail = read_tail(txn.get(b"tail", db=meta))
        first = tail.end + 1
        following: _Place | None = None
        for key, value in txn.cursor(frames).iterprev():
            deep = at_most is None or checked < at_most
            last = (following.first if following is not None else tail.end + 1) - 1
            place = _Place(offset_of(key), last, value if deep else None)
            problems += place.check(following, tail)
            checked += len(value) if deep else 0
            count, events, first = count + 1, events + last - place.first + 1, place.first
            following = place
    if tail.last and not count:
        problems.append(Problem(tail.last, tail.end, "the last frame is missing", is_frame=False))
    return Report(count, events, first, tail.end, checked, 0.0, None, tuple(problems[:_MOST]))


class _Place:
    """One frame while the walk goes from the newest to the oldest."""

    def __init__(self, first: int, last: int, value: memoryview | None) -> None:
        self.first = first
        self.last = last
        self.is_deep = value is not None
        self.link = self.previous = self.previous_link = 0
        self.problem = None if value is None else self._look(value)

    def _look(self, value: memoryview) -> str | None:
        try:
            head = read_head(value)
            self.previous, self.previous_link, self.link = head.previous, head.link, link_of(value)
            frame = parse(bytes(value[HEAD_SIZE:]))
        except Damaged as problem:
            return str(problem)
        if not head.events == frame.count == self.last - self.first + 1:
            return f"{frame.count} events stand for {self.last - self.first + 1} offsets"
        return None

    def check(self, following: _Place | None, tail: Tail) -> Iterator[Problem]:
        """What is wrong with this frame, and with the step from it to the next one."""
        if not self.is_deep:
            return
        if self.problem is not None:
            yield Problem(self.first, self.last, self.problem, is_frame=True)
        elif following is None and (tail.last, tail.link) != (self.first, self.link):
            yield Problem(self.first, self.last, "it is not the frame that was appended last", is_frame=False)
        elif (
            following is not None
            and following.problem is None
            and (following.previous, following.previous_link) != (self.first, self.link)
        ):
            reason = "the frame after it names another one before itself: one is missing or exchanged"
            yield Problem(self.first, self.last, reason, is_frame=False)


async def verify_apart(directory: Path, *, at_most: int | None = None, is_quiet: bool = False) -> Report:
    """`verify` in a process of its own; `is_quiet`: the caller holds the directory and does not write.

    :raises Damaged: the process died of what it read.
    """
    arguments = [str(directory)] if at_most is None else [str(directory), str(at_most)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway.log.damage", *arguments),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "ISTHMUS_LOG_IS_QUIET": "1" if is_quiet else "0", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise Damaged(f"{directory}: checking it ended with {process.returncode}: the tree is damaged; restore it")
    return msgspec.json.decode(output, type=Report)


def main() -> None:
    """Print the report of `verify`."""
    directory, *rest = sys.argv[1:]
    report = verify(Path(directory), at_most=int(rest[0]) if rest else None)
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")


if __name__ == "__main__":
    main()
