"""`lcr-ser experiment`: the tables of the paper, made anew on one's own log."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import yaml

from tfx_pipeline.commands.command import Command
from tfx_pipeline.settings import REPOSITORY, load

_WITHOUT_A_MODEL = {"LCR_SER_MODEL__KIND": "popularity", "LCR_SER_EVALUATION__MIN_NDCG_5": "1"}


@click.command(cls=Command)
@click.argument("name")
@click.option("--seeds", type=int, help="How many; the config's number otherwise. The first is the profile's.")
@click.option("--trials", type=int, help="How many, of `tune`; the config's number otherwise.")
@click.option("--systems", help="Names of some systems, separated by commas; all otherwise.")
@click.option("--threads", type=int, default=0, show_default=True, help="Of TensorFlow; 0 leaves it to choose.")
@click.option("--report", is_flag=True, help="Write the tables of what has finished, and train nothing.")
def experiment(  # noqa: PLR0917 - click gives them by name
    name: str, seeds: int | None, trials: int | None, systems: str | None, threads: int, report: bool
) -> None:
    """Run an experiment on the log of the settings: one of ours, or a YAML file of your own.

    Ours are tune, table2 to table4, fig2, fig4 to fig8, shuffled, controls and cost (experiments/configs/). What has
    finished is not run again; several processes may share the work.
    """
    # What TensorFlow says of cards that are not there would stand between the lines of the runs.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from benchmarks.last_run import quiet, read_experiment
    from experiments import reports, tables, timings
    from experiments.runs import Results, run_all
    from experiments.systems import read_config, systems_of
    from experiments.tuning import BEST_FILE, tune

    try:
        config = read_config(name)
    except (FileNotFoundError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if systems:
        config["systems"] = _chosen(config["systems"], systems.split(","))
    settings = load()
    folder = settings.output_dir / "experiments" / settings.name
    results = Results(folder / Path(name).stem)
    results.folder.mkdir(parents=True, exist_ok=True)
    quiet(threads)
    if not report:
        _tell_device(settings)
    _prepare(settings)
    log = read_experiment()
    first = settings.supervised.seed
    if "trials" in config:
        if not report:
            tune({**config, "trials": trials or config["trials"]}, results, log, first, settings.distribution)
        click.echo(f"next  lcr-ser experiment table2    # with {results.folder / BEST_FILE}")
        return
    best = folder / "tune" / BEST_FILE
    tuned = yaml.safe_load(best.read_text()) if best.exists() else {}
    chosen = systems_of(config, log, tuned)
    if config.get("measures") == "inference":
        [system] = chosen.values()
        times = timings.inference_times(system, config["steps"], log, config["rounds"])
        table = reports.report_inference(config, results.folder, log, times)
    elif config.get("measures") == "costs":
        rows = timings.costs(config, list(chosen), tuned, threads, config["rounds"])
        table = reports.report_costs(config, results.folder, log, rows)
    else:
        numbers = range(first, first + (seeds or config["seeds"]))
        if not report:
            full, look = config.get("full_catalogue_requests", 0), "states" in config
            run_all(
                list(chosen.values()),
                numbers,
                results,
                log,
                full,
                look_at_states=look,
                distribution=settings.distribution,
            )
        found = reports.report_runs(config, results, log, chosen, list(numbers))
        if found is None:
            raise click.ClickException("No run has finished yet. Leave --report out.")
        table = found
    click.echo(tables.markdown(table))
    click.echo(f"next  open {results.folder / 'tables.html'}    # also tables.md, tables.tex")


def _chosen(known: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Systems by their names."""
    if unknown := [one for one in names if one not in known]:
        raise click.ClickException(f"--systems should name some of {', '.join(known)}. Received: {', '.join(unknown)}.")
    return {one: known[one] for one in names}


def _tell_device(settings: Any) -> None:
    """Say what there is to train on, and end where that is not what is asked for."""
    from components.trainer import cards
    from components.trainer.placement import require_card

    click.echo(f"device  {cards.found()}")
    try:
        require_card(settings.distribution)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def _prepare(settings: Any) -> None:
    """Read and transform the log, by a run of the pipeline with the model that needs no training."""
    if (settings.run_dir / "artifacts" / "Transform" / "transformed_examples").exists():
        return
    click.echo("The log has not been transformed yet: running the pipeline once with `popularity`, to push nothing.")
    command = [str(Path(sys.executable).parent / "tfx"), "run", "create", "--pipeline_path", "tfx_pipeline/"]
    subprocess.run(command, cwd=REPOSITORY, env={**os.environ, **_WITHOUT_A_MODEL}, check=True)  # noqa: S603
