#!/usr/bin/env python3
"""Starts a worker for an engine that runs them as processes, as Flink can: `boot.py --id=ID --provision_endpoint=URL`

It does what the boot program of Beam's containers does, with the Python and the packages that are there: it asks the
engine who it is, and becomes the worker. Other arguments of engines are not needed.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

# As a program it finds the project around it, and not what lies beside it.
sys.path[0] = str(Path(__file__).resolve().parents[2])
_LIST = "submission_environment_dependencies.txt"
"""Of the submitter's packages, which Beam sends with every job and no worker needs."""


def main() -> None:
    """Become the worker that the arguments name."""
    from tfx_pipeline.console import quiet

    quiet.set_environment()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    arguments, _ = parser.parse_known_args()
    worker = arguments.id.strip("'")  # Prism puts quotes around it
    os.environ.update(worker_environment(worker, arguments.provision_endpoint))
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main([])


def worker_environment(worker: str, endpoint: str) -> dict[str, str]:
    """Ask an engine what a worker is told by the environment.

    Args:
        worker: its id.
        endpoint: host and port of the engine's provision service.

    Raises:
        SystemExit: where the job brings packages of its own, which this program does not install.
    """
    from apache_beam.portability.api import beam_provision_api_pb2 as protos
    from apache_beam.portability.api import beam_provision_api_pb2_grpc as services
    from apache_beam.portability.api import beam_runner_api_pb2 as runner_protos
    from apache_beam.runners.worker.channel_factory import GRPCChannelFactory
    from google.protobuf import json_format, text_format

    with GRPCChannelFactory.insecure_channel(endpoint) as channel:
        answer = services.ProvisionServiceStub(channel).GetProvisionInfo(
            protos.GetProvisionInfoRequest(), metadata=[("worker_id", worker)], wait_for_ready=True, timeout=60
        )
    info = answer.info
    names = {
        runner_protos.ArtifactStagingToRolePayload.FromString(one.role_payload).staged_name for one in info.dependencies
    }
    if packages := sorted(names - {_LIST}):
        sys.exit(
            "A job for workers by process should bring no files: they have the environment of their machine. "
            f"Received: {', '.join(packages)}. Leave --extra_package and the like out of `beam.args`."
        )
    environment = {
        "WORKER_ID": worker,
        "PIPELINE_OPTIONS": json.dumps(json_format.MessageToDict(info.pipeline_options)),
        "SEMI_PERSISTENT_DIRECTORY": tempfile.gettempdir(),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    for name in ("logging", "control", "status"):
        if info.HasField(f"{name}_endpoint"):
            descriptor = text_format.MessageToString(getattr(info, f"{name}_endpoint"))
            environment[f"{name.upper()}_API_SERVICE_DESCRIPTOR"] = descriptor
    return environment


if __name__ == "__main__":
    main()
