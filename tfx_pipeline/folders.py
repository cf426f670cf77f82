"""Where a run keeps what it writes: folders of this machine, or URIs that a cluster's pods reach."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from tfx_pipeline.metadata_file import ARTIFACTS

if TYPE_CHECKING:
    from tfx_pipeline.settings import Settings


class Folders(NamedTuple):
    """Paths or URIs.

    Attributes:
        artifacts: what travels between components.
        serving: pushed versions, as TF Serving reads them.
        statistics: of the data of pushed versions.
        checkpoints: of trainings that go on.
        read_spans: spans of a log that were read before.
        log: the log.
    """

    artifacts: str
    serving: str
    statistics: str
    checkpoints: str
    read_spans: str
    log: str


def local_folders(settings: Settings) -> Folders:
    """The folders of a run on this machine, all below `output_dir`."""
    return _below(str(settings.run_dir), settings, str(settings.run_dir / ARTIFACTS), settings.log_path)


def cluster_folders(settings: Settings) -> Folders:
    """The folders of a run on Kubeflow, below `kubeflow.output_dir` and `kubeflow.pipeline_root`.

    Raises:
        ValueError: without the section `kubeflow`, or for a log that no pod reaches.
    """
    kubeflow = settings.kubeflow
    if kubeflow is None:
        raise ValueError(
            "`kubeflow` should hold `image`, `pipeline_root` and `output_dir`. Received: null. Set it in the settings "
            "file, or by LCR_SER_KUBEFLOW__IMAGE and so on."
        )
    run_dir = f"{kubeflow.output_dir.rstrip('/')}/{settings.name}"
    log = settings.log_dir or f"{kubeflow.output_dir.rstrip('/')}/demo_log"
    if "://" not in log and not os.path.isabs(log):
        raise ValueError(
            "`log_dir` should be a URI, or the absolute path of a volume that each step mounts, on Kubeflow. "
            f"Received: {log!r}."
        )
    return _below(run_dir, settings, kubeflow.pipeline_root, log)


def _below(run_dir: str, settings: Settings, artifacts: str, log: str) -> Folders:
    return Folders(
        artifacts=artifacts,
        serving=f"{run_dir}/serving/{settings.name}",
        statistics=f"{run_dir}/statistics",
        checkpoints=f"{run_dir}/checkpoints",
        read_spans=f"{run_dir}/read_spans",
        log=log,
    )
