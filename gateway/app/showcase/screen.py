"""What the demo shows: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.app.showcase.regions import NAMES, WANTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from gateway.app.showcase.ledger import Ledger
    from gateway.app.showcase.regions import Region

_NOTES = 6
_LINE_EVERY = 2.0
_BAR = 24


class Screen(Protocol):
    """Somewhere to show how it goes; `async with` nothing, `with` it."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, leaving the last picture."""
        ...

    def note(self, message: str) -> None:
        """Say what just happened."""
        ...

    def show(self, regions: Sequence[Region], ledger: Ledger) -> None:
        """Show how it stands."""
        ...


def screen(console: Console) -> Screen:
    """The right one for where the output goes."""
    return LiveScreen(console) if console.is_terminal else PlainScreen(console)


class PlainScreen:
    """A line whenever something happens, and one every two seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = self._last = time.monotonic()
        self._line = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    def note(self, message: str) -> None:
        """Print it with the seconds since the start."""
        passed = time.monotonic() - self._started
        self._console.print(f"{passed:5.1f} s  {message}", highlight=False, markup=False, soft_wrap=True)

    def show(self, regions: Sequence[Region], ledger: Ledger) -> None:
        """Print the counts, not more often than every two seconds."""
        del regions
        if time.monotonic() - self._last < _LINE_EVERY:
            return
        self._last = time.monotonic()
        crossed = ", ".join(f"{_short(a)} → {_short(b)} {len(seen)}" for (a, b), seen in ledger.links.items())
        delivered = sum(map(len, ledger.sinks.values()))
        line = f"published {len(ledger.acknowledged)}, delivered {delivered}, crossed {crossed}"
        if line != self._line:
            self._line = line
            self.note(line)


class LiveScreen:
    """A table of regions and one of crossings, drawn again and again, with the last notes below."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=8, transient=False)
        self._started = time.monotonic()
        self._notes: list[str] = []
        self._tables: tuple[Table, ...] = ()

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, problem, trace)

    def note(self, message: str) -> None:
        """Show it below the tables."""
        self._notes = [*self._notes, f"{time.monotonic() - self._started:5.1f} s  {message}"][-_NOTES:]
        self._draw()

    def show(self, regions: Sequence[Region], ledger: Ledger) -> None:
        """Draw the tables anew."""
        self._tables = (_regions(regions, ledger), _crossings(ledger))
        self._draw()

    def _draw(self) -> None:
        notes = Panel(Text("\n".join(self._notes)), title="what happens", border_style="dim", expand=False)
        self._live.update(Group(*self._tables, notes))


def _short(region: str) -> str:
    return region.partition("-")[0]


def _regions(regions: Sequence[Region], ledger: Ledger) -> Table:
    table = Table(title="three regions on this machine", title_justify="left", expand=False)
    for heading in ("region", "process"):
        table.add_column(heading)
    for heading in ("own events", "from other regions", "delivered to sinks"):
        table.add_column(heading, justify="right")
    for region in regions:
        arrived = sum(len(seen) for (_, to), seen in ledger.links.items() if to == region.name)
        delivered = sum(len(ledger.sinks[want.name]) for want in WANTS if want.region == region.name)
        table.add_row(region.name, _state(region), str(len(ledger.logs[region.name])), str(arrived), str(delivered))
    return table


def _state(region: Region) -> Text:
    if region.process is None:
        return Text("not started", "dim")
    match region.process.returncode:
        case None:
            return Text(f"pid {region.process.pid}", "green")
        case 0:
            return Text("stopped", "dim")
        case code:
            return Text("killed" if code < 0 else f"exit code {code}", "bold red")


def _crossings(ledger: Ledger) -> Table:
    table = Table(title="what crosses: what each region subscribes to", title_justify="left", expand=False)
    table.add_column("from → to")
    table.add_column("events", justify="right")
    table.add_column("", min_width=_BAR)
    most = max(1, *(len(seen) for seen in ledger.links.values()))
    for origin in NAMES:
        for region in NAMES:
            if origin != region:
                count = len(ledger.links[origin, region])
                table.add_row(f"{origin} → {region}", str(count), Text("━" * round(_BAR * count / most), "cyan"))
    return table
