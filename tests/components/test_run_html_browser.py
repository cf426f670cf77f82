"""The page of a run in a real browser, on a desk and on a phone: numbers, pictures, width, accessibility, silence."""

import os
import shutil

import pytest

from components.report.page.page import render_html
from tests.support.run_figures import METRICS, NASTY, run_figures, stopped

SIZES = {"desk": {"width": 1280, "height": 800}, "phone": {"width": 360, "height": 740}}
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REMEDY = "no `chromium` on the path: install it (apt-get install chromium fonts-dejavu-core)"


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium")
    if not program and "CI" in os.environ:
        pytest.fail(REMEDY)
    if not program:
        pytest.skip(REMEDY)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A run that was pushed, and one that was stopped, with strings that would break a careless page."""
    folder = tmp_path_factory.mktemp("pages")
    for name, figures in (("pushed", run_figures()), ("stopped", stopped(name=NASTY + "x" * 200))):
        (folder / f"{name}.html").write_text(render_html(figures), encoding="utf-8")
    return folder


@pytest.fixture(
    params=[
        (run, size, scheme)
        for run in ("pushed", "stopped")
        for size in SIZES
        for scheme in (("light", "dark") if run == "pushed" else ("light",))
    ],
    ids="-".join,
)
def page(browser, files, request):
    """A page that was opened; `seen` are its requests and what came to the console."""
    run, size, scheme = request.param
    page = browser.new_page(viewport=SIZES[size], color_scheme=scheme)
    page.file, page.seen = (files / f"{run}.html").as_uri(), []
    page.on("request", lambda request: page.seen.append(request.url))
    page.on("console", lambda message: page.seen.append(message.text))
    page.on("pageerror", lambda error: page.seen.append(str(error)))
    page.goto(page.file)
    yield page
    page.close()


def test_nothing_is_fetched_and_nothing_is_wrong(page):
    assert page.seen == [page.file]


def test_the_metric_table_is_found_by_its_caption_and_holds_the_figures(page):
    found = page.get_by_role("table", name="Metrics of the test split")
    rows = {
        row[0]: row[1:]
        for row in found.evaluate(
            "table => [...table.rows].map(row => [...row.cells].map(cell => cell.innerText.split('\\n')[0].trim()))"
        )
    }
    evaluation = run_figures()["evaluation"]
    roles = (("LCR-SER", "candidate"), ("last pushed model", "baseline"), ("popularity", "popularity"))
    assert rows == {
        "model": list(METRICS),
        **{
            title: [f"{evaluation['models'][role]['all'][metric]['value']:.4f}" for metric in METRICS]
            for title, role in roles
        },
        **{
            f"LCR-SER less {title}": [
                f"{evaluation['differences'][role]['all'][metric]['value']:+.4f}" for metric in METRICS
            ]
            for title, role in roles[1:]
        },
    }


def test_every_picture_is_loaded_and_has_a_text(page):
    found = page.evaluate(
        "[...document.images].map(image => [image.complete, image.naturalWidth, image.width, image.alt])"
    )
    assert len(found) == 12
    assert all(complete and natural and shown > 200 and len(alt) > 40 for complete, natural, shown, alt in found)


def test_wide_tables_scroll_in_their_own_box_and_the_page_does_not(page):
    width, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width == window
    boxes = page.evaluate("""[...document.querySelectorAll('.table')].map(box => [
        box.scrollWidth > box.clientWidth, getComputedStyle(box).overflowX, box.tabIndex,
        box.getAttribute('role'), box.getAttribute('aria-label')])""")
    assert all(box[1:4] == ["auto", 0, "region"] and box[4] for box in boxes)
    assert any(box[0] for box in boxes) or window > 360  # on a phone some do scroll


def test_axe_finds_no_violation(page):
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_axe_would_find_one(browser, files):
    from axe_playwright_python.sync_playwright import Axe

    page = browser.new_page()
    page.goto((files / "pushed.html").as_uri())
    page.evaluate("document.images[0].removeAttribute('alt'); document.documentElement.removeAttribute('lang')")
    assert {violation["id"] for violation in Axe().run(page).response["violations"]} == {"image-alt", "html-has-lang"}
    page.close()
