"""Tables of an experiment, in Markdown, LaTeX and HTML."""

import html
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from components.evaluation.rank_values import rank_values
from experiments.significance import Difference, difference, holm
from model.config import MAIN_METRIC

METRICS = ("HR@1", "HR@5", "HR@10", "NDCG@5", "NDCG@10")
LEVEL = 0.05


class Cell(NamedTuple):
    """A figure of a table.

    Attributes:
        text: mean, and deviation over seeds.
        place: 1 for the best of its column, 2 for the second, else 0.
        star: whether the best is better than the second, see `Compared`.
    """

    text: str
    place: int = 0
    star: bool = False


class Table(NamedTuple):
    """A table: its caption, heads, the name and the cells of each row, and lines below it."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    notes: Sequence[str]


class Compared(NamedTuple):
    """The systems on the test split.

    Attributes:
        order: systems, the best on eval first.
        differences: the best on eval less each other, by metric and system.
        p_values: of these, corrected over the systems, by metric and system.
    """

    order: list[str]
    differences: dict[str, dict[str, Difference]]
    p_values: dict[str, dict[str, float]]


def compare(
    rows: Sequence[Mapping[str, Any]], ranks: Mapping[str, npt.NDArray[Any]], users: npt.NDArray[Any]
) -> Compared:
    """Hold the best system on eval against each other, on test.

    Which is best and which is second is named on eval, so that the test split decides on one question alone.

    Args:
        rows: of runs.
        ranks: of the test requests, by system, `[S, R]`.
        users: of the test requests, `[R]`.
    """
    on_eval = {name: np.mean([row["eval"][MAIN_METRIC] for row in rows if row["system"] == name]) for name in ranks}
    order = sorted(ranks, key=lambda name: -on_eval[name])
    best, *others = order
    differences, p_values = {}, {}
    for metric in METRICS:
        values = {name: rank_values(of_system, metric) for name, of_system in ranks.items()}
        differences[metric] = {name: difference(values[best], values[name], users) for name in others}
        p_values[metric] = holm({name: one.p_value for name, one in differences[metric].items()})
    return Compared(order, differences, p_values)


def table2(rows: Sequence[Mapping[str, Any]], order: Sequence[str], compared: Compared | None, caption: str) -> Table:
    """Table 2 of the paper: mean and standard deviation over seeds, the best and the second of each column marked.

    Args:
        rows: of runs.
        order: of the table's rows.
        compared: of `compare`; None for runs of one seed, of which nothing is sure.
        caption: what log, how split, how many seeds.
    """
    means, texts = {}, {}
    for name in order:
        own = [row["test"] for row in rows if row["system"] == name]
        means[name] = {metric: float(np.mean([row[metric] for row in own])) for metric in METRICS}
        spreads = {metric: np.std([row[metric] for row in own], ddof=1) if len(own) > 1 else None for metric in METRICS}
        texts[name] = {
            metric: f"{means[name][metric]:.4f}" + ("" if spreads[metric] is None else f" ± {spreads[metric]:.4f}")
            for metric in METRICS
        }
    places = {metric: _places({name: means[name][metric] for name in order}) for metric in METRICS}
    notes = [f"{name}: a run was stopped at its cap, and carries no claim." for name in _capped(rows, order)]

    def cell(name: str, metric: str) -> Cell:
        place = places[metric][name]
        star = False
        if compared and name == compared.order[0] and place == 1 and len(order) > 1:
            star = compared.p_values[metric][compared.order[1]] < LEVEL
        return Cell(texts[name][metric], place if place < 3 else 0, star)

    if compared:
        best, second = compared.order[:2]
        notes.append(
            f"Best on eval is {best}, second {second}. `*`: {best} is better than {second} on test, p < {LEVEL} by a "
            f"test over users and seeds, corrected over {len(compared.order) - 1} systems (Holm)."
        )
    body = [(name, [cell(name, metric) for metric in METRICS]) for name in order]
    return Table(caption, METRICS, body, notes)


def differences_table(compared: Compared) -> Table:
    """How far the best system on eval is from each other, with corrected p-values, on the main metric."""
    best = compared.order[0]
    of_metric, p_values = compared.differences[MAIN_METRIC], compared.p_values[MAIN_METRIC]
    rows = [
        (name, [Cell(f"{one.value:+.4f}"), Cell(f"{one.error:.4f}"), Cell(f"{p_values[name]:.4f}")])
        for name, one in of_metric.items()
    ]
    return Table(f"{MAIN_METRIC} of {best} less that of the others", ("difference", "error", "p (Holm)"), rows, ())


def pairs_table(
    pairs: Sequence[tuple[str, str]], ranks: Mapping[str, npt.NDArray[Any]], users: npt.NDArray[Any]
) -> Table:
    """How far systems are from others, on the main metric, with p-values corrected over the pairs.

    Args:
        pairs: a system and the one that it is held against.
        ranks: of the test requests, by system, `[S, R]`.
        users: of the test requests, `[R]`.
    """
    values = {name: rank_values(of_system, MAIN_METRIC) for name, of_system in ranks.items()}
    found = {f"{one} against {other}": difference(values[one], values[other], users) for one, other in pairs}
    p_values = holm({name: one.p_value for name, one in found.items()})
    rows = [
        (name, [Cell(f"{one.value:+.4f}"), Cell(f"{one.error:.4f}"), Cell(f"{p_values[name]:.4f}")])
        for name, one in found.items()
    ]
    return Table(f"{MAIN_METRIC}, pairs", ("difference", "error", "p (Holm)"), rows, ())


def inference_table(seconds: Mapping[int, float], over: Mapping[int, float], caption: str) -> Table:
    """Table 4 of the paper.

    Args:
        seconds: to rank the test requests, by K.
        over: times those of the first K, each a median of ratios of calls of one round.
        caption: of what.
    """
    rows = [
        ("Time (s)", [Cell(f"{value:.3f}") for value in seconds.values()]),
        ("Increase (%)", [Cell(f"{100 * (value - 1):+.1f}") for value in over.values()]),
    ]
    return Table(caption, [f"K = {steps}" for steps in seconds], rows, ())


def rates_table(rows: Sequence[Mapping[str, Any]], caption: str) -> Table:
    """Parameters, rates and memory of systems; what has nothing to train has no rate of training."""
    fields = {
        "parameters": "parameters",
        "batch": "batch",
        "rows_a_second": "training rows/s",
        "requests_a_second": "requests/s",
        "memory": "memory, MiB",
    }
    body = [(row["system"], [Cell(f"{row[name]:,.0f}" if name in row else "") for name in fields]) for row in rows]
    return Table(caption, list(fields.values()), body, ())


def costs_table(rows: Sequence[Mapping[str, Any]], order: Sequence[str]) -> Table:
    """How long each system trained: medians over seeds, in seconds of those that ran in one go."""

    def median(name: str, field: str) -> Cell:
        found = [row[field] for row in rows if row["system"] == name and row[field] is not None]
        return Cell(f"{np.median(found):,.0f}" if found else "")

    fields = ("parameters", "steps", "targets", "seconds")
    body = [(name, [median(name, field) for field in fields]) for name in order]
    return Table("Trainings, medians over seeds", fields, body, ())


def full_table(rows: Sequence[Mapping[str, Any]], order: Sequence[str]) -> Table | None:
    """NDCG@10 against the whole catalogue, beside that of sampled candidates; None where it was not taken."""
    if not all("full" in row for row in rows):
        return None
    means = {
        name: [
            float(np.mean([row[kind]["NDCG@10"] for row in rows if row["system"] == name]))
            for kind in ("test", "full", "full_with_past")
        ]
        for name in order
    }
    by = [_places({name: values[at] for name, values in means.items()}) for at in range(3)]
    moved = [name for name in order if by[0][name] != by[1][name]]
    note = f"Another place among all items than among candidates: {', '.join(moved)}." if moved else "The order stays."
    body = [(name, [Cell(f"{value:.4f}") for value in values]) for name, values in means.items()]
    heads = ("sampled candidates", "all items", "all items, past clicks too")
    return Table("NDCG@10 among sampled candidates and among all items", heads, body, [note])


def _places(values: Mapping[str, float]) -> dict[str, int]:
    """The place of each, from 1 for the largest value; equal ones share theirs."""
    distinct = sorted(set(values.values()), reverse=True)
    return {name: distinct.index(value) + 1 for name, value in values.items()}


def _capped(rows: Sequence[Mapping[str, Any]], order: Sequence[str]) -> list[str]:
    return [name for name in order if any(row["capped"] for row in rows if row["system"] == name)]


def markdown(table: Table) -> str:
    """The best bold, the second underlined."""
    lines = [table.caption, "", "| | " + " | ".join(table.heads) + " |", "|---" * (1 + len(table.heads)) + "|"]
    for name, cells in table.rows:
        lines.append(f"| {name} | " + " | ".join(map(_html_cell_of_markdown, cells)) + " |")
    return "\n".join([*lines, *("" if not table.notes else f"\n{note}" for note in table.notes)]) + "\n"


def _html_cell_of_markdown(cell: Cell) -> str:
    marked = {1: f"**{cell.text}**", 2: f"<u>{cell.text}</u>"}.get(cell.place, cell.text)
    return marked + ("\\*" if cell.star else "")


def latex(table: Table) -> str:
    """With the rules of `booktabs`."""

    def text(cell: Cell) -> str:
        plain = cell.text.replace("±", r"$\pm$")
        marked = {1: rf"\textbf{{{plain}}}", 2: rf"\underline{{{plain}}}"}.get(cell.place, plain)
        return marked + ("*" if cell.star else "")

    rows = [_escaped(name) + " & " + " & ".join(map(text, cells)) + r" \\" for name, cells in table.rows]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_escaped(table.caption)}}}",
            r"\begin{tabular}{l" + "r" * len(table.heads) + "}",
            r"\toprule",
            " & " + " & ".join(map(_escaped, table.heads)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            *(f"% {note}" for note in table.notes),
            r"\end{table}",
            "",
        ]
    )


def _escaped(text: str) -> str:
    return "".join({"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#"}.get(letter, letter) for letter in text)


def as_html(tables: Sequence[Table], title: str, images: Sequence[str] = ()) -> str:
    """A page of tables and of images, `<img>` each, that needs nothing from the network."""
    style = (
        "body{font:15px/1.5 system-ui,sans-serif;max-width:64em;margin:2em auto;padding:0 1em}"
        "table{border-collapse:collapse;margin:1em 0}th,td{padding:.25em .8em;text-align:right;white-space:nowrap}"
        "td:first-child{text-align:left}thead{border-bottom:1px solid}caption{text-align:left;font-weight:600}"
        "img{margin:.5em;vertical-align:top}"
    )
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f"<title>{html.escape(title)}</title><style>{style}</style><h1>{html.escape(title)}</h1>"
    ]
    for table in tables:
        heads = "".join(f"<th>{html.escape(head)}</th>" for head in ("", *table.heads))
        body = "".join(
            f"<tr><td>{html.escape(name)}</td>" + "".join(map(_html_cell, cells)) + "</tr>"
            for name, cells in table.rows
        )
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in table.notes)
        parts.append(
            f"<table><caption>{html.escape(table.caption)}</caption><thead><tr>{heads}</tr></thead>"
            f"<tbody>{body}</tbody></table>{notes}"
        )
    return "".join([*parts, *images, "</html>"])


def _html_cell(cell: Cell) -> str:
    text = html.escape(cell.text) + ("*" if cell.star else "")
    tag = {1: "strong", 2: "u"}.get(cell.place)
    return f"<td><{tag}>{text}</{tag}></td>" if tag else f"<td>{text}</td>"
