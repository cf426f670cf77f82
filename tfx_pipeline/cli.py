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

from tfx_pipeline import quiet
from tfx_pipeline.settings import REPOSITORY

RUNNER_FILE = "local_runner.py"
_LIGHT = {
    "simulate": "tfx_pipeline.simulate",
    "simulate-report": "tfx_pipeline.simulate_report",
    "models": "tfx_pipeline.models",
    "rollback": "tfx_pipeline.models",
    "compare": "tfx_pipeline.compare",
    "report": "tfx_pipeline.report",
    "settings": "tfx_pipeline.show_settings",
}
"""Commands that are run by themselves: loading TFX takes many seconds and 700 MB, and they need none of it."""


def main() -> None:
    """Run the command line."""
    program = os.path.basename(sys.argv[0])
    name = "".join(sys.argv[1:2])
    os.environ.update(home_variables(os.environ))
    if name in _LIGHT:
        _light_command(name)(sys.argv[2:], prog_name=f"{program} {name}")
    quiet.set_environment()
    # Upstream calls a bare `pip`, which a virtual environment that is not activated does not have on its path.
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")
    with quiet.nothing_on_stderr():
        from tfx.tools.cli.cli_main import cli_group
        from tfx.tools.cli.commands import pipeline, run
    from tfx_pipeline.score import score

    _accept_pipeline_path(run.run_group.commands["create"])
    for name in ("create", "update", "compile"):
        _make_pipeline_path_absolute(pipeline.pipeline_group.commands[name])
    for command in (score, *map(_light_command, _LIGHT)):
        cli_group.add_command(command)
    cli_group.callback = None  # it only prints "CLI"
    try:
        cli_group(prog_name=program)
    except OSError as error:
        sys.exit(f"Error: {error}. Choose another path, or make this one readable and writable.")


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


def _light_command(name: str) -> click.Command:
    return cast(click.Command, getattr(importlib.import_module(_LIGHT[name]), name.replace("-", "_")))


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
        context: click.Context, pipeline_path: str | None, pipeline_name: str | None, engine: str, **options: Any
    ) -> None:
        if pipeline_path is None:
            if pipeline_name is None:
                raise click.UsageError("Missing option '--pipeline_name' (or '--pipeline_path').")
            context.invoke(upstream, engine=engine, pipeline_name=pipeline_name, **options)
        elif engine not in ("auto", "local"):
            raise click.UsageError(
                f"`--pipeline_path` runs on the engine local. Received: {engine}. "
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
