"""`lcr-ser compile`: writes the pipeline for Kubeflow or Vertex."""

import shlex
from pathlib import Path

import click

from tfx_pipeline.commands.command import Command
from tfx_pipeline.console import quiet
from tfx_pipeline.settings import Settings, load


@click.command(name="compile", cls=Command)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write: .yaml for Kubeflow Pipelines, .json for Vertex AI Pipelines; default: "
    "OUTPUT_DIR/NAME/pipeline.yaml.",
)
def compile(output: Path | None) -> None:
    """Write the pipeline as a file that Kubeflow Pipelines v2 or Vertex AI Pipelines run."""
    settings = load()
    file = write_pipeline(settings, output)
    click.echo(f"pipeline        {file}")
    if file.suffix != ".json":
        click.echo(f"next            lcr-ser submit --file {shlex.quote(str(file))}")


def write_pipeline(settings: Settings, output: Path | None) -> Path:
    """Compile to a file, quietly.

    Raises:
        click.ClickException: for settings that a cluster cannot follow.
    """
    file = output or settings.run_dir / "pipeline.yaml"
    if file.suffix not in (".yaml", ".yml", ".json"):
        raise click.UsageError(f"`--output` should end in .yaml or .json. Received: {file}.")
    quiet.set_environment()
    with quiet.nothing_on_stderr():
        from tfx_pipeline import kubeflow_v2_runner
    try:
        with quiet.nothing_on_stderr():
            kubeflow_v2_runner.write(settings, file)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    return file
