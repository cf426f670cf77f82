"""Pictures of the training curves."""

from typing import Any

from matplotlib.figure import Figure

from components.report.page.plots.picture import BLUE, VERMILLION, Picture, draw
from model.config import MAIN_METRIC

EVALUATED = f"eval/{MAIN_METRIC}"


def training_pictures(stage: str, rows: list[dict[str, float]], finding: str) -> list[Picture]:
    """Loss and the evaluation's metric over steps, a picture each; none of a column that no row has.

    Args:
        stage: title.
        rows: of the stage's log.
        finding: what came out.
    """
    panels = (
        ("loss", f"{stage}: loss", "", {"color": BLUE}),
        (EVALUATED, f"{stage}: NDCG@5 of the eval split", finding, {"color": VERMILLION, "marker": "o"}),
    )
    return [
        _curve([(row["step"], row[column]) for row in rows if column in row], title, text, look)
        for column, title, text, look in panels
        if any(column in row for row in rows)
    ]


def _curve(points: list[tuple[float, float]], title: str, finding: str, look: dict[str, Any]) -> Picture:

    def paint(figure: Figure) -> None:
        axis = figure.subplots()
        axis.plot(*zip(*points, strict=True), markersize=5, linewidth=1.6, **look)
        axis.set_title(title)
        axis.set_xlabel("step")

    (_, first), (steps, last) = points[0], points[-1]
    alt = f"Curve of {title}, over {steps:.0f} steps, from {first:.4f} to {last:.4f}. {finding}"
    return draw(paint, alt.strip(), 2.5)
