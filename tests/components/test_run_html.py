"""The HTML page of a run: all in one file, everything in its place, strings of users shown as they are."""

import base64
import html
import re

import pytest

from components.report.page.page import render_html
from tests.support.run_figures import NASTY, run_figures, states_figures, without_baseline

pytestmark = pytest.mark.slow

SECTIONS = [
    "Verdict",
    "Ranking of the test split",
    "Slices",
    "Gates",
    "Training",
    "Data quality",
    "What reasoning does",
    "Searches that the model used",
    "Cost",
    "Next",
]


@pytest.fixture(scope="module")
def page():
    return render_html(run_figures())


def pictures(page):
    return [base64.b64decode(data).decode() for data in re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)]


def test_every_section_is_there_in_order_and_in_the_list_of_sections(page):
    headings = re.findall(r'<h2 id="(\w+)">([^<]+)</h2>', page)
    assert [title for _, title in headings] == SECTIONS
    assert re.findall(r'<li><a href="#(\w+)">', page) == [name for name, _ in headings]


def test_the_page_is_one_small_file_that_fetches_and_runs_nothing(page):
    assert len(page) < 1_000_000
    assert not re.findall(r"<(?:script|link|iframe|object)\b", page)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page) and "url(" not in page and "@import" not in page
    assert all("<script" not in picture and 'href="http' not in picture for picture in pictures(page))


def test_the_same_figures_give_the_same_bytes(page):
    assert render_html(run_figures()) == page
    assert all("<dc:date>" not in picture for picture in pictures(page))


def test_there_are_pictures_of_all_and_each_says_what_came_out(page):
    alts = re.findall(r'<img [^>]*alt="([^"]*)"', page)
    assert len(alts) == len(pictures(page)) == 12  # slices, two stages, Fig. 4a, 4b and 5: two of each
    text = html.unescape("\n".join(alts))
    for finding in (
        "Slices in which it is clearly below the last pushed model: none.",
        "NDCG@5 went from 0.3011 at step 10 to 0.4212 at step 20",
        "falls with every step",
        "does not fall",
        "the states end closer to their own targets",
        "mean distance 0.600 with it, 0.700 without",
    ):
        assert finding in text


def test_pictures_need_no_font(page):
    assert all("<text" not in picture for picture in pictures(page))


def test_strings_of_users_are_shown_as_they_are():
    figures = run_figures(name=NASTY, pushed=NASTY)
    figures["gates"][2]["reasons"] = [NASTY]
    figures["settings"]["model"]["note"] = NASTY
    page = render_html(figures)
    assert "<script" not in page and "alert(1)" in page
    shown = re.sub(r"</?code>", "`", page)
    assert html.unescape(shown).count(NASTY) >= 7  # heading, title, path, reason twice, setting, query, log directory


def test_a_first_run_without_reasoning_that_was_stopped():
    figures = without_baseline(
        run_figures(
            pushed=None,
            version=None,
            blessed=False,
            finished=None,
            states=None,
            push_reason="not blessed",
            used_searches=[],
        )
    )
    figures["settings"]["model"]["reasoning_steps"] = 0
    figures["evaluation"]["full_catalogue"] = None
    figures["training"]["grpo"] = []
    figures["cost"]["seconds"] = {}
    page = render_html(figures)
    for text in (
        "Nothing was pushed",
        "<li>Pusher: not blessed</li>",
        "not recorded",
        "no last pushed model to compare",
        "no reasoning steps (K = 0)",
        "No request was looked at",
        "This stage left no curve",
    ):
        assert text in page
    for text in ("full catalogue", "Time by component", "Pushed as version", "less last pushed model"):
        assert text not in page
    assert len(pictures(page)) == 4  # slices and one stage


@pytest.mark.parametrize("steps", [1, 7])
def test_pictures_follow_the_number_of_reasoning_steps(steps):
    assert len(pictures(render_html(run_figures(states=states_figures(steps=steps))))) == 12
