"""The end of a run: metrics, pushed version, run page, next command."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from rich.table import Table
from tfx.orchestration import metadata

from components.example_gen.log_report import format_counts
from components.report.executor import FIGURES_FILE, PAGE_FILE, REQUEST_FILE
from components.report.page import metric_names, why_not_pushed
from tfx_pipeline.console import Executions, RunConsole
from tfx_pipeline.settings import Settings

_ROLES = (("candidate", "LCR-SER"), ("baseline", "last pushed model"), ("popularity", "popularity"))


def show_summary(settings: Settings, store: Any, executions: Executions, console: RunConsole) -> None:
    """Print what a finished run came to.

    Args:
        settings: of the run.
        store: connection of its metadata.
        executions: of its components.
        console: where to print.
    """
    [report] = _outputs(store, executions.ids["RunReport"])
    page = Path(report.uri)
    for name in (FIGURES_FILE, PAGE_FILE, REQUEST_FILE):
        shutil.copy(page / name, settings.run_dir / name)
    figures = json.loads((page / FIGURES_FILE).read_text())
    console.line("")
    console.line(format_counts(figures["log"]))
    if settings.warm_start:
        console.line(f"warm start      {_started_from(store, executions.ids['WarmStartFinder'])}")
    for note in figures["data_check"]["notes"]:
        console.line(f"DataCheck: {note}")
    console.console.print(_metrics_table(figures["metrics"]))
    for reason in why_not_pushed(figures):
        console.line(f"{reason}; nothing was pushed")
    if figures["pushed"]:
        again = "" if "Pusher" in executions.executed and not figures["push_reason"] else " (unchanged)"
        console.line(f"pushed version  {figures['pushed']}{again}")
    console.line(f"run page        {settings.run_dir / PAGE_FILE}")
    console.line(f"next            {_overrides() + 'make score' if figures['pushed'] else 'read the run page'}")


def _overrides() -> str:
    """The settings that this run took from the environment, for the next command to take them too."""
    names = sorted(name for name in os.environ if name.startswith("LCR_SER_"))
    return "".join(f"{name}={os.environ[name]} " for name in names)


def _metrics_table(metrics: dict[str, dict[str, float]]) -> Table:
    names = metric_names(metrics)
    table = Table("test split", *names)
    for role, title in _ROLES:
        if role in metrics:
            table.add_row(title, *(f"{metrics[role][name]:.4f}" for name in names))
    return table


def _started_from(store: Any, execution_id: int) -> str:
    found = _outputs(store, execution_id)
    if not found:
        return "none: nothing was pushed yet, trained from scratch"
    return f"version {found[0].custom_properties['pushed_version'].string_value}"


def _outputs(store: Any, execution_id: int) -> list[Any]:
    # A cached component has an execution of its own that points to the artifacts of the earlier one.
    with metadata.Metadata(store) as handle:
        events = handle.store.get_events_by_execution_ids([execution_id])
        outputs = [event.artifact_id for event in events if event.type == event.OUTPUT]
        return list(handle.store.get_artifacts_by_id(outputs))
