"""Statistics of what was pushed: one file a version, beside the versions themselves."""

import os

from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics
from tfx import types
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.io import fileio
from tfx.utils import io_utils

from components.common.versions import newest_version

SPLIT = "test"
"""The split that is compared: its requests are cut and stored as served ones are."""


def split_statistics(artifact: types.Artifact) -> Statistics:
    """Statistics of the compared split in an artifact of StatisticsGen."""
    return stats_artifact_utils.load_statistics(artifact, SPLIT).proto()


def keep(statistics: Statistics, directory: str, version: str) -> None:
    """Store the statistics of a pushed version; whoever reads finds the whole file or none."""
    path = _path(directory, version)
    fileio.makedirs(directory)
    io_utils.write_bytes_file(f"{path}.part", statistics.SerializeToString())
    fileio.rename(f"{path}.part", path, overwrite=True)


def find(directory: str, serving_dir: str) -> Statistics | None:
    """Statistics of the newest pushed version; None where nothing was pushed, or nothing was kept of it."""
    version = newest_version(serving_dir, fileio.listdir, fileio.exists)
    path = version and _path(directory, os.path.basename(version))
    return Statistics.FromString(io_utils.read_bytes_file(path)) if path and fileio.exists(path) else None


def _path(directory: str, version: str) -> str:
    return os.path.join(directory, f"{version}.pb")
