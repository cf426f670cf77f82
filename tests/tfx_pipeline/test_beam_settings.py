"""The engine's settings, and what Beam and TFX parse of the arguments that are filled in for each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from apache_beam.options import pipeline_options as options
from apache_beam.transforms import environments
from pydantic import ValidationError

from tfx_pipeline.beam.arguments import BOOT, beam_arguments, prism
from tfx_pipeline.beam_settings import BeamEngine
from tfx_pipeline.settings import load

CLOUD = ("--project=p", "--region=r", "--temp_location=gs://b/t")


def parsed(**settings):
    """All options that Beam knows, and the arguments that it does not know."""
    arguments = beam_arguments(BeamEngine(**settings))
    known = options.PipelineOptions(arguments)
    return known, known.get_all_options(drop_default=True)


def environment(known):
    return environments.Environment.from_options(known.view_as(options.PortableOptions))


def test_local_is_one_process_and_nothing_is_packed():
    _, values = parsed()
    assert values == {
        "runner": "apache_beam.runners.portability.fn_api_runner.FnApiRunner",
        "sdk_container_image": "none",
    }


@pytest.mark.parametrize("runner", ["portable", "flink", "spark", "prism"])
def test_an_endpoint_is_all_that_a_job_server_takes(runner):
    known, values = parsed(runner=runner, endpoint="cluster:8099")
    assert (values["runner"], values["job_endpoint"]) == ("PortableRunner", "cluster:8099")
    assert values["job_server_timeout"] > 30 * 86_400  # or a job of more than five minutes would fail
    assert values["sdk_container_image"] == "none"
    if runner in ("flink", "spark"):
        assert isinstance(environment(known), environments.ProcessEnvironment)
        assert known.view_as(options.PortableOptions).environment_cache_millis == "5000"
    else:
        assert values["environment_type"] == "LOOPBACK"
        assert "environment_cache_millis" not in values


def test_prism_is_started_where_no_endpoint_is_given():
    _, values = parsed(runner="prism")
    assert (values["runner"], values["prism_location"]) == ("PrismRunner", str(prism()))
    assert values["environment_type"] == "LOOPBACK"
    assert prism().parent == Path("build/engine").resolve()


def test_dataflow_has_containers_of_its_own():
    known, values = parsed(runner="dataflow", image="here/lcr-ser:1", args=CLOUD)
    assert values["runner"] == "DataflowRunner"
    assert values["sdk_container_image"] == "here/lcr-ser:1"
    cloud = known.view_as(options.GoogleCloudOptions)
    assert (cloud.project, cloud.region, cloud.temp_location) == ("p", "r", "gs://b/t")


def test_docker_workers_are_of_the_image():
    known, _ = parsed(runner="flink", endpoint="c:1", workers="docker", image="here/lcr-ser:1")
    made = environment(known)
    assert isinstance(made, environments.DockerEnvironment)
    assert made.container_image == "here/lcr-ser:1"


def test_pool_workers_are_asked_for_at_its_address():
    known, _ = parsed(runner="flink", endpoint="c:1", workers="pool", worker_pool="node:1234")
    made = environment(known)
    assert isinstance(made, environments.ExternalEnvironment)
    assert made.url == "node:1234"


def test_process_workers_start_with_this_python():
    known, _ = parsed(runner="spark", endpoint="c:1")
    made = environment(known)
    assert made.command == str(BOOT)
    assert os.access(BOOT, os.X_OK)
    told = subprocess.run(
        [made.command, "--help"], env=made.env, cwd="/", capture_output=True, text=True, check=True
    ).stdout
    assert "--provision_endpoint" in told
    found = subprocess.run(
        ["python3", "-c", "import sys; print(sys.prefix)"], env=made.env, capture_output=True, check=True
    )
    assert found.stdout.decode().strip() == sys.prefix


def test_arguments_are_passed_through_untouched_and_win(monkeypatch):
    given = ["--job_name=two words", '--environment_options={"a": "b, c"}', "--job_endpoint=other:1", "--", "ünï"]
    monkeypatch.setenv("LCR_SER_BEAM__ARGS", json.dumps(given))
    monkeypatch.setenv("LCR_SER_BEAM__RUNNER", "portable")
    monkeypatch.setenv("LCR_SER_BEAM__ENDPOINT", "cluster:8099")
    arguments = beam_arguments(load().beam)
    assert arguments[-5:] == given
    known = options.PipelineOptions(arguments[:-2])
    assert known.view_as(options.PortableOptions).job_endpoint == "other:1"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"runner": "flink"}, "`endpoint` should be host:port of Beam's job server where `runner` is flink"),
        ({"runner": "local", "endpoint": "c:1"}, "`endpoint` should be null where `runner` is local"),
        ({"runner": "dataflow", "image": "i", "endpoint": "c:1"}, "`endpoint` should be null"),
        ({"runner": "dataflow"}, "`image` should name the image of the workers"),
        ({"runner": "dataflow", "image": "i", "workers": "process"}, "`workers` should be null"),
        ({"runner": "local", "workers": "pool"}, "`workers` should be null where `runner` is local"),
        ({"runner": "prism", "image": "i"}, "`image` should name the image of the workers where these are docker"),
        ({"runner": "portable", "endpoint": "http://c:1"}, "String should match pattern"),
        ({"runner": "sparkle"}, "Input should be"),
        ({"args": "--streaming"}, "Input should be a valid tuple"),
    ],
)
def test_what_does_not_fit_is_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        BeamEngine(**settings)
