"""Pictures of the states and the targets in a plane: the paper's Fig. 4b."""

from typing import Any

from matplotlib.figure import Figure

from components.report.page.plots.picture import COLOURS, GREY, MARKERS, Picture, draw


def tsne_pictures(tsne: dict[str, Any], titles: dict[str, str], findings: dict[str, str]) -> list[Picture]:
    """States by reasoning step among the targets, a picture for each side, on one scale.

    Args:
        tsne: points of both sides and of the targets, embedded together.
        titles: of the sides.
        findings: what came out, by side.
    """
    return [_map(tsne["points"], side, title, findings[side]) for side, title in titles.items()]


def _map(points: dict[str, Any], side: str, title: str, finding: str) -> Picture:
    steps = points[side]

    def paint(figure: Figure) -> None:
        axis = figure.subplots()
        # Thousands of marks: as pixels inside the picture, whose text stays sharp.
        look: dict[str, Any] = {"linestyle": "none", "markersize": 3.6, "alpha": 0.8, "rasterized": True}
        axis.plot(*zip(*points["target"], strict=True), marker="+", color=GREY, label="targets", **look)
        for step, of_step in enumerate(steps):
            axis.plot(
                *zip(*of_step, strict=True),
                marker=MARKERS[step % len(MARKERS)],
                markerfacecolor="none",
                color=COLOURS[step % len(COLOURS)],
                label=f"step {step}",
                **look,
            )
        everything = [
            point for side_points in (*points["search"], *points["rec"], points["target"]) for point in side_points
        ]
        for which, limits in (("x", axis.set_xlim), ("y", axis.set_ylim)):
            values = [point[which == "y"] for point in everything]
            room = 0.05 * (max(values) - min(values))
            limits(min(values) - room, max(values) + room)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_title(title)
        figure.legend(loc="outside lower center", ncols=4, markerscale=1.6)

    return draw(paint, f"t-SNE of the states by reasoning step and of the targets, {title}. {finding}", 3.9)
