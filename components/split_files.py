"""Files of an Examples artifact."""

from tfx import types
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils


def split_files(examples: types.Artifact, split: str) -> list[str]:
    """The record files of one split, in a fixed order."""
    return sorted(fileio.glob(io_utils.all_files_pattern(artifact_utils.get_split_uri([examples], split))))
