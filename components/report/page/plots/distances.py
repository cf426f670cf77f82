"""Pictures of the distances between states and targets: the paper's Fig. 4a and 5."""

from typing import Any

from matplotlib.figure import Figure

from components.report.page.plots.picture import BLUE, VERMILLION, Picture, draw


def distance_pictures(states: dict[str, Any], titles: dict[str, str], findings: dict[str, str]) -> list[Picture]:
    """Histograms of the distance by reasoning step, a picture for each side (Fig. 4a).

    Args:
        states: figures of the states.
        titles: of the sides.
        findings: what came out, by side.
    """
    return [_by_step(states, side, title, findings[side]) for side, title in titles.items()]


def cross_pictures(states: dict[str, Any], titles: dict[str, str], findings: dict[str, str]) -> list[Picture]:
    """Histograms of the distance at the last step with and without cross attention, a picture each side (Fig. 5)."""
    return [_crossed(states, side, title, findings[side]) for side, title in titles.items()]


def _by_step(states: dict[str, Any], side: str, title: str, finding: str) -> Picture:
    crossed = states["sides"][side]["crossed"]

    def paint(figure: Figure) -> None:
        axes = figure.subplots(len(crossed["counts"]), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for step, (axis, counts, mean) in enumerate(zip(axes, crossed["counts"], crossed["distance"], strict=True)):
            axis.stairs(counts, states["edges"], fill=True, color=BLUE, alpha=0.35)
            axis.stairs(counts, states["edges"], color=BLUE)
            axis.axvline(mean, color=VERMILLION, linestyle="--", linewidth=1.6)
            axis.set_title(f"step {step}, mean {mean:.3f}", fontsize=8.5, fontweight="normal", pad=2)
            axis.set_yticks([])
            axis.spines["left"].set_visible(False)
        axes[-1].set_xlabel("cosine distance to the target (dashed: mean)")
        axes[-1].set_xlim(_range(states))
        figure.suptitle(title, x=0.02, ha="left", fontsize=10, fontweight="bold")

    return draw(
        paint, f"Histograms of the distance by reasoning step, {title}. {finding}", 1.0 + 0.75 * len(crossed["counts"])
    )


def _crossed(states: dict[str, Any], side: str, title: str, finding: str) -> Picture:
    sides = states["sides"][side]

    def paint(figure: Figure) -> None:
        axis = figure.subplots()
        plain, crossed = sides["plain"], sides["crossed"]
        axis.stairs(crossed["counts"][-1], states["edges"], fill=True, color=BLUE, alpha=0.3)
        axis.stairs(
            crossed["counts"][-1],
            states["edges"],
            color=BLUE,
            linewidth=1.8,
            label=f"with cross attention, mean {crossed['distance'][-1]:.3f}",
        )
        axis.stairs(
            plain["counts"][-1],
            states["edges"],
            color=VERMILLION,
            linewidth=1.8,
            linestyle="--",
            label=f"without cross attention, mean {plain['distance'][-1]:.3f}",
        )
        axis.set_title(title)
        axis.set_xlabel("cosine distance to the target")
        axis.set_ylabel("requests")
        axis.set_xlim(_range(states))
        figure.legend(loc="outside lower center")

    alt = f"Histograms of the distance at the last step with and without cross attention, {title}. {finding}"
    return draw(paint, alt, 2.9)


def _range(states: dict[str, Any]) -> tuple[float, float]:
    """From the first to the last bin that holds a request anywhere, so that all pictures share a scale."""
    branches = [branch for side in states["sides"].values() for branch in side.values()]
    histograms = [counts for branch in branches for counts in branch["counts"]]
    filled = [at for at, counts in enumerate(zip(*histograms, strict=True)) if any(counts)]
    return states["edges"][filled[0]], states["edges"][filled[-1] + 1]
