"""`lcr-ser submit`: sends the pipeline to Kubeflow, once or on a schedule."""

import datetime
from pathlib import Path

import click

from tfx_pipeline.commands.command import Command
from tfx_pipeline.commands.compile import write_pipeline
from tfx_pipeline.kubeflow.submit import Submission, SubmitError, connect, follow, schedule, start
from tfx_pipeline.settings import load


@click.command(cls=Command)
@click.option("--host", help="Address of Kubeflow's API; default: `kubeflow.host`.")
@click.option("--namespace", help="Of Kubeflow's profile; default: `kubeflow.namespace`.")
@click.option("--experiment", help="That the run belongs to; default: `kubeflow.experiment`, else the pipeline's name.")
@click.option("--run-name", help="As it is listed; default: the pipeline's name and the time.")
@click.option("--service-account", help="Of the pods; default: `kubeflow.service_account`.")
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A compiled pipeline; default: it is compiled now.",
)
@click.option("--wait", is_flag=True, help="Tell of each step, and end as the run does.")
@click.option("--follow", "run_id", help="Wait for a run that is there already, by its id.")
@click.option("--no-cache", is_flag=True, help="Run every step, known or not.")
@click.option(
    "--schedule", "cron", help='Run again and again: a cron line of six fields, seconds first ("0 0 3 * * *").'
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Holds a token; read again whenever it is needed.",
)
@click.option(
    "--ca-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Of the API's certificate."
)
def submit(
    *,
    host: str | None, namespace: str | None, experiment: str | None, run_name: str | None, service_account: str | None,
    file: Path | None, wait: bool, run_id: str | None, no_cache: bool, cron: str | None, token_file: Path | None,
    ca_file: Path | None,
) -> None:  # fmt: skip
    """Send the pipeline to Kubeflow.

    A login comes from --token-file, or from the environment: KUBEFLOW_TOKEN, or KUBEFLOW_COOKIE.
    """
    settings = load()
    kubeflow = settings.kubeflow
    host = host or (kubeflow.host if kubeflow else None)
    if not host:
        raise click.UsageError(
            "missing option '--host' (or the setting `kubeflow.host`): the address of Kubeflow's API"
        )
    if kubeflow is None:
        raise click.ClickException("the settings have no section `kubeflow`. docs/kubeflow.md says what it holds.")
    namespace = namespace or kubeflow.namespace or ""
    try:
        cluster = connect(host, namespace, token_file, ca_file)
        if run_id is None:
            from tfx_pipeline.kubeflow_v2_runner import pipeline_name

            name = pipeline_name(settings)
            moment = f"{datetime.datetime.now(datetime.timezone.utc):%Y%m%d-%H%M%S}"
            sent = Submission(
                file=file or write_pipeline(settings, None),
                name=name,
                experiment=experiment or kubeflow.experiment or name,
                namespace=namespace,
                service_account=service_account or kubeflow.service_account or "",
                pipeline_root=kubeflow.pipeline_root,
            )
            if cron:
                recurring = schedule(cluster, sent, f"{name}-{moment}", cron, cache=not no_cache)
                click.echo(f"recurring run   {recurring}, version {name}-{moment}, at {cron}")
                return
            run_id = start(cluster, sent, run_name or f"{name}-{moment}", cache=not no_cache)
            click.echo(f"run             {host.rstrip('/')}/#/runs/details/{run_id}")
        if not wait:
            click.echo(f"next            lcr-ser submit --host {host} --follow {run_id} --wait")
            return
        wrong = follow(cluster, run_id, click.echo)
    except (SubmitError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if wrong:
        raise click.ClickException("; ".join(wrong))
    click.echo(f"the run succeeded: {host.rstrip('/')}/#/runs/details/{run_id}")
