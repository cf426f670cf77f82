"""What the Pusher does."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfx import types
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.common.executor import single_artifacts
from components.common.gates import read_verdicts
from components.evaluation.names import CANDIDATE
from components.evaluator.results import evaluator_verdict, model_metrics
from components.pusher import local
from components.pusher.local import Pushed
from components.pusher.manifest import Facts

_MODEL_NAME = "model"


class Executor(base_executor.BaseExecutor):
    """Pushes a model that every gate lets pass, and says why it does not.

    input_dict:
        model: of the trainer.
        model_blessing: of the Evaluator.
        verdict, ...: of the other gates, `components.common.gates.GATES`.
        evaluation: of the Evaluator; the candidate's metrics go into the manifest.
        examples: whose fingerprint goes there too.
    output_dict:
        pushed_model: `pushed` (1 or 0), `pushed_destination` and `pushed_version` as the stock Pusher sets them, and
            `reason` where nothing was pushed. An unchanged model has the destination and version where it is already.
    exec_properties:
        serving_dir: directory of numeric version directories, a path or a URI that TFX's fileio reaches.
        keep_versions: how many of them stay.
        model_code: hash of the source that made the model.
        code_hash: only part of the cache key.
    """

    def Do(  # noqa: D102
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        inputs = single_artifacts(input_dict)
        output = artifact_utils.get_single_instance(output_dict["pushed_model"])
        against = reasons_against(inputs)
        pushed = Pushed(None, "; ".join(against)) if against else _push(inputs, exec_properties)
        output.set_int_custom_property("pushed", int(not pushed.reason))
        if pushed.reason:
            logging.getLogger(__name__).info("Nothing was pushed: %s", pushed.reason)
            output.set_string_custom_property("reason", pushed.reason)
        if pushed.version is not None:
            output.set_string_custom_property("pushed_version", str(pushed.version))
            output.set_string_custom_property(
                "pushed_destination", os.path.join(exec_properties["serving_dir"], str(pushed.version))
            )


def reasons_against(inputs: dict[str, types.Artifact]) -> list[str]:
    """Why a model may not be pushed, each with the name of the gate; none lets it pass.

    Args:
        inputs: `model_blessing`, `evaluation` and verdicts, by the names of the Pusher's inputs.
    """
    blessed = model_utils.is_model_blessed(inputs["model_blessing"])
    verdicts = [evaluator_verdict(inputs["evaluation"].uri, blessed), *read_verdicts(inputs).values()]
    return [f"{verdict.gate}: {reason}" for verdict in verdicts for reason in verdict.reasons]


def _push(inputs: dict[str, types.Artifact], parameters: dict[str, Any]) -> Pushed:
    facts = Facts(
        metrics=model_metrics(inputs["evaluation"].uri)[CANDIDATE],
        data=inputs["examples"].get_string_custom_property("input_fingerprint"),
        code=parameters["model_code"],
    )
    serving_dir, keep = parameters["serving_dir"], parameters["keep_versions"]
    with _on_this_machine(path_utils.serving_model_path(inputs["model"].uri)) as model_dir:
        if "://" not in serving_dir:
            return local.push(model_dir, Path(serving_dir), facts, keep)
        from components.pusher import remote

        return remote.push(model_dir, serving_dir, facts, keep)


@contextlib.contextmanager
def _on_this_machine(model_uri: str) -> Iterator[Path]:
    if "://" not in model_uri:
        yield Path(model_uri)
        return
    with tempfile.TemporaryDirectory() as folder:
        io_utils.copy_dir(model_uri, os.path.join(folder, _MODEL_NAME))
        yield Path(folder, _MODEL_NAME)
