"""What the commands share: errors in one line, and a console that prints text as it is."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 160
"""Of what is no terminal."""


class Command(click.Command):
    """Tells of a file that cannot be read or written in one line; the other errors are the command's own."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(
                f"{where}{error.strerror or error}. Choose another path, or make this one readable and writable."
            ) from error


def plain_console(**options: Any) -> "Console":
    """A console that takes nothing for markup: paths, ids and settings may hold [brackets] and :colons:.

    Args:
        options: of `rich.console.Console`.
    """
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False, **options)
    if not console.is_terminal:
        console.width = _WIDTH
    return console


def read_figures(file: Path) -> dict[str, Any]:
    """Read the figures of a run page.

    Raises:
        click.ClickException: for a file that is no JSON object.
    """
    try:
        figures = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise click.ClickException(f"{file} is not JSON: {error}. Run the pipeline again.") from error
    if not isinstance(figures, dict):
        raise click.ClickException(
            f"{file} should hold the figures of a run. Received: {type(figures).__name__}. Run the pipeline again."
        )
    return figures
