"""What our boot program learns from an engine, and what it refuses."""

import concurrent.futures
import json

import grpc
import pytest
from apache_beam.portability.api import beam_provision_api_pb2 as protos
from apache_beam.portability.api import beam_provision_api_pb2_grpc as services
from apache_beam.portability.api import beam_runner_api_pb2 as runner_protos

from tfx_pipeline.beam.boot import worker_environment


class Engine(services.ProvisionServiceServicer):
    def __init__(self):
        self.info, self.asked = protos.ProvisionInfo(), []

    def GetProvisionInfo(self, request, context):
        self.asked.append(dict(context.invocation_metadata())["worker_id"])
        return protos.GetProvisionInfoResponse(info=self.info)

    def stage(self, *names):
        for name in names:
            payload = runner_protos.ArtifactStagingToRolePayload(staged_name=name).SerializeToString()
            self.info.dependencies.add(role_payload=payload)


@pytest.fixture
def engine():
    engine = Engine()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    services.add_ProvisionServiceServicer_to_server(engine, server)
    engine.endpoint = f"localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    yield engine
    server.stop(None)


def test_a_worker_is_told_where_its_engine_is(engine):
    engine.info.control_endpoint.url = "node:1"
    engine.info.logging_endpoint.url = "node:2"
    engine.info.pipeline_options.update({"beam:option:job_name:v1": "a b"})
    engine.info.runner_capabilities.extend(["x", "y"])
    engine.stage("submission_environment_dependencies.txt")
    told = worker_environment("1-7", engine.endpoint)
    assert engine.asked == ["1-7"]
    assert told["WORKER_ID"] == "1-7"
    assert told["CONTROL_API_SERVICE_DESCRIPTOR"].strip() == 'url: "node:1"'
    assert told["LOGGING_API_SERVICE_DESCRIPTOR"].strip() == 'url: "node:2"'
    assert "STATUS_API_SERVICE_DESCRIPTOR" not in told
    assert json.loads(told["PIPELINE_OPTIONS"]) == {"beam:option:job_name:v1": "a b"}
    assert told["RUNNER_CAPABILITIES"] == "x y"


def test_a_job_that_brings_packages_is_refused(engine):
    engine.stage("submission_environment_dependencies.txt", "workflow.tar.gz", "extra_packages.txt")
    with pytest.raises(SystemExit, match=r"Received: extra_packages.txt, workflow.tar.gz\. Leave --extra_package"):
        worker_environment("1", engine.endpoint)
