"""Where the page of a run is kept: in a folder of its own, and as the newest one."""

import json
import shutil
from pathlib import Path
from typing import Any

from components.common.run_files import FIGURES_FILE, HTML_FILE, PAGE_FILE
from components.report.page.page import render, render_html


def keep_run(page_dir: Path, run_dir: Path, seconds: dict[str, float]) -> dict[str, Any]:
    """Copy the files of a run page to `runs/` and as the newest ones, with what only the runner knows.

    A run whose page was cached finds its folder again.

    Args:
        page_dir: of the `RunPage` artifact.
        run_dir: of the pipeline.
        seconds: that each component took.

    Returns:
        The figures.
    """
    figures = json.loads((page_dir / FIGURES_FILE).read_text())
    figures["cost"]["seconds"] = seconds
    folder = run_dir / "runs" / figures["finished"].replace(":", "")
    shutil.copytree(page_dir, folder, dirs_exist_ok=True)
    (folder / FIGURES_FILE).write_text(json.dumps(figures, indent=2))
    (folder / HTML_FILE).write_text(render_html(figures))
    (folder / PAGE_FILE).write_text(render(figures))
    shutil.copytree(folder, run_dir, dirs_exist_ok=True)
    return figures
