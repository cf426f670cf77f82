"""`lcr-ser simulate-report`: holds the marginal distributions of a log against the published figures."""

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table


@click.command()
@click.argument("log_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--plot", "plot_file", type=click.Path(dir_okay=False, path_type=Path),
              help="PNG or SVG file; default: marginals.png in LOG_DIR.")
def simulate_report(log_dir: Path, plot_file: Path | None) -> None:
    """Measure the log in LOG_DIR, simulated or real, from its files; print a table and draw a plot."""
    from components.simulator.marginals import measure
    from components.simulator.plot import plot
    from components.simulator.targets import compare

    try:
        marginals = measure(log_dir)
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from error
    table = Table("figure", "target", "measured", "source of the target")
    for target, measured in compare(marginals):
        table.add_row(target.name, target.text, f"{measured:,.4g}", target.source)
    console = Console(highlight=False)
    console.print(f"{log_dir}: {marginals.figures['rows']:,.0f} rows of {marginals.figures['users']:,.0f} users")
    console.print(table)
    plot_file = plot_file or log_dir / "marginals.png"
    plot(marginals, plot_file)
    console.print(f"plot: {plot_file}")
