"""A comparison of two sides of runs as tables of text, for a console or for Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from components.evaluation.intervals import LEVEL
from components.evaluation.names import ALL
from model.config import MAIN_METRIC

_NONE = "–"
_PARTS = ("settings", "environment", "data")


class Table(NamedTuple):
    """A title; names of columns; rows of cells; lines that stand below."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str]


def comparison_tables(found: Mapping[str, Any]) -> list[Table]:
    """What `components.report.compare.comparison.compare_runs` found, as tables: what differs, metrics, slices."""
    sides = [_title(side, of_side) for side, of_side in found["metrics"][MAIN_METRIC].items()]
    head = [*sides, *(["B less A", "p"] if found["paired"] else [])]
    metrics = [
        [metric, *_cells(of_sides), *_paired(found, ALL, metric)] for metric, of_sides in found["metrics"].items()
    ]
    slices = [
        [name, *_cells(of_sides), *_paired(found, name, MAIN_METRIC), *_requests(found, name)]
        for name, of_sides in found["slices"].items()
    ]
    return [
        *_differing(found),
        Table("Test split", ["", *head], metrics, _notes(found)),
        Table(f"{MAIN_METRIC} by slice", ["", *head, *(["paired requests"] if found["paired"] else [])], slices, []),
    ]


def _differing(found: Mapping[str, Any]) -> list[Table]:
    return [
        Table(
            f"{part.capitalize()}: what differs",
            ["", "A", "B"],
            [[row["name"], *(", ".join(row[side]) or _NONE for side in ("a", "b"))] for row in found[part]],
            [],
        )
        for part in _PARTS
        if found[part]
    ]


def _notes(found: Mapping[str, Any]) -> list[str]:
    requests = found["requests"]
    same = ", ".join(part for part in _PARTS if not found[part])
    notes = [f"The same on both sides: {same}."] if same else []
    notes += [
        f"The runs of {side.upper()} differ in {', '.join(names)}: they are not seeds of the same settings."
        for side, names in found["mixed"].items()
        if names
    ]
    if not found["paired"]:
        return [
            *notes,
            f"No test request is in both sides ({requests['a']:,} and {requests['b']:,} requests): "
            "nothing can be paired, and the columns are of different questions.",
        ]
    notes.append(
        f"A and B: all requests of each. B less A: the {requests['common']:,} requests that both sides have, "
        f"of {requests['a']:,} and {requests['b']:,}; {LEVEL:.0%} interval and p-value of a paired bootstrap."
    )
    if all(of_side["runs"] == 1 for of_side in found["metrics"][MAIN_METRIC].values()):
        notes.append("One run a side: how much another seed of the training would change is not in the intervals.")
    return notes


def _title(side: str, measured: Mapping[str, Any]) -> str:
    return side.upper() + (f", mean ± std of {measured['runs']} runs" if measured["runs"] > 1 else "")


def _cells(sides: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    return [_measured(of_side) for of_side in sides.values()]


def _measured(one: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return _NONE
    if one["runs"] > 1:
        return f"{one['value']:.4f} ± {one['std']:.4f}"
    return f"{one['value']:.4f} ({one['low']:.4f} to {one['high']:.4f})"


def _paired(found: Mapping[str, Any], slice_name: str, metric: str) -> Sequence[str]:
    if not found["paired"]:
        return []
    one = found["paired"][slice_name][metric]
    if one["value"] is None:
        return [_NONE, _NONE]
    return [f"{one['value']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f})", f"{one['p_value']:.3f}"]


def _requests(found: Mapping[str, Any], slice_name: str) -> Sequence[str]:
    return [f"{found['paired'][slice_name][MAIN_METRIC]['requests']:,}"] if found["paired"] else []
