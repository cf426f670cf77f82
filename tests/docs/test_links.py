"""What the documents name is there: links, headings, files, functions of the journeys, modules of commands."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.md")])
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""Those that say what is now."""
ROOMS = "model components tfx_pipeline serving synthetic_logs experiments benchmarks examples scripts tests".split()
WIDTH = 100


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def lines(page: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines outside of code blocks and front matter."""
    fence = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.lstrip().startswith("```") or (line == "---" and ".github" in page.parts):
            fence = not fence
        elif not fence:
            yield number, line


def spans(page: Path) -> Iterator[tuple[int, str]]:
    """Numbered code spans."""
    for number, line in lines(page):
        for span in re.findall(r"`([^`]+)`", line):
            yield number, span


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading.strip("# ").lower())
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page):
    wrong = []
    text = "\n".join(line for _, line in lines(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            wrong.append(target)
        elif anchor and anchor not in {slug(line) for _, line in lines(file) if line.startswith("#")}:
            wrong.append(target)
    assert wrong == []


@pytest.mark.parametrize("page", CURRENT, ids=name_of)
def test_files_that_are_named_exist(page):
    """Of paths that begin with a room; capitals stand for a name that a reader chooses."""
    paths = rf"((?:{'|'.join(ROOMS)})/[\w./-]*)(?::\w+)?"
    wrong = []
    for number, span in spans(page):
        found = re.fullmatch(paths, span)
        if found and not re.search("NAME", span) and not (ROOT / found[1]).exists():
            wrong.append(f"line {number}: {span}")
    assert wrong == []


@pytest.mark.parametrize("page", CURRENT, ids=name_of)
def test_modules_that_are_named_exist(page):
    """Of commands `python -m room.module`, and of names of three parts or more: those of two may be settings."""
    wrong = []
    for number, span in spans(page):
        named = re.search(rf"python -m ((?:{'|'.join(ROOMS)})[.\w]*)", span) or re.fullmatch(
            rf"((?:{'|'.join(ROOMS)})(?:\.\w+){{2,}})", span
        )
        if named and not is_module_or_in_one(named[1].split("."), "python -m" in span):
            wrong.append(f"line {number}: {span}")
    assert wrong == []


def is_module_or_in_one(parts: list[str], whole: bool) -> bool:
    if ROOT.joinpath(*parts).with_suffix(".py").exists() or ROOT.joinpath(*parts, "__init__.py").exists():
        return True
    *module, attribute = parts
    files = ROOT.joinpath(*module).with_suffix(".py"), ROOT.joinpath(*module, "__init__.py")
    return not whole and any(re.search(rf"\b{attribute}\b", file.read_text()) for file in files if file.exists())


def test_the_journeys_name_functions_of_their_files():
    wrong = []
    for number, line in lines(ROOT / "docs" / "architecture.md"):
        _, *cells, _ = line.split("|") if line.startswith("| ") else ("", "")
        if len(cells) != 3 or ".py`" not in cells[1]:
            continue
        files = [ROOT / path for path in re.findall(r"`([^`]+\.py)`", cells[1])]
        source = "\n".join(file.read_text() for file in files if file.exists())
        for function in re.findall(r"`([A-Za-z_.]+)`", cells[2]):
            *_, last = function.split(".")
            if not re.search(rf"(?:def|class) {last}\b|import .*\b{last}\b", source):
                wrong.append(f"line {number}: {function}")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_lines_are_not_long(page):
    """Outside of tables, code, and links that cannot be broken."""
    long = [
        number
        for number, line in lines(page)
        if len(line) > WIDTH and not line.lstrip().startswith("|") and len(re.sub(r"\]\([^)]*\)", "]", line)) > WIDTH
    ]
    assert long == []
