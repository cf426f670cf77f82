"""The pipeline: its four stages, one after the other.

TFX is imported module by module: `tfx.v1` brings the clients of Google Cloud's AI platform with it, a third of the time
that a run takes to start.
"""

from typing import Any

from apache_beam.io.filesystems import FileSystems
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.pipeline import Pipeline

from tfx_pipeline import stages
from tfx_pipeline.folders import Folders, local_folders
from tfx_pipeline.settings import Settings


def create_pipeline(
    settings: Settings,
    metadata_connection_config: Any = None,
    beam_pipeline_args: list[str] | None = None,
    folders: Folders | None = None,
    input_fingerprint: str | RuntimeParameter | None = None,
) -> Pipeline:
    """Compose the way from raw logs to a pushed model.

    Args:
        settings: of this run.
        metadata_connection_config: where a local runner keeps its metadata; None where the orchestrator does.
        beam_pipeline_args: flags of the Beam runner.
        folders: of what is read and written; None: those of this machine.
        input_fingerprint: of the log, where it is not known yet; None: it is taken now.

    Raises:
        ValueError: for a log that cannot be used, or files that a setting names and that are not there.
    """
    folders = folders or local_folders(settings)
    if input_fingerprint is None:
        _require_files(settings)
    data = stages.data(settings, folders, input_fingerprint)
    trained = stages.training(settings, folders, data)
    judged = stages.judging(settings, folders, data, trained)
    published = stages.publishing(settings, folders, data, trained, judged)
    return Pipeline(
        pipeline_name=settings.name,
        pipeline_root=folders.artifacts,
        components=[one for stage in (data, trained, judged, published) for one in stage if one],
        enable_cache=True,
        metadata_connection_config=metadata_connection_config,
        beam_pipeline_args=beam_pipeline_args,
    )


def _require_files(settings: Settings) -> None:
    """Look for the files that settings name beside the log, before that is read."""
    named = {
        "logs.candidates_file": settings.logs.candidates_file,
        "data_check.serving_requests": settings.data_check.serving_requests,
    }
    for name, pattern in named.items():
        if pattern and not FileSystems.match([pattern])[0].metadata_list:
            raise ValueError(f"`{name}` should match files. Received: {pattern}, without a match.")
