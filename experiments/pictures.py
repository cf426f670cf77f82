"""Pictures of an experiment: figures of the paper, from fresh runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from components.report.page.plots.distances import cross_pictures, distance_pictures
from components.report.page.plots.picture import COLOURS, GREY, MARKERS, Picture, draw
from components.report.page.plots.tsne import tsne_pictures
from components.report.page.view import SIDES, states_findings


def sweep_pictures(
    rows: Sequence[Mapping[str, Any]], config: Mapping[str, Any], metrics: Sequence[str]
) -> list[Picture]:
    """A metric on test against the swept setting, a line a system, with the standard deviation over seeds.

    Args:
        rows: of runs.
        config: with `sweep` and `points`.
        metrics: a picture each.
    """
    return [_sweep(rows, config, metric) for metric in metrics]


def _sweep(rows: Sequence[Mapping[str, Any]], config: Mapping[str, Any], metric: str) -> Picture:
    label, points = config["sweep"]["label"], config["points"]
    lines: dict[str, dict[Any, list[float]]] = {}
    for row in rows:
        line, value = points[row["system"]]
        lines.setdefault(line, {}).setdefault(value, []).append(row["test"][metric])
    # Values stand at equal distances: those of a weight differ by powers of ten.
    values = sorted({value for line in lines.values() for value in line})

    def paint(figure: Figure) -> None:
        axis = figure.subplots()
        for number, (name, found) in enumerate(lines.items()):
            own = sorted(found)
            axis.errorbar(
                [values.index(value) for value in own],
                [np.mean(found[value]) for value in own],
                yerr=[float(np.std(found[value], ddof=1)) if len(found[value]) > 1 else 0.0 for value in own],
                color=COLOURS[number + 1],
                marker=MARKERS[number],
                capsize=2,
                label=name,
            )
        axis.set_xticks(range(len(values)), [f"{value:g}" for value in values])
        axis.set_xlabel(label)
        axis.set_ylabel(metric)
        if len(lines) > 1:
            figure.legend(loc="outside lower center", ncols=2)

    told = "; ".join(
        f"{name}: " + ", ".join(f"{value:g} {np.mean(found[value]):.4f}" for value in sorted(found))
        for name, found in lines.items()
    )
    return draw(paint, f"{metric} on test against {label}. {told}.", 3.0)


def state_pictures(looks: Mapping[str, Mapping[str, Any]], kinds: Sequence[str]) -> list[Picture]:
    """Where reasoning brings the states of one run of each system.

    Args:
        looks: what `reasoning_states` gave, by system.
        kinds: `distance` and `tsne` are Fig. 4a and 4b of the paper, `cross` is Fig. 5.
    """
    drawn = []
    for name, states in looks.items():
        titles = {side: f"{name}, {title}" for side, title in SIDES.items()}
        found = states_findings(dict(states))
        if "distance" in kinds:
            drawn += distance_pictures(dict(states), titles, found["distance"])
        if "tsne" in kinds:
            drawn += tsne_pictures(states["tsne"], titles, found["tsne"])
        if "cross" in kinds:
            drawn += cross_pictures(dict(states), titles, found["cross"])
    return drawn


def inference_picture(seconds: Mapping[int, float]) -> Picture:
    """Seconds against K, and each over K = 0."""
    steps = sorted(seconds)

    def paint(figure: Figure) -> None:
        axis = figure.subplots()
        bars = axis.bar(range(len(steps)), [seconds[step] for step in steps], color=COLOURS[1], alpha=0.7)
        over = [100 * (seconds[step] / seconds[steps[0]] - 1) for step in steps]
        axis.bar_label(bars, [f"{more:+.0f} %" for more in over], color=GREY, fontsize=8)
        axis.set_xticks(range(len(steps)), list(map(str, steps)))
        axis.set_xlabel("reasoning steps K")
        axis.set_ylabel("seconds for the test requests")

    return draw(
        paint, f"Inference time against K: {', '.join(f'{step} {seconds[step]:.3f} s' for step in steps)}.", 2.9
    )
