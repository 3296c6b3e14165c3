"""`file`: lines and documents, both ways, through crashes, rotation and truncation."""

from __future__ import annotations

import os
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from connectors import file
from connectors._lines import LineWriter
from connectors.conformance import SinkConformance, SourceConformance
from connectors.memory_door import MemoryDoor, until
from connectors.samples import SAMPLES, assert_unchanged, numbered, outgoing
from gateway.codec import json, validate
from gateway.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from gateway.core.event import Event


class TestLinesSource(SourceConformance):
    patience = 5.0

    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "events.jsonl"
        self.path.touch()

    def source(self) -> file.Source:
        return file.Source(file.SourceSettings(path=str(self.path)))

    async def publish(self, events: Sequence[Event]) -> None:
        async with file.Sink(file.SinkSettings(path=str(self.path))) as sink:
            await sink.send([outgoing(event) for event in events])

    async def publish_garbage(self) -> None:
        with self.path.open("ab") as lines:
            lines.write(b'\xff\xfe{"specversion"\n\n{"specversion":"1.0"}\n')

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        away = self.path.with_name("away")
        self.path.rename(away)
        yield
        away.rename(self.path)


class TestLinesSink(SinkConformance):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "there" / "events.jsonl"
        self.path.parent.mkdir()

    def sink(self) -> file.Sink:
        return file.Sink(file.SinkSettings(path=str(self.path)))

    async def received(self) -> list[Event]:
        if not self.path.exists():  # every send was cancelled before its thread came to make the file
            return []
        return [json.decode(line) for line in self.path.read_bytes().split(b"\n")[:-1]]

    async def test_cancelling_loses_nothing_on_a_busy_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The thread comes to its first send after the last one was cancelled."""
        append, is_free = LineWriter.append, threading.Event()

        def append_late(writer: LineWriter, lines: bytes) -> None:
            is_free.wait(0.5)
            is_free.set()
            append(writer, lines)

        monkeypatch.setattr(LineWriter, "append", append_late)
        await self.test_cancelling_at_any_turn_loses_nothing()

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        away = self.path.parent.with_name("away")
        self.path.parent.rename(away)
        yield
        away.rename(self.path.parent)


class TestDocumentsSource(SourceConformance):
    patience = 5.0
    keeps_order = False
    after = "move"

    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "events"
        self.path.mkdir()

    def source(self) -> file.Source:
        return file.Source(file.SourceSettings(path=str(self.path), after=self.after))

    async def publish(self, events: Sequence[Event]) -> None:
        async with file.Sink(file.SinkSettings(path=str(self.path))) as sink:
            await sink.send([outgoing(event) for event in events])

    async def publish_garbage(self) -> None:
        (self.path / "garbage").write_bytes(b"\xff\xfe{")

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        away = self.path.with_name("away")
        self.path.rename(away)
        yield
        away.rename(self.path)


class TestDocumentsSourceThatDeletes(TestDocumentsSource):
    after = "delete"


class TestDocumentsSink(SinkConformance):
    keeps_order = False

    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "there" / "events"
        self.path.parent.mkdir()

    def sink(self) -> file.Sink:
        return file.Sink(file.SinkSettings(path=f"{self.path}/"))

    async def received(self) -> list[Event]:
        return [json.decode(document.read_bytes()) for document in self.path.glob("[!.]*")]

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        away = self.path.parent.with_name("away")
        self.path.parent.rename(away)
        yield
        away.rename(self.path.parent)


async def take(path: Path | str, door: MemoryDoor, **settings: object) -> list[Event]:
    """What a source that ends hands over."""
    before = len(door.events)
    async with file.Source(file.SourceSettings.model_validate({"path": str(path), "once": True, **settings})) as source:
        await source.run(door)
    return door.events[before:]


async def append(path: Path, events: Sequence[Event]) -> None:
    async with file.Sink(file.SinkSettings(path=str(path))) as sink:
        await sink.send([outgoing(event) for event in events])


def test_the_samples_are_valid_events() -> None:
    """The suites publish nothing that a door refuses."""
    for event in SAMPLES:
        validate.validate(event)


@pytest.mark.parametrize("partial", [b'{"specversion":"1.0","id":"x', b"{", b'{"data":"' + b"x" * 3_000_000])
async def test_a_partial_line_of_a_crashed_writer_is_cut_off(tmp_path: Path, partial: bytes) -> None:
    """Nobody was told that it is durable; the lines around it are whole."""
    path = tmp_path / "events.jsonl"
    first, second = numbered(2), numbered(2)
    await append(path, first)
    with path.open("ab") as lines:
        lines.write(partial)

    await append(path, second)

    assert [json.decode(line).id for line in path.read_bytes().splitlines()] == [e.id for e in (*first, *second)]


async def test_a_whole_last_line_without_its_newline_is_kept(tmp_path: Path) -> None:
    """It may be somebody else's file."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"mine": 1}')

    await append(path, numbered(1))

    assert path.read_bytes().splitlines()[0] == b'{"mine": 1}'
    assert len(path.read_bytes().splitlines()) == 2


async def test_a_write_that_fails_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the batch is Unavailable as a whole, and the file as before."""
    path = tmp_path / "events.jsonl"
    async with file.Sink(file.SinkSettings(path=str(path))) as sink:
        await sink.send([outgoing(event) for event in numbered(1)])
        before = path.read_bytes()
        monkeypatch.setattr(os, "fsync", _disk_full)

        with pytest.raises(Unavailable, match="No space left"):
            await sink.send([outgoing(event) for event in numbered(3)])

    assert path.read_bytes() == before


def _disk_full(file: int) -> None:
    raise OSError(28, "No space left on device")


async def test_a_rotated_file_is_left_alone(tmp_path: Path) -> None:
    """The sink goes on under the old name."""
    path = tmp_path / "events.jsonl"
    first, second = numbered(1), numbered(1)
    async with file.Sink(file.SinkSettings(path=str(path))) as sink:
        await sink.send([outgoing(event) for event in first])
        path.rename(tmp_path / "events.jsonl.1")
        await sink.send([outgoing(event) for event in second])

    assert [json.decode(line).id for line in path.read_bytes().splitlines()] == [second[0].id]


async def test_the_same_event_again_replaces_its_document(tmp_path: Path) -> None:
    """A repeat after a crash leaves one document."""
    event = outgoing(numbered(1)[0])
    async with file.Sink(file.SinkSettings(path=f"{tmp_path}/out/")) as sink:
        await sink.send([event])
        await sink.send([event])

    assert len(list((tmp_path / "out").iterdir())) == 1


async def test_a_hostile_id_names_no_other_file(tmp_path: Path) -> None:
    """File names are hashes."""
    event = outgoing(numbered(1)[0].but(id="../../../etc/x")).but(idempotency_key="../../up")
    async with file.Sink(file.SinkSettings(path=f"{tmp_path}/out/")) as sink:
        await sink.send([event])

    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "out"]


async def test_a_restart_reads_on_where_the_log_has_it(tmp_path: Path) -> None:
    """Nothing twice, nothing left out."""
    path, door = tmp_path / "events.jsonl", MemoryDoor()
    first, second = numbered(700), numbered(3)

    await append(path, first[:500])
    await append(path, first[500:])
    assert [event.id for event in await take(path, door)] == [event.id for event in first]
    await append(path, second)

    assert [event.id for event in await take(path, door)] == [event.id for event in second]


async def test_a_file_rotated_while_nobody_read_is_finished_first(tmp_path: Path) -> None:
    """Its rest, then the new file."""
    path, door = tmp_path / "events.jsonl", MemoryDoor()
    first, rest, new = numbered(2), numbered(2), numbered(2)
    await append(path, first)
    await take(path, door)
    await append(path, rest)
    path.rename(tmp_path / "events.jsonl.1")
    await append(path, new)

    assert [event.id for event in await take(path, door)] == [event.id for event in (*rest, *new)]


async def test_a_file_rotated_while_it_is_followed_loses_nothing(tmp_path: Path) -> None:
    path, door = tmp_path / "events.jsonl", MemoryDoor()
    first, rest, new = numbered(2), numbered(2), numbered(2)
    await append(path, first)
    suite = TestLinesSource()
    suite.path = path

    async with suite._running(door):
        await until(lambda: door.has(first))
        path.rename(tmp_path / "old")
        await append(path, new)
        await append(tmp_path / "old", rest)  # its writer had it still open
        await until(lambda: door.has([*rest, *new]))

    assert [event.id for event in door.events] == [event.id for event in (*first, *rest, *new)]


@pytest.mark.parametrize("longer", [0, 10])
async def test_a_truncated_file_is_read_from_its_beginning(tmp_path: Path, longer: int) -> None:
    """Also when it has grown beyond the position since."""
    path, door = tmp_path / "events.jsonl", MemoryDoor()
    await append(path, numbered(5))
    await take(path, door)
    os.truncate(path, 0)
    new = numbered(1 + longer)
    await append(path, new)

    assert [event.id for event in await take(path, door)] == [event.id for event in new]


async def test_an_unfinished_line_waits_for_its_end(tmp_path: Path) -> None:
    """The half of an event is no event."""
    path, door = tmp_path / "events.jsonl", MemoryDoor()
    first, second = numbered(2)
    line = json.encode(second) + b"\n"
    await append(path, [first])
    suite = TestLinesSource()
    suite.path = path

    async with suite._running(door):
        with path.open("ab", buffering=0) as lines:
            lines.write(line[:30])
            await until(lambda: door.has([first]))
            assert len(door.events) == 1
            lines.write(line[30:])
            await until(lambda: door.has([second]))

    assert len(door.events) == 2


@pytest.mark.parametrize(
    ("text", "content_type"),
    [(b'{"level": "info", "n": 1.10}', "application/json"), (b"GET / 200", "text/plain"),
     (b"\xff\x00", "application/octet-stream"), (b'{"specversion":"1.0","id":"x"}', "application/json")],
)  # fmt: skip
async def test_a_line_that_is_no_event_is_wrapped(tmp_path: Path, text: bytes, content_type: str) -> None:
    """With its bytes as they are, and the same id at every reading."""
    path = tmp_path / "lines with spaces.log"
    path.write_bytes(b"first\n" + text + b"\r\n\n")

    event, again = (await take(path, MemoryDoor()))[1], (await take(path, MemoryDoor()))[1]

    validate.validate(event)
    assert event == again
    assert (event.type, event.source) == ("dev.isthmus.file.line", path.as_uri())
    assert (event.data, event.datacontenttype) == (text, content_type)


async def test_a_document_that_is_no_event_is_wrapped(tmp_path: Path) -> None:
    """Name as subject, time of change as time."""
    (tmp_path / "invoice 7.xml").write_bytes(b"<invoice/>\n")

    (event,) = await take(tmp_path, MemoryDoor())

    validate.validate(event)
    assert (event.type, event.subject, event.data) == ("dev.isthmus.file.document", "invoice 7.xml", b"<invoice/>\n")
    assert (tmp_path / "done" / "invoice 7.xml").exists()


async def test_a_document_that_changed_meanwhile_is_read_again(tmp_path: Path) -> None:
    """It is put away only as it was read."""
    path = tmp_path / "a"
    path.write_bytes(b"one")

    class Changing(MemoryDoor):
        async def accept(self, events: Sequence[Event], *, at: str | None = None) -> None:
            await super().accept(events, at=at)
            if len(self.events) == 1:
                path.write_bytes(b"two!")
                os.utime(path, ns=(1, 1))

    assert [event.data for event in await take(tmp_path, Changing())] == [b"one", b"two!"]


async def test_a_document_keeps_its_older_namesake_in_done(tmp_path: Path) -> None:
    for text in (b"one", b"two"):
        (tmp_path / "a").write_bytes(text)
        await take(tmp_path, MemoryDoor())

    assert sorted(path.read_bytes() for path in (tmp_path / "done").iterdir()) == [b"one", b"two"]


async def test_hidden_files_are_not_yet_there(tmp_path: Path) -> None:
    (tmp_path / ".half").write_bytes(b"{")

    assert await take(tmp_path, MemoryDoor()) == []


async def test_lines_are_json_that_others_read(tmp_path: Path) -> None:
    """One object a line, data over several lines included."""
    path = tmp_path / "events.jsonl"
    await append(path, SAMPLES)

    lines = path.read_bytes().splitlines()

    assert [msgspec.json.decode(line)["id"] for line in lines] == [event.id for event in SAMPLES]
    assert_unchanged([json.decode(line) for line in lines], SAMPLES)
