"""What a benchmark prints and writes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).resolve().parents[1] / "build" / "bench"


def report(  # noqa: PLR0917 - the keys of the file, in their order
    name: str,
    value: float,
    unit: str,
    target: str,
    detail: Mapping[str, Any],
    rows: Sequence[Sequence[str]],
    *,
    folder: Path = FOLDER,
) -> None:
    """Print a table and write `FOLDER/NAME.json`, by default in `build/bench`.

    Args:
        name: of the benchmark.
        value, unit: the figure that the benchmark is about.
        target: what it should be, in words.
        detail: all that was measured, and on what.
        rows: of the table; the first is its head.
        folder: to write to; made if it is not there.
    """
    table = Table(*rows[0], title=f"{name}: {value:,.4g} {unit} (target: {target})", title_justify="left", expand=False)
    for row in rows[1:]:
        table.add_row(*row)
    Console().print(table)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"name": name, "value": value, "unit": unit, "target": target, "detail": dict(detail)}
    (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
