"""What an experiment writes: tables in three forms, pictures, and the page of both."""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.last_run import Experiment
from benchmarks.timing import Timing
from components.report.page.plots.picture import Picture
from experiments import pictures, tables
from experiments.runs import Results
from experiments.systems import System
from model.config import MAIN_METRIC


def report_runs(
    config: Mapping[str, Any], results: Results, log: Experiment, systems: Mapping[str, System], seeds: Sequence[int]
) -> tables.Table | None:
    """Write tables and pictures of the runs that have finished.

    Args:
        config: of the experiment. `compares` names pairs of systems to test, or `previous`, each system against the one
            before it; without it the best is tested against all. A config with `sweep` is drawn as lines, and `states`
            names what `state_pictures` draws.
        results: where runs are kept, and where the report goes.
        log: the log.
        systems: of the config, without seeds.
        seeds: of each.

    Returns:
        The first table; None where nothing has finished.
    """
    rows, ranks, looks = [], {}, {}
    for name, system in systems.items():
        done = [(row, one) for one in map(system.seeded, seeds) if (row := results.row(one))]
        if done:
            rows += [row for row, _ in done]
            ranks[name] = np.stack([results.ranks(one)["test"] for _, one in done])
            if states := results.look(done[0][1]):
                looks[name] = states
    if not rows:
        return None
    order = list(ranks)
    counts = sorted({len(of_system) for of_system in ranks.values()})
    pairs = _pairs(config, order)
    enough = len(order) > 1 and min(counts) > 1
    compared = tables.compare(rows, ranks, log.test_requests.users) if enough and pairs is None else None
    caption = _caption(config, log) + f", {' to '.join(map(str, counts))} seed{'s' * (counts != [1])}"
    made = [tables.table2(rows, order, compared, caption)]
    if compared:
        made.append(tables.differences_table(compared))
    if pairs and enough:
        made.append(tables.pairs_table(pairs, ranks, log.test_requests.users))
    made += [table for table in (tables.full_table(rows, order),) if table]
    made.append(tables.costs_table(rows, order))
    drawn: list[Picture] = []
    if "sweep" in config:
        drawn = pictures.sweep_pictures(rows, config, config.get("metrics", (MAIN_METRIC,)))
    elif "states" in config:
        drawn = pictures.state_pictures(looks, config["states"])
    write(results.folder, made, drawn)
    return made[0]


def report_inference(
    config: Mapping[str, Any], folder: Path, log: Experiment, timings: Mapping[int, Timing]
) -> tables.Table:
    """Write Table 4 from the timings of each K; gives the table."""
    [first, *_] = timings
    seconds = {steps: timing.median for steps, timing in timings.items()}
    over = {steps: timing.over(timings[first]) for steps, timing in timings.items()}
    table = tables.inference_table(seconds, over, f"{_caption(config, log)}, {config['rounds']} rounds")
    (folder / "results.json").write_text(json.dumps({"seconds": seconds, "over": over}))
    write(folder, [table], [pictures.inference_picture(seconds)])
    return table


def report_costs(
    config: Mapping[str, Any], folder: Path, log: Experiment, rows: Sequence[Mapping[str, Any]]
) -> tables.Table:
    """Write what systems cost; gives the table."""
    table = tables.rates_table(rows, _caption(config, log))
    (folder / "results.json").write_text(json.dumps(list(rows)))
    write(folder, [table], [])
    return table


def write(folder: Path, made: Sequence[tables.Table], drawn: Sequence[Picture]) -> None:
    """`tables.md`, `tables.tex`, `tables.html`, and an SVG for each picture."""
    (folder / "tables.md").write_text("\n".join(map(tables.markdown, made)))
    (folder / "tables.tex").write_text("\n".join(map(tables.latex, made)))
    images = []
    for number, picture in enumerate(drawn, 1):
        (folder / f"picture_{number}.svg").write_bytes(base64.b64decode(picture.uri.partition("base64,")[2]))
        images.append(
            f'<img src="{picture.uri}" alt="{html.escape(picture.alt)}" width={picture.width} height={picture.height}>'
        )
    (folder / "tables.html").write_text(tables.as_html(made, made[0].caption, images))


def _caption(config: Mapping[str, Any], log: Experiment) -> str:
    requests = log.test_requests
    return (
        f"{config.get('title', 'Systems')} on {log.settings.name}: {len(requests):,} requests, "
        f"1 + {requests.candidates.shape[1] - 1} candidates, split {log.settings.logs.split}"
    )


def _pairs(config: Mapping[str, Any], order: Sequence[str]) -> list[tuple[str, str]] | None:
    asked = config.get("compares")
    if asked is None:
        return None
    if asked == "previous":
        return [(one, before) for before, one in zip(order, order[1:], strict=False)]
    return [(one, other) for one, other in asked if one in order and other in order]
