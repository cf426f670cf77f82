"""The `tfx` command of this project: the upstream one, with `tfx run create --pipeline_path`.

Upstream's `run create` knows pipelines by the name under which `pipeline create` registered them. Ours takes a
directory or a runner file as well, registers it and runs it, in one process. Installed as `tfx` and `lcr-ser`.
"""

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import click

from tfx_pipeline.commands.command import told
from tfx_pipeline.console import quiet
from tfx_pipeline.settings import REPOSITORY

RUNNER_FILE = "local_runner.py"
_OURS = {
    "compare": (
        "tfx_pipeline.commands.compare",
        "Compare runs: what went in differently, metrics, and how sure that is.",
    ),
    "compile": (
        "tfx_pipeline.commands.compile",
        "Write the pipeline for Kubeflow Pipelines, or for Vertex AI Pipelines.",
    ),
    "experiment": ("experiments.command", "Make the tables and figures of the paper on this log."),
    "loadtest": (
        "tfx_pipeline.commands.load_test",
        "Load a server: latency against rate, and what it refuses; a table and a picture.",
    ),
    "models": ("tfx_pipeline.commands.models", "List the pushed versions with their metrics, newest first."),
    "push": ("tfx_pipeline.commands.push", "Wait until every server serves the pushed version: `push --wait`."),
    "report": ("tfx_pipeline.commands.report", "Write the page of a run again from its figures."),
    "rollback": ("tfx_pipeline.commands.models", "Serve an earlier version again."),
    "score": ("tfx_pipeline.commands.score", "Rank the candidates of one request with the pushed model, over gRPC."),
    "serve": (
        "tfx_pipeline.commands.serve",
        "Serve the pushed model on this machine, by the best server that is there.",
    ),
    "settings": ("tfx_pipeline.commands.show_settings", "Print every setting, checked, and where it comes from."),
    "simulate": ("tfx_pipeline.commands.simulate", "Write a made-up log whose truth is known."),
    "simulate-report": (
        "tfx_pipeline.commands.simulate_report",
        "Measure a log, simulated or real, and plot its distributions.",
    ),
    "submit": ("tfx_pipeline.commands.submit", "Send the pipeline to Kubeflow, once or on a schedule, and follow it."),
}
"""Our commands: the module of each, and what the list of commands says of it."""
_UPSTREAM = {
    "pipeline": "Register, list and delete pipelines.",
    "run": "Run a pipeline: `run create --pipeline_path tfx_pipeline/`.",
    "template": "Copy a template of TFX.",
}
"""Groups of upstream's command. Loading TFX takes seconds and 700 MB, so it is loaded when one of them is called."""


class LazyGroup(click.Group):
    """Loads a command when it is called; listing them loads none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted({*_OURS, *_UPSTREAM})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name in _OURS:
            module = importlib.import_module(_OURS[cmd_name][0])
            return cast(click.Command, getattr(module, cmd_name.replace("-", "_")))
        return _upstream_group(cmd_name) if cmd_name in _UPSTREAM else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, ours first."""
        for title, rows in (
            ("Commands", [(name, text) for name, (_, text) in _OURS.items()]),
            ("Commands of TFX", list(_UPSTREAM.items())),
        ):
            with formatter.section(title):
                formatter.write_dl(rows)


def main() -> None:
    """Run the command line."""
    os.environ.update(home_variables(os.environ))
    group = LazyGroup(help="From raw logs of a search box and a feed to a pushed ranking model.")
    try:
        group(prog_name=os.path.basename(sys.argv[0]))
    except OSError as error:
        sys.exit(f"Error: {told(error)}")


def _upstream_group(name: str) -> click.Command:
    """One of upstream's groups, with our option."""
    quiet.set_environment()
    # Upstream calls a bare `pip`, which a virtual environment that is not activated does not have on its path.
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")
    with quiet.nothing_on_stderr():
        from tfx.tools.cli.cli_main import cli_group
        from tfx.tools.cli.commands import pipeline, run

    _accept_pipeline_path(run.run_group.commands["create"])
    for command in ("create", "update", "compile"):
        _make_pipeline_path_absolute(pipeline.pipeline_group.commands[command])
    return cast(click.Command, cli_group.commands[name])


def home_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that let upstream keep its list of pipelines, and Matplotlib its cache, which they do below `HOME`.

    Without that variable it is the home that the system knows for the user. Where there is none, or it cannot be
    written, both lie beside the runs of this project.
    """
    home = environment.get("HOME") or os.path.expanduser("~")
    folder = Path(home, "tfx", "local").absolute()
    nearest = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    if nearest.is_dir() and os.access(nearest, os.W_OK):
        return {"HOME": home}
    build = REPOSITORY / "build"
    return {"LOCAL_HOME": str(build / "tfx"), "MPLCONFIGDIR": str(build / "matplotlib"), **environment, "HOME": home}


def _make_pipeline_path_absolute(command: click.Command) -> None:
    # Upstream stores the path as given, and a later run from another directory does not find it.
    for parameter in command.params:
        if parameter.name == "pipeline_path":
            parameter.callback = lambda context, parameter, value: os.path.abspath(value) if value else value


def _accept_pipeline_path(command: click.Command) -> None:
    for parameter in command.params:
        if parameter.name == "pipeline_name":
            parameter.required = False
    command.params.append(
        click.Option(
            ["--pipeline_path", "--pipeline-path"],
            default=None,
            help=f"Runner file, or a directory that holds {RUNNER_FILE}: registered, then run.",
        )
    )
    command.callback = _with_pipeline_path(cast(Callable[..., Any], command.callback))


def _with_pipeline_path(upstream: Callable[..., Any]) -> Callable[..., Any]:
    @click.pass_context
    def create(
        context: click.Context, /, pipeline_path: str | None, pipeline_name: str | None, engine: str, **options: Any
    ) -> None:
        if pipeline_path is None:
            if pipeline_name is None:
                raise click.UsageError("Missing option '--pipeline_name' (or '--pipeline_path').")
            context.invoke(upstream, engine=engine, pipeline_name=pipeline_name, **options)
        elif engine == "kubeflow":
            from tfx_pipeline.commands.submit import submit

            # The runner file of this engine compiles; the command does that and sends the outcome.
            context.invoke(submit, host=options.get("endpoint"), namespace=options.get("namespace"))
        elif engine not in ("auto", "local"):
            raise click.UsageError(
                f"`--pipeline_path` runs on the engine local or kubeflow. Received: {engine}. "
                "Register with `tfx pipeline create`, then use `--pipeline_name`."
            )
        else:
            from tfx_pipeline.register import register_and_run

            register_and_run(_runner_file(pipeline_path), pipeline_name)

    return create


def _runner_file(path: str) -> str:
    path = os.path.abspath(path)
    file = os.path.join(path, RUNNER_FILE) if os.path.isdir(path) else path
    if not os.path.isfile(file):
        raise click.UsageError(
            f"`--pipeline_path` should be a runner file or a directory with {RUNNER_FILE}. Received: {path}."
        )
    return file
