"""`lcr-ser simulate`: writes a made-up log of any size in the five-file form of KuaiSAR."""

import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import TypeAdapter, ValidationError

from synthetic_logs.simulator import SimulatorSettings
from synthetic_logs.simulator import simulate as write
from tfx_pipeline.commands.command import Command
from tfx_pipeline.sources import said


def _overrides(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    known = {field.name for field in dataclasses.fields(SimulatorSettings)} - {"seed"}
    changes = {}
    for value in values:
        name, equals, text = value.partition("=")
        if name not in known or not equals:
            raise click.BadParameter(f"should be NAME=VALUE with a field of SimulatorSettings. Received: {value}.")
        try:
            changes[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise click.BadParameter(
                f"should hold a number or a list such as [0.4, 0.6]. Received: {value}."
            ) from error
    return changes


def _finite(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if not 1 <= value < math.inf:
        raise click.BadParameter(f"should be at least 1. Received: {value:g}.")
    return value


@click.command(cls=Command)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--events",
    type=float,
    required=True,
    callback=_finite,
    help="Rows of rec_inter and src_inter together, such as 1e6.",
)
@click.option("--seed", type=int, default=SimulatorSettings.seed, show_default=True)
@click.option("--spans", is_flag=True, help="A directory for each day, with the five files of that day.")
@click.option("--plain", is_flag=True, help="Files that are not gzipped.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_overrides,
    help="Another setting of the simulator, see docs/simulator.md; may be repeated.",
)
def simulate(  # noqa: PLR0917 - click passes them by name
    out: Path, events: float, seed: int, spans: bool, plain: bool, changes: dict[str, Any]
) -> None:
    """Write a made-up log of about EVENTS rows to the directory OUT, with the truth about its searches in OUT/truth."""
    started = time.monotonic()
    try:
        settings = TypeAdapter(SimulatorSettings).validate_python({"seed": seed, **changes})
        with click.progressbar(length=int(events), label="rows", width=0) as bar:
            counts = write(
                out, events, settings, spans=spans, compress=not plain, progress=lambda rows: bar.update(rows - bar.pos)
            )
    except ValidationError as error:
        raise click.ClickException(" ".join(said(dict(problem)) for problem in error.errors())) from error
    except (ValueError, FileExistsError) as error:
        raise click.ClickException(str(error)) from error
    rows, seconds = counts.rec_rows + counts.search_rows, time.monotonic() - started
    click.echo(
        f"{out}: {rows:,} events ({counts.rec_rows:,} recommended, {counts.search_rows:,} found) of "
        f"{counts.users:,} users, {counts.searches:,} searches, {counts.items:,} items"
    )
    click.echo(
        f"truth: a search bears on {counts.clicks_with_search:,} of {counts.clicks:,} clicks "
        f"({counts.clicks_with_search / max(1, counts.clicks):.0%})"
    )
    click.echo(f"{seconds:.1f} s, {rows / seconds:,.0f} events a second")
