"""Renders the page of a run, as HTML and as Markdown."""

from pathlib import Path
from typing import Any

import jinja2

from components.common.run_files import HTML_FILE
from components.evaluation.names import CANDIDATE
from components.report.page.escapes import html_prose, markdown_cell, markdown_code, markdown_prose
from components.report.page.numbers import FILTERS
from components.report.page.view import page_view, why_not_pushed

__all__ = ["KEYS", "metric_names", "render", "render_html", "why_not_pushed"]

KEYS = (
    "name",
    "finished",
    "environment",
    "settings",
    "log",
    "metrics",
    "evaluation",
    "gates",
    "blessed",
    "pushed",
    "version",
    "push_reason",
    "training",
    "cost",
    "states",
    "used_searches",
)
"""What the figures of a run must hold."""


def render(figures: dict[str, Any]) -> str:
    """Markdown page of a run, for a pull request: all but the pictures.

    Args:
        figures: what `run.json` holds.
    """
    environment = _environment(
        autoescape=False, filters={"prose": markdown_prose, "code": markdown_code, "cell": markdown_cell}
    )
    return environment.get_template("run.md.j2").render(html_file=HTML_FILE, **page_view(figures), **figures)


def render_html(figures: dict[str, Any]) -> str:
    """The page of a run in one file: pictures and style are inside, and nothing is fetched or run.

    Args:
        figures: what `run.json` holds.
    """
    from components.report.page.plots.pictures import pictures

    view = page_view(figures)
    environment = _environment(autoescape=True, filters={"prose": html_prose})
    return environment.get_template("run.html.j2").render(pictures=pictures(figures, view), **view, **figures)


def metric_names(metrics: dict[str, dict[str, float]]) -> list[str]:
    """Names of the candidate's metrics in the order of a table: HR, NDCG, MRR, each by k."""

    def place(name: str) -> tuple[int, int]:
        kind, _, k = name.partition("@")
        return ("HR", "NDCG", "MRR").index(kind), int(k or 0)

    return sorted(metrics[CANDIDATE], key=place)


def _environment(autoescape: bool, filters: dict[str, Any]) -> jinja2.Environment:
    # Markdown is not escaped as HTML is, which would only garble it: its template escapes in Markdown's way.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
        undefined=jinja2.StrictUndefined,
        autoescape=autoescape,  # noqa: S701
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {**FILTERS, **filters}
    return environment
