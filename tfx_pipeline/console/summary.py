"""The end of a run: metrics, pushed version, run page, next command."""

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from rich.table import Table
from tfx.orchestration import metadata

from components.common.run_files import HTML_FILE
from components.evaluation.names import ALL, BASELINE, CANDIDATE, role_titles
from components.example_gen.log_report import format_counts
from components.report.page.page import metric_names, why_not_pushed
from model.config import MAIN_METRIC
from model.registry import title
from tfx_pipeline.console.console import Executions, RunConsole
from tfx_pipeline.run_folder import keep_run
from tfx_pipeline.settings import REPOSITORY, Settings
from tfx_pipeline.sources import PREFIX


def show_summary(settings: Settings, store: Any, executions: Executions, console: RunConsole) -> None:
    """Print what a finished run came to.

    Args:
        settings: of the run.
        store: connection of its metadata.
        executions: of its components.
        console: where to print.
    """
    [report] = _outputs(store, executions.ids["RunReport"])
    seconds = {name: taken for name, number in executions.ids.items() if (taken := _seconds(store, number))}
    figures = keep_run(Path(report.uri), settings.run_dir, seconds)
    console.line("")
    console.line(format_counts(figures["log"]))
    if settings.warm_start:
        console.line(f"warm start      {_started_from(store, executions.ids['WarmStartFinder'])}")
    if notes := [f"{gate['gate']}: {'; '.join(gate['notes'])}" for gate in figures["gates"] if gate["notes"]]:
        console.line("; ".join(notes))
    titles = role_titles(title(figures["settings"]["model"]["kind"]))
    console.console.print(_metrics_table(figures["metrics"], titles))
    console.line(_how_sure(figures["evaluation"], titles))
    for reason in why_not_pushed(figures):
        console.line(f"{reason}; nothing was pushed")
    if figures["pushed"]:
        again = "" if "Pusher" in executions.executed and not figures["push_reason"] else " (unchanged)"
        console.line(f"pushed version  {figures['pushed']}{again}")
    console.line(f"run page        {settings.run_dir / HTML_FILE}")
    console.line(f"next            {next_command() if figures['pushed'] else 'read the run page'}")


def next_command() -> str:
    """To be pasted where this run was started, with the settings that it took from the environment."""
    names = sorted(name for name in os.environ if name.startswith(PREFIX))
    # `make` works in the repository alone.
    at_home = Path.cwd() == REPOSITORY
    command = "make score" if at_home else f"{shlex.quote(str(Path(sys.executable).with_name('lcr-ser')))} score"
    return " ".join([*(f"{name}={shlex.quote(os.environ[name])}" for name in names), command])


def _metrics_table(metrics: dict[str, dict[str, float]], titles: dict[str, str]) -> Table:
    names = metric_names(metrics)
    table = Table("test split", *names)
    for role, name in titles.items():
        if role in metrics:
            table.add_row(name, *(f"{metrics[role][metric]:.4f}" for metric in names))
    return table


def _how_sure(evaluation: dict[str, Any], titles: dict[str, str]) -> str:
    """The main metric with its interval, and how likely its distance to the others is chance."""
    own = evaluation["models"][CANDIDATE][ALL][MAIN_METRIC]
    parts = [f"{MAIN_METRIC} {own['value']:.4f} ({own['low']:.4f} to {own['high']:.4f})"]
    for role, name in titles.items():
        if role in evaluation["differences"]:
            change = evaluation["differences"][role][ALL][MAIN_METRIC]
            against = f"the {name}" if role == BASELINE else name
            parts.append(f"{change['value']:+.4f} against {against} (p {change['p_value']:.3f})")
    return ", ".join(parts)


def _seconds(store: Any, execution_id: int) -> float | None:
    """What a component took when it ran; None where it was cached and left no artifact to find that run by."""
    with metadata.Metadata(store) as handle:
        outputs = [
            event.artifact_id
            for event in handle.store.get_events_by_execution_ids([execution_id])
            if event.type == event.OUTPUT
        ]
        makers = [
            event.execution_id
            for event in handle.store.get_events_by_artifact_ids(outputs)
            if event.type == event.OUTPUT
        ]
        # A cached execution points to the artifacts of the one that made them, which has the lowest number.
        [made] = handle.store.get_executions_by_id([min(makers, default=execution_id)])
    was_run = made.last_known_state == made.COMPLETE
    return (made.last_update_time_since_epoch - made.create_time_since_epoch) / 1000 if was_run else None


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
