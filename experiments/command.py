"""`lcr-ser experiment`: the tables of the paper, made anew on one's own log."""

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from tfx_pipeline.commands.command import Command
from tfx_pipeline.settings import REPOSITORY, load

if TYPE_CHECKING:
    from benchmarks.last_run import Experiment

_WITHOUT_A_MODEL = {"LCR_SER_MODEL__KIND": "popularity", "LCR_SER_EVALUATION__MIN_NDCG_5": "1"}


@click.command(cls=Command)
@click.argument("name")
@click.option("--seeds", type=int, help="How many; the config's number otherwise. The first is the profile's.")
@click.option("--systems", help="Names of some systems, separated by commas; all otherwise.")
@click.option("--threads", type=int, default=0, show_default=True, help="Of TensorFlow; 0 leaves it to choose.")
@click.option("--report", is_flag=True, help="Write the tables of what has finished, and train nothing.")
def experiment(name: str, seeds: int | None, systems: str | None, threads: int, report: bool) -> None:
    """Run an experiment on the log of the settings: `tune`, `table2`, or a YAML file of your own.

    Its configs are in experiments/configs/. What has finished is not run again; several processes may share the work.
    """
    from benchmarks.last_run import quiet, read_experiment
    from experiments.runs import Results, run_all
    from experiments.systems import read_config, systems_of
    from experiments.tuning import BEST_FILE, tune

    try:
        config = read_config(name)
    except (FileNotFoundError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if systems:
        unknown = [one for one in systems.split(",") if one not in config["systems"]]
        if unknown:
            raise click.ClickException(
                f"--systems should name some of {', '.join(config['systems'])}. Received: {', '.join(unknown)}."
            )
        config["systems"] = {one: config["systems"][one] for one in systems.split(",")}
    settings = load()
    folder = settings.output_dir / "experiments" / settings.name
    results = Results(folder / Path(name).stem)
    results.folder.mkdir(parents=True, exist_ok=True)
    quiet(threads)
    _prepare(settings)
    log = read_experiment()
    first = settings.supervised.seed
    if "trials" in config:
        if not report:
            tune(config, results, log, first)
        click.echo(f"next  lcr-ser experiment table2    # with {results.folder / BEST_FILE}")
        return
    best = folder / "tune" / BEST_FILE
    tuned = yaml.safe_load(best.read_text()) if best.exists() else {}
    chosen = systems_of(config, log, tuned)
    numbers = range(first, first + (seeds or config["seeds"]))
    if not report:
        run_all(list(chosen.values()), numbers, results, log, config.get("full_catalogue_requests", 0))
    _write(config, results, log, chosen, list(numbers))


def _prepare(settings: Any) -> None:
    """Read and transform the log, by a run of the pipeline with the model that needs no training."""
    if (settings.run_dir / "artifacts" / "Transform" / "transformed_examples").exists():
        return
    click.echo("The log has not been transformed yet: running the pipeline once with `popularity`, to push nothing.")
    command = [str(Path(sys.executable).parent / "tfx"), "run", "create", "--pipeline_path", "tfx_pipeline/"]
    subprocess.run(command, cwd=REPOSITORY, env={**os.environ, **_WITHOUT_A_MODEL}, check=True)  # noqa: S603


def _write(config: dict[str, Any], results: Any, log: "Experiment", chosen: dict[str, Any], seeds: list[int]) -> None:
    import numpy as np

    from experiments import tables

    rows, ranks = [], {}
    for name, system in chosen.items():
        seeded = [system.seeded(seed) for seed in seeds]
        found = [(results.row(one), one) for one in seeded]
        own = [row for row, _ in found if row]
        if own:
            rows += own
            ranks[name] = np.stack([results.ranks(one)["test"] for row, one in found if row])
    if not rows:
        raise click.ClickException("No run has finished yet. Leave --report out.")
    order = list(ranks)
    enough = len(order) > 1 and all(len(of_system) > 1 for of_system in ranks.values())
    compared = tables.compare(rows, ranks, log.test_requests.users) if enough else None
    counts = sorted({len(of_system) for of_system in ranks.values()})
    caption = (
        f"{config.get('title', 'Systems')} on {log.settings.name}: {len(log.test_requests):,} requests, 1 + "
        f"{log.test_requests.candidates.shape[1] - 1} candidates, split {log.settings.logs.split}, "
        f"{' to '.join(map(str, counts))} seeds"
    )
    made = [tables.table2(rows, order, compared, caption)]
    if compared:
        made.append(tables.differences_table(compared))
    made += [table for table in (tables.full_table(rows, order),) if table]
    made.append(tables.costs_table(rows, order))
    (results.folder / "tables.md").write_text("\n".join(map(tables.markdown, made)))
    (results.folder / "tables.tex").write_text("\n".join(map(tables.latex, made)))
    (results.folder / "tables.html").write_text(tables.as_html(made, caption))
    click.echo(tables.markdown(made[0]))
    click.echo(f"next  open {results.folder / 'tables.html'}    # also tables.md, tables.tex, results.jsonl")
