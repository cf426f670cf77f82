"""Asks an engine, before a run begins, whether it answers and whether its workers see the folders of the run."""

import uuid
from collections.abc import Mapping

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2 as protos
from apache_beam.runners.portability.job_server import ExternalJobServer
from apache_beam.runners.runner import PipelineState

from tfx_pipeline.console.failures import real_message
from tfx_pipeline.sources import SettingsError

_ANSWER_SECONDS = 5
_WORKER_SECONDS = 180
"""Of one step on a worker that is started for it, imports included."""


def require_job_server(endpoint: str) -> None:
    """Wait some seconds for a job server to answer.

    Raises:
        SettingsError: where none does.
    """
    try:
        server = ExternalJobServer(endpoint, _ANSWER_SECONDS).start()
        server.DescribePipelineOptions(protos.DescribePipelineOptionsRequest(), timeout=_ANSWER_SECONDS)
    except Exception as error:  # gRPC has one for each stage, and this room knows Beam alone
        raise SettingsError(
            "`beam.endpoint` should be where a Beam job server listens. "
            f"Received: {endpoint}, which gave no answer in {_ANSWER_SECONDS} s."
        ) from error


def require_cloud(arguments: list[str], folders: Mapping[str, str]) -> None:
    """Look whether Dataflow has what it needs; starting a worker there for a look takes minutes.

    Args:
        arguments: of Beam.
        folders: of the run, by the setting that names them.

    Raises:
        SettingsError: where something lacks.
    """
    cloud = PipelineOptions(arguments).view_as(GoogleCloudOptions)
    if missing := [name for name in ("project", "region", "temp_location") if not getattr(cloud, name)]:
        raise SettingsError(
            "`beam.args` should name what Dataflow needs: --project, --region and --temp_location. "
            f"Received: no --{', no --'.join(missing)}."
        )
    for setting, folder in {**folders, "beam.args --temp_location": cloud.temp_location}.items():
        if not folder.startswith("gs://"):
            raise SettingsError(
                f"`{setting}` should be a gs:// folder where `beam.runner` is dataflow. Received: {folder}."
            )


def folders_of(arguments: list[str], run_dir: str) -> dict[str, str]:
    """Folders that a run writes to, by the setting that names them."""
    cloud = PipelineOptions(arguments).view_as(GoogleCloudOptions)
    named = {
        "output_dir": run_dir,
        "beam.args --temp_location": cloud.temp_location,
        "beam.args --staging_location": cloud.staging_location,
    }
    return {name: folder for name, folder in named.items() if folder}


def require_folders(arguments: list[str], folders: Mapping[str, str], log_dir: str) -> None:
    """Have a worker read what was written here, and read here what it wrote.

    Args:
        arguments: of Beam.
        folders: by the setting that names them.
        log_dir: only to be read by a worker.

    Raises:
        SettingsError: where a worker does not see a folder, or none comes up.
    """
    name = f"probe-{uuid.uuid4().hex}"
    for folder in folders.values():
        if not FileSystems.exists(folder):
            FileSystems.mkdirs(folder)
        _write(FileSystems.join(folder, name))
    try:
        _run(arguments, [*((setting, folder, name) for setting, folder in folders.items()), ("log_dir", log_dir, "")])
        for setting, folder in folders.items():
            if not FileSystems.exists(FileSystems.join(folder, f"{name}-seen")):
                raise SettingsError(_unseen(setting, folder, "what a worker wrote there is not found"))
    finally:
        written = [FileSystems.join(folder, f"{name}{end}") for folder in folders.values() for end in ("", "-seen")]
        FileSystems.delete([path for path in written if FileSystems.exists(path)])


def _run(arguments: list[str], questions: list[tuple[str, str, str]]) -> None:
    pipeline = beam.Pipeline(argv=arguments)
    _ = pipeline | beam.Create(questions) | "AskWorker" >> beam.MapTuple(_answer)
    result = pipeline.run()
    try:
        state = result.wait_until_finish(duration=_WORKER_SECONDS * 1000)
    except RuntimeError as error:
        raise SettingsError(f"A first step on a worker of `beam.runner` failed: {real_message(error)}") from error
    if state != PipelineState.DONE:
        result.cancel()
        raise SettingsError(
            f"A first step on a worker of `beam.runner` should end in {_WORKER_SECONDS} s. Received: no end. Look at "
            "`beam.workers`, and at the logs of the engine."
        )


def _answer(setting: str, folder: str, name: str) -> str:
    """On a worker: see what was written for it, and write beside it."""
    if not FileSystems.exists(FileSystems.join(folder, name) if name else folder):
        raise SettingsError(_unseen(setting, folder, "a worker does not find what is there"))
    if name:
        _write(FileSystems.join(folder, f"{name}-seen"))
    return folder


def _write(path: str) -> None:
    with FileSystems.create(path) as file:
        file.write(b"seen")


def _unseen(setting: str, folder: str, what: str) -> str:
    return f"`{setting}` should be on storage that all workers of the engine share. Received: {folder}; {what}."
