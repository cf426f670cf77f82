"""Pictures of the slices."""

from itertools import groupby
from typing import Any

from matplotlib.figure import Figure

from components.evaluation.names import BASELINE, CANDIDATE, POPULARITY
from components.report.page.plots.picture import BLACK, BLUE, GREY, VERMILLION, Picture, draw
from components.report.page.slice_rows import MAIN, SliceRow

_OTHERS = {BASELINE: ("D", VERMILLION), POPULARITY: ("x", GREY)}


def slices_pictures(rows: list[SliceRow], titles: dict[str, str], other: str, finding: str) -> list[Picture]:
    """The main metric by slice with its interval, and its difference to another model.

    Args:
        rows: of all slices.
        titles: of the models.
        other: model that the differences are to.
        finding: what came out.
    """

    def levels(figure: Figure) -> None:
        axis = _axis(figure, rows, f"{MAIN} by slice")
        for role, (marker, colour) in _OTHERS.items():
            points = [
                (row.others[role]["value"], at) for at, row in _places(rows) if row.requests and role in row.others
            ]
            if points:
                axis.plot(
                    *zip(*points, strict=True),
                    linestyle="none",
                    marker=marker,
                    markersize=5,
                    color=colour,
                    markerfacecolor="none",
                    label=titles[role],
                )
        _intervals(axis, rows, "main", BLUE, titles[CANDIDATE])
        axis.set_xlim(left=0)
        axis.figure.legend(loc="outside lower center", ncols=3)

    def differences(figure: Figure) -> None:
        axis = _axis(figure, rows, f"{MAIN}: difference to {titles[other]}")
        axis.axvline(0, color=BLACK, linewidth=0.8, zorder=1)
        _intervals(axis, rows, "difference", BLUE, f"{titles[CANDIDATE]} less {titles[other]}")
        axis.figure.legend(loc="outside lower center")

    height = 0.9 + 0.19 * (len(rows) + len({row.group for row in rows}))
    what = "with its interval in each slice, as in the table."
    return [
        draw(levels, f"{MAIN} {what} {finding}", height),
        draw(differences, f"Difference in {MAIN} to {titles[other]} {what}", height),
    ]


def _places(rows: list[SliceRow]) -> list[tuple[float, SliceRow]]:
    """Heights of the rows, with room for the name of its group above each group."""
    places, height = [], 0.0
    for _, group in groupby(rows, key=lambda row: row.group):
        for row in group:
            places.append((height, row))
            height -= 1
        height -= 1
    return places


def _axis(figure: Figure, rows: list[SliceRow], title: str) -> Any:
    axis = figure.subplots()
    places = _places(rows)
    names = {at: row.name if row.requests else f"{row.name} (no request)" for at, row in places}
    headings: dict[float, str] = {}
    for at, row in places:
        if row.group != row.name and row.group not in headings.values():
            headings[at + 1] = row.group
    ticks = {**names, **headings}
    axis.set_yticks(list(ticks), list(ticks.values()))
    for at, label in zip(ticks, axis.get_yticklabels(), strict=True):
        label.set_fontweight("bold" if at in headings else "normal")
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="y", visible=False)
    figure.suptitle(title, x=0.02, ha="left", fontsize=10, fontweight="bold")
    axis.set_ylim(places[-1][0] - 0.7, 0.7)
    return axis


def _intervals(axis: Any, rows: list[SliceRow], field: str, colour: str, label: str) -> None:
    found = [(at, getattr(row, field)) for at, row in _places(rows) if row.requests]
    values = [estimate["value"] for _, estimate in found]
    ends = [
        [estimate["value"] - estimate["low"] for _, estimate in found],
        [estimate["high"] - estimate["value"] for _, estimate in found],
    ]
    axis.errorbar(
        values, [at for at, _ in found], xerr=ends, fmt="o", markersize=4.5, color=colour, linewidth=1.4, label=label
    )
