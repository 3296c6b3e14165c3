"""How a command's usage line is written: what is needed stands bare, as in `isthmus run CONFIG`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperCommand

if TYPE_CHECKING:
    from typer._click.core import Context


class Command(TyperCommand):
    """A verb; typer itself would write `{CONFIG}`."""

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        """The parts of the usage line after the command's name."""
        return [piece.removeprefix("{").removesuffix("}") for piece in super().collect_usage_pieces(ctx)]
