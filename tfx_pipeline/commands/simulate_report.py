"""`lcr-ser simulate-report`: holds the marginal distributions of a log against the published figures."""

from pathlib import Path

import click
from polars.exceptions import PolarsError
from rich.table import Table

from tfx_pipeline.commands.command import Command
from tfx_pipeline.console.plain import plain_console


def _a_picture(context: click.Context, parameter: click.Parameter, file: Path | None) -> Path | None:
    if file and file.suffix not in (".png", ".svg"):
        raise click.BadParameter(f"should end in .png or .svg. Received: {file}.")
    return file


@click.command(cls=Command)
@click.argument("log_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--plot",
    "plot_file",
    callback=_a_picture,
    type=click.Path(dir_okay=False, path_type=Path),
    help="PNG or SVG file; default: marginals.png in LOG_DIR.",
)
def simulate_report(log_dir: Path, plot_file: Path | None) -> None:
    """Measure the log in LOG_DIR, simulated or real, from its files; print a table and draw a plot."""
    from synthetic_logs.simulator.marginals import measure
    from synthetic_logs.simulator.plot import plot
    from synthetic_logs.simulator.targets import measured_targets

    try:
        marginals = measure(log_dir)
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from error
    except (PolarsError, OSError, ZeroDivisionError) as error:
        raise click.ClickException(
            f"{log_dir} should be a whole log in KuaiSAR's form, with rows. "
            f"Received: {str(error).splitlines()[0]}. Bring a whole copy."
        ) from error
    table = Table("figure", "target", "measured", "source of the target")
    for target, measured in measured_targets(marginals):
        table.add_row(target.name, target.text, f"{measured:,.4g}", target.source)
    console = plain_console()
    console.print(
        f"{log_dir}: {marginals.figures['rows']:,.0f} rows of {marginals.figures['users']:,.0f} users", soft_wrap=True
    )
    console.print(table)
    plot_file = plot_file or log_dir / "marginals.png"
    plot(marginals, plot_file)
    console.print(f"plot: {plot_file}", soft_wrap=True)
