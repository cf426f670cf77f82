"""`lcr-ser report`: writes the page of a run again, from its figures."""

import shlex
from pathlib import Path
from typing import Any

import click

from components.common.run_files import FIGURES_FILE, HTML_FILE, PAGE_FILE
from tfx_pipeline.commands.command import Command, read_figures


@click.command(cls=Command)
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Write run.html and run.md again, beside the run.json of RUN: a folder that holds it, or the file itself."""
    from components.report.page.page import render, render_html

    file = run if run.is_file() else run / FIGURES_FILE
    figures = _figures(file)
    page = file.with_name(HTML_FILE)
    page.write_text(render_html(figures), encoding="utf-8")
    file.with_name(PAGE_FILE).write_text(render(figures), encoding="utf-8")
    click.echo(f"run page        {page}")
    click.echo(f"next            lcr-ser compare OTHER_RUN {shlex.quote(str(file.parent))}")


def _figures(file: Path) -> dict[str, Any]:
    from components.report.page.page import KEYS

    try:
        figures = read_figures(file)
    except FileNotFoundError as error:
        raise click.ClickException(
            f"`RUN` should be a folder with {FIGURES_FILE}, or that file. Received: {file.parent}. "
            "`make run` writes one."
        ) from error
    missing = [key for key in KEYS if key not in figures]
    if missing:
        raise click.ClickException(
            f"{file} is of an older form: it has no {', '.join(missing)}. Run the pipeline again."
        )
    return figures
