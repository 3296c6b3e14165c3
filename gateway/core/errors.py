"""What can go wrong, and what each failure means for an event.

Two failures decide everything: `Unavailable` (wait and try again) and
`Rejected` (it never will). In doubt, raise Unavailable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class IsthmusError(Exception):
    """Root of every error that Isthmus raises on purpose."""


class Unavailable(IsthmusError):
    """The same thing may work later.

    `after` is the destination's own wish in seconds (`Retry-After`); it pauses
    the whole destination. None: the caller's own back-off decides.
    """

    def __init__(self, reason: str, *, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Unauthorized(Unavailable):
    """The destination refuses our credentials: pause it and tell a human (401, 403)."""


class Gone(Unavailable):
    """The destination is gone for good (410): the subscription is disabled, its events stay in the log."""


class LogFull(Unavailable):
    """The log is at `at_most`, or the disk is full; delivery goes on and makes room."""


class Rejected(IsthmusError):
    """It will never work: dead letter, or refused at the door."""


class InvalidEvent(Rejected):
    """Not a CloudEvent 1.0. The message names the field; `index` is its place in a batch, None if alone."""

    def __init__(self, reason: str, *, index: int | None = None) -> None:
        super().__init__(reason if index is None else f"event {index}: {reason}")
        self.reason = reason
        self.index = index


class UnsupportedFormat(InvalidEvent):
    """An event format that is not read here: 415 at a door."""


class TooLarge(Rejected):
    """Larger than `limits: {event: ...}` or the request limit allows."""


class PartialFailure(IsthmusError):
    """Some events of a batch failed: index in the batch → why. Those not named succeeded."""

    def __init__(self, failures: Mapping[int, Unavailable | Rejected]) -> None:
        super().__init__(f"{len(failures)} of the batch failed, the first: {next(iter(failures.values()), None)}")
        self.failures = failures


class Moved(IsthmusError):
    """A position was not what its writer expected: somebody else moved it. Nothing was written."""


class Trimmed(IsthmusError):
    """The position asked for is older than what the log keeps; `first` is its first offset."""

    def __init__(self, first: int) -> None:
        super().__init__(f"trimmed: the log now begins at offset {first}")
        self.first = first


class Diverged(IsthmusError):
    """The record at that position is not the one the reader saw: a restored snapshot, or another log."""


class Damaged(IsthmusError):
    """A frame, a data file or a message fails its own check: checksum, chain, size, count."""


class ConfigError(IsthmusError):
    """Everything that is wrong with a configuration, each with file, line, path and what was expected."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
