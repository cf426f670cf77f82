"""What BaselineFinder and WarmStartFinder do."""

import os
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.common.versions import newest_version


class Executor(base_executor.BaseExecutor):
    """Copies the newest pushed version into the `baseline` artifact.

    input_dict:
        candidate or examples: what the answer is cached with; it is not read.
    output_dict:
        baseline: the model to compare with or to start from, or no artifact at all where nothing was pushed yet.
    exec_properties:
        serving_dir: directory of numeric version directories, as the Pusher writes them.
        code_hash: only part of the cache key.
    """

    def Do(  # noqa: D102
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        version = newest_version(exec_properties["serving_dir"], fileio.listdir, fileio.exists)
        if version is None:
            output_dict["baseline"].clear()
            return
        baseline = artifact_utils.get_single_instance(output_dict["baseline"])
        io_utils.copy_dir(version, path_utils.serving_model_dir(baseline.uri))
        baseline.set_string_custom_property("pushed_version", os.path.basename(version))
