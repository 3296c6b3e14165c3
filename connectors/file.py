"""`file`: events as lines of one file, or as documents in a folder.

A path that is a folder, or ends in a slash, is a folder of documents, one
event each; any other is a file of JSON lines, one event each. Both hold
structured CloudEvents JSON; what a source finds that is none is wrapped once.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from connectors._envelope import media_type, with_base64
from connectors._folder import FolderReader, FolderWriter
from connectors._lines import LineReader, LineWriter
from gateway.codec import json
from gateway.core import contracts
from gateway.core.clock import Clock, SystemClock
from gateway.core.contracts import Settings
from gateway.core.errors import InvalidEvent, Unavailable
from gateway.core.event import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from connectors._folder import Document
    from connectors._lines import Line
    from gateway.core.contracts import Door
    from gateway.core.event import Outgoing

LOOK_EVERY = 0.25
"""Seconds between two looks at a file or folder that had nothing new."""


class SinkSettings(Settings):
    """Where the events go."""

    path: str
    """A file of JSON lines, or, if it is a folder or ends in a slash, a folder of documents."""


class SourceSettings(Settings):
    """Where the events come from."""

    path: str
    """A file of JSON lines, or, if it is a folder or ends in a slash, a folder of documents."""
    once: bool = False
    """End when everything is read, instead of waiting for more."""
    after: Literal["move", "delete"] = "move"
    """What becomes of a document once the log has it: moved to the folder `done` inside, or deleted."""


class Sink(contracts.Sink):
    """Appends lines with one fsync a batch, or writes documents by rename: a repeat replaces its first copy."""

    max_batch = 500

    def __init__(self, settings: SinkSettings) -> None:
        self._path = Path(settings.path).absolute()
        self._lines = LineWriter(self._path)
        self._folder = FolderWriter(self._path)
        self._is_folder = _is_folder(settings.path)

    async def __aenter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="file sink")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _last(self._thread, self._lines.close)

    async def send(self, events: Sequence[Outgoing]) -> None:
        """Return once the events are on disk."""
        if self._is_folder:
            documents = [(event.idempotency_key or repr(event.key), json.encode(event)) for event in events]
            work = partial(self._folder.put, documents)
        else:
            work = partial(self._lines.append, b"".join(map(_line, events)))
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as problem:
            raise _unavailable(self._path, problem) from problem


class Source(contracts.Source):
    """Follows a file from where the log has it, or takes documents out of a folder."""

    def __init__(self, settings: SourceSettings) -> None:
        self._path = Path(settings.path).absolute()
        self._uri = self._path.as_uri()
        self._is_folder = _is_folder(settings.path)
        self._once = settings.once
        self._delete = settings.after == "delete"
        self._clock: Clock = SystemClock()

    async def __aenter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="file source")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _last(self._thread, lambda: None)

    async def run(self, door: Door) -> None:
        """Hand over what there is and what comes; with `once`, return after what there is.

        :raises Unavailable: there is no such file or folder, or it cannot be read; or the door refuses.
        """
        try:
            await (self._take_documents(door) if self._is_folder else self._follow_lines(door))
        except OSError as problem:
            raise _unavailable(self._path, problem) from problem

    async def _follow_lines(self, door: Door) -> None:
        loop = asyncio.get_running_loop()
        reader = LineReader(self._path, door.position())

        def read() -> tuple[list[Line], str]:
            return reader.read(final=self._once), reader.position

        try:
            while True:
                lines, position = await loop.run_in_executor(self._thread, read)
                if lines:
                    events = [_event(line.text, self._wrapped(line.place, "line")) for line in lines]
                    await door.accept(events, at=position)
                elif self._once:
                    return
                else:
                    await self._clock.sleep(LOOK_EVERY)
        finally:
            self._thread.submit(reader.close)

    async def _take_documents(self, door: Door) -> None:
        loop = asyncio.get_running_loop()
        folder = FolderReader(self._path, delete=self._delete)
        while True:
            documents = await loop.run_in_executor(self._thread, folder.read)
            if documents:
                await door.accept([_event(document.text, self._wrapped_document(document)) for document in documents])
                await loop.run_in_executor(self._thread, folder.put_away, documents)
            elif self._once:
                return
            else:
                await self._clock.sleep(LOOK_EVERY)

    def _wrapped_document(self, document: Document) -> Event:
        return self._wrapped(document.place, "document").but(subject=document.path.name, time=document.time)

    def _wrapped(self, place: str, kind: str) -> Event:
        return Event(id=place, source=self._uri, type=f"dev.isthmus.file.{kind}")


def _line(event: Outgoing) -> bytes:
    """The event on one line: data that is written over several goes as base64."""
    document = json.encode(event)
    return (with_base64(event) if b"\n" in document else document) + b"\n"


def _event(text: bytes, envelope: Event) -> Event:
    """The CloudEvent this is, or what came without a valid envelope in one of ours."""
    try:
        return json.decode(text)
    except InvalidEvent:
        return envelope.but(data=text, datacontenttype=media_type(text))


def _is_folder(path: str) -> bool:
    return path.endswith("/") or Path(path).is_dir()


def _unavailable(path: Path, problem: OSError) -> Unavailable:
    return Unavailable(f"{path}: {problem.strerror or problem}")


async def _last(thread: ThreadPoolExecutor, work: Callable[[], None]) -> None:
    """Wait for what the thread still does, do this, and end it."""
    await asyncio.get_running_loop().run_in_executor(thread, work)
    thread.shutdown(wait=False)
