"""`lcr-ser compare`: two runs side by side, with paired tests."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from polars.exceptions import PolarsError

from components.common.run_files import FIGURES_FILE
from components.evaluation.request_ranks import RANKS_FILE, RequestRanks
from components.report.compare.comparison import Run, compare_runs
from components.report.compare.comparison_tables import Table, comparison_tables
from tfx_pipeline.commands.command import Command, read_figures
from tfx_pipeline.console.plain import plain_console

_MARKUP = re.compile(r"([\\`*\[\]<>|])")


@click.command(cls=Command)
@click.argument("a", metavar="RUN[,RUN...]")
@click.argument("b", metavar="RUN[,RUN...]")
@click.option("--markdown", is_flag=True, help="Write Markdown, as for a pull request.")
def compare(a: str, b: str, markdown: bool) -> None:
    """Compare runs: what went in differently, metrics, and whether the second ranks the same requests better.

    RUN is the folder of a finished run, with run.json and ranks.parquet; several on a side are seeds of its settings.
    """
    sides = {side: {folder: _run(Path(folder)) for folder in given.split(",")} for side, given in (("A", a), ("B", b))}
    found = compare_runs(*(list(runs.values()) for runs in sides.values()))
    if markdown:
        click.echo(_markdown(_titles(sides), comparison_tables(found)))
        return
    _show(_titles(sides), comparison_tables(found))
    if found["paired"]:
        click.echo(f"next  lcr-ser compare {shlex.quote(a)} {shlex.quote(b)} --markdown")


def _run(folder: Path) -> Run:
    for name in (FIGURES_FILE, RANKS_FILE):
        if not (folder / name).is_file():
            raise click.ClickException(
                f"RUN should be the folder of a finished run, such as build/NAME, with {FIGURES_FILE} and {RANKS_FILE}."
                f" Received: {folder}, without {name}. Run it (again) with `make run`, which writes both."
            )
    figures = read_figures(folder / FIGURES_FILE)
    if missing := [name for name in ("settings", "environment", "evaluation") if name not in figures]:
        raise click.ClickException(
            f"{folder / FIGURES_FILE} is of an earlier version, without {', '.join(missing)}. "
            "Run it again with `make run`."
        )
    try:
        ranks = RequestRanks.read(str(folder / RANKS_FILE))
    except PolarsError as error:
        raise click.ClickException(
            f"{folder / RANKS_FILE} is broken: {str(error).splitlines()[0]}. Run it again with `make run`."
        ) from error
    return Run(figures, ranks)


def _titles(sides: Mapping[str, Mapping[str, Run]]) -> list[str]:
    """A line for each run."""
    return [
        f"{side}: {run.figures['name']}, {folder}"
        + (f", finished {run.figures['finished']}" if run.figures.get("finished") else "")
        for side, runs in sides.items()
        for folder, run in runs.items()
    ]


def _show(titles: Sequence[str], tables: Sequence[Table]) -> None:
    from rich import table as rich_table

    console = plain_console()
    console.print("\n".join(titles), soft_wrap=True)
    for one in tables:
        shown = rich_table.Table(*one.columns, title=one.title, title_justify="left")
        for row in one.rows:
            shown.add_row(*row)
        console.print(shown)
        for note in one.notes:
            console.print(note, soft_wrap=True)


def _markdown(titles: Sequence[str], tables: Sequence[Table]) -> str:
    lines = [f"- {_escaped(title)}" for title in titles]
    for one in tables:
        lines += ["", f"### {one.title}", "", _row(one.columns), "|" + "---|" * len(one.columns), *map(_row, one.rows)]
        lines += ["", *(f"- {_escaped(note)}" for note in one.notes)] if one.notes else []
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)
