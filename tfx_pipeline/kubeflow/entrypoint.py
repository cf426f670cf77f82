"""The entry point of every step on Kubeflow: it hands an executor its artifacts and parameters, and its answer back.

It stands in for TFX's own, which open-source Kubeflow does not run: that back end passes artifacts on without their
types, adds an output of its own for logs, and takes an output without an artifact for an error. Artifacts lie where the
launcher put them, below `/gcs`, `/s3` or `/minio`; what is told to Kubeflow has their URIs.

`python -m tfx_pipeline.kubeflow.entrypoint` with the arguments that TFX's compiler writes.
"""

import json
import logging
import os
import shutil
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from tfx_pipeline.console import quiet

MOUNTS = {"gs://": "/gcs/", "s3://": "/s3/", "minio://": "/minio/"}
"""Where the launcher keeps what lies in an object store."""
ABSENT, ABSENT_FILE = "absent", "ABSENT.txt"
"""The property, and the file, of an artifact that stands for none."""
Artifacts = dict[str, Any]


def local_path(uri: str) -> str:
    """The path in the pod of what lies at a URI; other places stay what they are."""
    for scheme, mount in MOUNTS.items():
        if uri.startswith(scheme):
            return mount + uri.removeprefix(scheme)
    return uri


def complete_inputs(inputs: Artifacts, declared: Mapping[str, Any]) -> Artifacts:
    """Give input artifacts their types and paths, and leave out those that stand for none.

    Args:
        inputs: `inputs.artifacts` of an ExecutorInput.
        declared: `artifacts` of the component's inputs, which TFX's compiler writes into the arguments.

    Raises:
        FileNotFoundError: for an artifact that a cached step put out and somebody deleted.
    """
    completed = {}
    for name, found in inputs.items():
        artifacts = [artifact for artifact in found["artifacts"] if ABSENT not in artifact.get("metadata", {})]
        if artifacts:
            schema = declared[name]["artifactType"]["instanceSchema"]
            completed[name] = {"artifacts": [_at_its_path(one, {"instanceSchema": schema}) for one in artifacts]}
            for one in artifacts:
                if not os.path.exists(local_path(one["uri"])):
                    raise FileNotFoundError(
                        f"The input `{name}` is gone: there is nothing at {one['uri']}. Whoever deleted it left the "
                        "cache, which still knows it: `lcr-ser submit --no-cache` makes it again."
                    )
    return completed


def complete_outputs(outputs: Artifacts) -> Artifacts:
    """Give output artifacts their paths, and leave out what the back end adds: its types have a title, and no schema.

    Args:
        outputs: `outputs.artifacts` of an ExecutorInput.
    """
    return {
        name: {"artifacts": [_at_its_path(one, one["type"]) for one in found["artifacts"]]}
        for name, found in outputs.items()
        if "instanceSchema" in found["artifacts"][0].get("type", {})
    }


def _at_its_path(artifact: Artifacts, type_: Mapping[str, Any]) -> Artifacts:
    return {**artifact, "type": dict(type_), "uri": local_path(artifact["uri"])}


def clear(outputs: Artifacts) -> None:
    """Make the folder of each output empty: TFX's own runner makes it, and a try before this one may have left files.

    Args:
        outputs: as `complete_outputs` gives them.
    """
    for found in outputs.values():
        for artifact in found["artifacts"]:
            shutil.rmtree(artifact["uri"], ignore_errors=True)
            os.makedirs(artifact["uri"])


def answer(outputs: Artifacts, declared: Artifacts, completed: Artifacts) -> Artifacts:
    """What Kubeflow is told of the outputs: one artifact each, at the URI that it gave.

    Args:
        outputs: as the executor left them, in the form of an ExecutorOutput; empty where it put out nothing.
        declared: `outputs.artifacts` of the ExecutorInput.
        completed: those of them that the executor got.
    """
    told = {}
    for name in completed:
        given = declared[name]["artifacts"][0]
        if artifacts := outputs.get(name, {}).get("artifacts"):
            told[name] = {"artifacts": [{**artifacts[0], "uri": given["uri"]}]}
        else:
            with open(os.path.join(local_path(given["uri"]), ABSENT_FILE), "w") as file:
                file.write(f"The step found nothing to put out as {name}: the steps after it go on without.\n")
            told[name] = {"artifacts": [{"name": given["name"], "uri": given["uri"], "metadata": {ABSENT: 1}}]}
    return told


def run(executor_class_path: str, executor_input: Artifacts, inputs_spec: Artifacts, beam_args: list[str]) -> None:
    """Run an executor, and write what it says of its outputs into the file that Kubeflow reads.

    Args:
        executor_class_path: import path of its class.
        executor_input: an ExecutorInput.
        inputs_spec: a ComponentInputsSpec, with the types of artifacts and parameters.
        beam_args: flags of Beam.
    """
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2
    from tfx.components.evaluator import executor as evaluator
    from tfx.dsl.components.base import base_beam_executor, base_executor
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils as stock
    from tfx.orchestration.portable.outputs_utils import tag_output_artifacts_with_version
    from tfx.types import artifact_utils
    from tfx.utils import import_utils

    declared = executor_input["outputs"].get("artifacts", {})
    completed = complete_outputs(declared)
    clear(completed)
    message = json_format.ParseDict(
        {
            "inputs": {
                **executor_input.get("inputs", {}),
                "artifacts": complete_inputs(
                    executor_input.get("inputs", {}).get("artifacts", {}), inputs_spec.get("artifacts", {})
                ),
            },
            "outputs": {**executor_input["outputs"], "artifacts": completed},
        },
        pipeline_spec_pb2.ExecutorInput(),
        ignore_unknown_fields=True,
    )
    specs = json_format.ParseDict(inputs_spec, pipeline_spec_pb2.ComponentInputsSpec(), ignore_unknown_fields=True)
    names: dict[int, str] = {}
    inputs = stock.parse_raw_artifact_dict(message.inputs.artifacts, names)
    outputs = stock.parse_raw_artifact_dict(message.outputs.artifacts, names)
    parameters = stock.parse_execution_properties(message.inputs.parameter_values, message.inputs.parameters, specs)

    executor_class = import_utils.import_class_by_path(executor_class_path)
    output_file = message.outputs.output_file
    task_dir = os.path.dirname(output_file)
    place = {"unique_id": os.path.basename(task_dir), "tmp_dir": os.path.join(task_dir, ".temp")}
    if issubclass(executor_class, base_beam_executor.BaseBeamExecutor):
        context = base_beam_executor.BaseBeamExecutor.Context(beam_pipeline_args=beam_args, **place)
    else:
        context = base_executor.BaseExecutor.Context(extra_flags=beam_args, **place)
    executor_class(context).Do(inputs, outputs, parameters)

    tag_output_artifacts_with_version(outputs)
    if issubclass(executor_class, evaluator.Executor):
        # It names the models of its blessing by numbers, which are those of Kubeflow's names.
        stock.refactor_model_blessing(artifact_utils.get_single_instance(outputs["blessing"]), names)
    present = {name: artifacts for name, artifacts in outputs.items() if artifacts}
    written = {
        name: json_format.MessageToDict(artifacts)
        for name, artifacts in stock.translate_executor_output(present, names).items()
    }
    os.makedirs(task_dir, exist_ok=True)
    with open(output_file, "w") as file:
        json.dump({"artifacts": answer(written, declared, completed)}, file)


def main(arguments: list[str]) -> None:
    """Run the step that the arguments describe; an error that is the user's to mend is the last line of the log."""
    quiet.set_environment()
    logging.basicConfig(level=logging.INFO, format="%(levelname).1s %(name)s: %(message)s", stream=sys.stderr)
    parser = ArgumentParser()
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", default="{}")
    given, beam_args = parser.parse_known_args(arguments)
    try:
        run(
            given.executor_class_path,
            json.loads(given.json_serialized_invocation_args),
            json.loads(given.json_serialized_inputs_spec_args),
            beam_args,
        )
    except Exception as error:  # whatever it is, a person reads the end of the log first
        logging.exception("The step failed.")
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
