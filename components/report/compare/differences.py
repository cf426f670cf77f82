"""What went into two sides of runs differently: settings, environment with the code, data."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Figures = Mapping[str, Any]
"""What the `run.json` of a run holds."""
_PLACES = {"name", "output_dir", "logs.read_cache"}
"""Settings that say where a run is written, and nothing of what comes out."""


def differences(a: Sequence[Figures], b: Sequence[Figures]) -> dict[str, Any]:
    """Find what the runs of one side have and those of the other have not.

    Args:
        a: of the runs of the first side.
        b: of the runs of the second side.

    Returns:
        `settings`, `environment`, `data`: a list of `{"name", "a", "b"}` each: a dotted name, and the values that it
            has in the runs of a side, as JSON texts without repetition; empty where no run of the side has it.
        `mixed`: by side, names of settings other than seeds in which its own runs differ.
    """
    return {
        **{
            title: _between(a, b, of_run)
            for title, of_run in (("settings", _settings), ("environment", _environment), ("data", _data))
        },
        "mixed": {"a": _mixed(a), "b": _mixed(b)},
    }


def _between(
    a: Sequence[Figures], b: Sequence[Figures], of_run: Callable[[Figures], dict[str, str]]
) -> list[dict[str, Any]]:
    sides = [[of_run(figures) for figures in side] for side in (a, b)]
    found = []
    for name in dict.fromkeys(name for side in sides for values in side for name in values):
        of_a, of_b = (sorted({values[name] for values in side if name in values}) for side in sides)
        if of_a != of_b:
            found.append({"name": name, "a": of_a, "b": of_b})
    return found


def _mixed(runs: Sequence[Figures]) -> list[str]:
    first, *others = [_settings(figures) for figures in runs]
    names = dict.fromkeys(name for values in (first, *others) for name in values)
    return [
        name
        for name in names
        if name.rpartition(".")[2] != "seed" and any(values.get(name) != first.get(name) for values in others)
    ]


def _settings(figures: Figures) -> dict[str, str]:
    return {name: value for name, value in _dotted(figures["settings"]).items() if name not in _PLACES}


def _environment(figures: Figures) -> dict[str, str]:
    return _dotted(figures["environment"])


def _data(figures: Figures) -> dict[str, str]:
    """Counts, and fingerprints where there are some; the settings of the log are among the settings."""
    files = figures["log"]["files"]
    tables: dict[str, Counter[str]] = {file["table"]: Counter() for file in files}
    for file in files:  # a table may come in many
        tables[file["table"]].update(files=1, rows=file["rows"], bad_rows=file["bad_rows"])
    return _dotted(
        {**{name: value for name, value in figures["log"].items() if name not in ("settings", "files")}, **tables}
    )


def _dotted(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Values of nested mappings as JSON, by names such as `model.dim`."""
    found: dict[str, str] = {}
    for name, value in values.items():
        found |= (
            _dotted(value, f"{prefix}{name}.")
            if isinstance(value, Mapping)
            else {prefix + name: json.dumps(value, ensure_ascii=False)}
        )
    return found
