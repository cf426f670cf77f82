"""Files of an Examples artifact."""

import os

from tfx import types
from tfx.dsl.io import fileio
from tfx.types import artifact_utils


def split_files(examples: types.Artifact, split: str) -> list[str]:
    """The record files of one split, in a fixed order."""
    directory = artifact_utils.get_split_uri([examples], split)
    return [os.path.join(directory, name) for name in sorted(fileio.listdir(directory))]
