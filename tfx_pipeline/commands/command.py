"""What the commands share: errors in one line."""

import json
from pathlib import Path
from typing import Any

import click


class Command(click.Command):
    """Tells of a file that cannot be read or written in one line; the other errors are the command's own."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            raise click.ClickException(told(error)) from error


def told(error: OSError) -> str:
    """One line for a file that cannot be read or written; an error of ours, which has no number, says what to do."""
    if error.strerror is None:
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}. Choose another path, or make this one readable and writable."


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
