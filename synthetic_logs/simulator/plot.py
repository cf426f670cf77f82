"""Draws the marginal distributions of a log beside the published figures."""

from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np
import polars as pl

from synthetic_logs.simulator.activity import REC_LEVELS, SEARCH_LEVELS
from synthetic_logs.simulator.marginals import Marginals
from synthetic_logs.simulator.targets import LARGE_MEANS, TRANSITIONS, WORD_SHARES, measured_targets

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402 - after the choice of a backend without a display

_REC, _SEARCH, _TARGET = "#2b6cb0", "#d97706", "#111111"
_MARK: Final[dict[str, Any]] = {"linestyle": "none", "marker": "D", "markersize": 6, "color": _TARGET, "zorder": 3}
_SHARES: Final = (
    "R rows without a click",
    "searches with a click",
    "clicked R items clicked once or twice",
    "S share of rows",
    "items in R and S, of S",
    "items in R and S, of all",
)


def plot(marginals: Marginals, path: str | Path) -> None:
    """Write nine panels as PNG or SVG, by the ending of `path`; black diamonds and lines are published figures."""
    figure, axes = pyplot.subplots(3, 3, figsize=(16, 13), layout="constrained")
    panels = (_shares, _users, _popularity, _transitions, _clicks, _words, _batches, _rec_levels, _search_levels)
    for axis, panel in zip(axes.flat, panels, strict=True):
        panel(axis, marginals)
        axis.spines[["top", "right"]].set_visible(False)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False, fontsize=9)
    figures = marginals.figures
    figure.suptitle(
        f"{figures['rows']:,.0f} rows of {figures['users']:,.0f} users; R: recommendation, S: search; "
        "black: published or assumed target",
        fontsize=14,
    )
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _shares(axis: Any, marginals: Marginals) -> None:
    rows = {target.name: (target, measured) for target, measured in measured_targets(marginals)}
    for place, name in enumerate(reversed(_SHARES)):
        target, measured = rows[name]
        axis.barh(place, measured, color=_REC, height=0.55)
        axis.plot(target.low, place, **_MARK)
        end = max(measured, target.low)
        axis.text(end + 0.03, place, f"{measured:.3f}  (target {target.text})", va="center", fontsize=9)
    labels = [name.replace(" clicked once", "\nclicked once").replace(", of", ",\nof") for name in reversed(_SHARES)]
    axis.set(title="Shares", xlabel="share (diamond: target)", xlim=(0, 1.5), xticks=np.arange(0, 1.1, 0.2))
    axis.set_yticks(range(len(_SHARES)), labels, fontsize=9)


def _users(axis: Any, marginals: Marginals) -> None:
    edges = np.geomspace(1, 10_000, 41)
    for column, name, colour, target in (("rec", "R", _REC, 289.6), ("search", "S", _SEARCH, 122.6)):
        rows = marginals.users[column].to_numpy()
        axis.hist(
            rows, edges, weights=np.full(len(rows), 1 / len(rows)), histtype="stepfilled", alpha=0.4, color=colour
        )
        axis.axvline(rows.mean(), color=colour, label=f"{name}: mean {rows.mean():.1f}")
        axis.axvline(
            target, color=_TARGET, linestyle=":" if name == "R" else "--", label=f"{name}: KuaiSAR-small {target}"
        )
    axis.set(
        title="Rows a user",
        xlabel="rows in the whole log, logarithmic",
        ylabel="share of users",
        xscale="log",
        ylim=(0, 1.45 * axis.get_ylim()[1]),
    )


def _popularity(axis: Any, marginals: Marginals) -> None:
    times = marginals.popularity["times"].to_numpy()
    for column, name, colour, style, target in (
        ("rec", "R rows", _REC, "-", " (KuaiSAR-small 3.28)"),
        ("rec_clicks", "R clicks", _REC, "--", ""),
        ("search", "S rows", _SEARCH, "-", " (KuaiSAR-small 1.58)"),
    ):
        items = marginals.popularity[column].to_numpy()
        mean = (times * items).sum() / items.sum()
        some = items > 0
        axis.plot(
            times[some],
            (items[::-1].cumsum()[::-1] / items.sum())[some],
            color=colour,
            linestyle=style,
            marker=".",
            label=f"{name}: mean {mean:.2f}{target}",
        )
    axis.plot(3, 0.1, **_MARK, label="R clicks: at most 0.1 of items thrice or more")
    axis.set(
        title="Popularity of items",
        xscale="log",
        yscale="log",
        xlabel="times seen, at least",
        ylabel="share of distinct items",
        ylim=(None, 60),
    )


def _transitions(axis: Any, marginals: Marginals) -> None:
    measured = dict(marginals.transitions.rows())
    _bars(axis, [measured.get(pair, 0.0) for pair in TRANSITIONS], list(TRANSITIONS.values()), "Qilin")
    axis.set_xticks(range(len(TRANSITIONS)), list(TRANSITIONS))
    axis.set(
        title="Requests that follow each other within 30 minutes",
        ylabel="share of pairs of requests",
        xlabel="first request > second",
    )


def _clicks(axis: Any, marginals: Marginals) -> None:
    clicks, searches = (marginals.session_clicks[name].to_numpy() for name in ("clicks", "searches"))
    geometric = [(1 - (1 - 1 / 1.44)) * (1 - 1 / 1.44) ** (count - 1) for count in clicks]
    _bars(axis, searches / searches.sum(), geometric, "1 + geometric, mean 1.44 (derived)", clicks)
    axis.set(
        title="Clicks in searches with a click",
        xlabel="clicked items",
        ylabel="share of searches, logarithmic",
        yscale="log",
    )


def _words(axis: Any, marginals: Marginals) -> None:
    words, searches = (marginals.query_words[name].to_numpy() for name in ("words", "searches"))
    _bars(
        axis,
        searches / searches.sum(),
        [WORD_SHARES.get(count, np.nan) for count in words],
        "trivago (KuaiSAR's unknown)",
        words,
    )
    axis.set(title="Words a query", xlabel="words", ylabel="share of searches")


def _batches(axis: Any, marginals: Marginals) -> None:
    rows, batches = (marginals.batch_rows[name].to_numpy() for name in ("rows", "batches"))
    _bars(
        axis,
        batches / batches.sum(),
        [0.2 if 4 <= count <= 8 else np.nan for count in rows],
        "4 to 8, even (assumption)",
        rows,
    )
    axis.set(title="R rows of a user with one timestamp", xlabel="rows", ylabel="share of timestamps")
    axis.set_ylim(0, 0.3)


def _rec_levels(axis: Any, marginals: Marginals) -> None:
    _levels(axis, marginals.rec_levels, REC_LEVELS)
    axis.set(title="Activity by reco_active_level", xlabel="level")


def _search_levels(axis: Any, marginals: Marginals) -> None:
    _levels(axis, marginals.search_levels, SEARCH_LEVELS)
    axis.set(title="Activity by search_active_level", xlabel="level")


def _levels(axis: Any, measured: pl.DataFrame, published: tuple[tuple[float, float, float], ...]) -> None:
    levels = measured["level"].to_numpy()
    for side, column, name, colour in ((0, "rec", "R", _REC), (1, "search", "S", _SEARCH)):
        shift = 0.4 * side - 0.2
        axis.bar(levels + shift, measured[column], 0.38, color=colour, label=f"{name} rows")
        axis.plot(
            np.arange(len(published)) + shift,
            [row[1 + side] / LARGE_MEANS[side] for row in published],
            **_MARK,
            label="KuaiSAR-large, read off a plot" if side else None,
        )
    axis.set(ylabel="rows a user, over the mean of all users", xticks=range(len(published)))


def _bars(axis: Any, measured: Any, published: Any, name: str, places: Any = None) -> None:
    places = range(len(measured)) if places is None else places
    axis.bar(places, measured, 0.6, color=_REC, label="measured")
    axis.plot(places, published, **_MARK, label=name)
    axis.set_xticks(places)
