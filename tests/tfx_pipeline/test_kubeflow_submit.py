"""`lcr-ser submit`, against a stand-in for Kubeflow's API."""

import os
import subprocess

import pytest
import yaml
from click.testing import CliRunner

from tests.support.kubeflow_api import KubeflowApi, serving
from tests.support.workspace import ROOT
from tfx_pipeline.commands.submit import submit
from tfx_pipeline.kubeflow.submit import connect, follow

SECTION = (
    "{image: 'lcr-ser:1', pipeline_root: 'minio://mlpipeline/v2', output_dir: /data/runs, service_account: runner}"
)


@pytest.fixture
def api():
    return KubeflowApi()


@pytest.fixture
def host(api):
    with serving(api) as address:
        yield address


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    monkeypatch.setenv("LCR_SER_KUBEFLOW", SECTION)
    for name in ("KUBEFLOW_TOKEN", "KUBEFLOW_COOKIE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # the client keeps a context there


@pytest.fixture
def file(tmp_path):
    """A compiled pipeline of one step."""
    path = tmp_path / "pipeline.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "pipelineInfo": {"name": "lcr-ser-demo"},
                "schemaVersion": "2.1.0",
                "sdkVersion": "tfx",
                "root": {"dag": {"tasks": {"One": {"cachingOptions": {"enableCache": True}}}}},
                "deploymentSpec": {"executors": {}},
            }
        )
    )
    return path


def _submit(*arguments):
    return CliRunner().invoke(submit, [str(one) for one in arguments])


def test_a_run_is_sent_with_root_and_account_and_the_next_command_told(api, host, file):
    done = _submit("--host", host, "--file", file, "--run-name", "tuesday", "--experiment", "daily")
    assert done.exit_code == 0, done.output
    [run] = api.runs
    assert run["display_name"] == "tuesday" and run["service_account"] == "runner"
    assert run["runtime_config"]["pipeline_root"] == "minio://mlpipeline/v2"
    assert run["pipeline_spec"]["root"]["dag"]["tasks"]["One"]["cachingOptions"] == {"enableCache": True}
    assert done.output.splitlines()[-1] == f"next            lcr-ser submit --host {host} --follow r1 --wait"


def test_without_the_cache_no_step_is_taken_from_it(api, host, file):
    assert _submit("--host", host, "--file", file, "--no-cache").exit_code == 0
    [run] = api.runs
    assert run["pipeline_spec"]["root"]["dag"]["tasks"]["One"]["cachingOptions"].get("enableCache", False) is False


def test_a_run_is_followed_step_by_step(api, host):
    api.states = ["RUNNING", "RUNNING", "SUCCEEDED"]
    api.steps = [{"LogFingerprint": "RUNNING"}, {"LogFingerprint": "SUCCEEDED", "Transform": "RUNNING"}]
    said = []
    assert follow(connect(host, "kubeflow"), "r1", said.append, poll_seconds=0) == []
    assert [line.split() for line in said] == [
        ["LogFingerprint", "running"],
        ["LogFingerprint", "succeeded"],
        ["Transform", "running"],
    ]


def test_a_run_that_fails_ends_the_command_and_names_the_step(api, host):
    api.states, api.steps = ["FAILED"], [{"LogFingerprint": "SUCCEEDED", "Transform": "FAILED"}]
    done = _submit("--host", host, "--follow", "r1", "--wait")
    assert done.exit_code == 1
    assert "Error: the run ended as failed; Transform failed" in done.output


def test_a_token_is_read_again_while_a_run_is_followed(api, host, tmp_path):
    token = tmp_path / "token"
    token.write_text("first")
    api.authorization = "Bearer first"
    api.states = ["RUNNING", "RUNNING", "SUCCEEDED"]
    cluster = connect(host, "kubeflow", token)

    def renew():
        token.write_text("second")
        api.authorization = "Bearer second"

    api.on_look = renew
    assert follow(cluster, "r1", lambda line: None, poll_seconds=0) == []
    assert {headers["Authorization"] for headers in api.headers} >= {"Bearer first", "Bearer second"}


@pytest.mark.parametrize(
    "variable, value, header", [("KUBEFLOW_TOKEN", "t0k3n", "Authorization"), ("KUBEFLOW_COOKIE", "a=b", "Cookie")]
)
def test_a_login_of_the_environment_is_used_and_never_printed(api, host, file, monkeypatch, variable, value, header):
    monkeypatch.setenv(variable, value)
    api.authorization, api.cookie = (f"Bearer {value}", None) if header == "Authorization" else (None, value)
    done = _submit("--host", host, "--file", file)
    assert done.exit_code == 0 and value not in done.output
    monkeypatch.setenv(variable, "wrong-one")
    done = _submit("--host", host, "--file", file)
    assert done.exit_code == 1 and "wrong-one" not in done.output
    assert "does not know who asks (401). Give a token by --token-file" in done.output


def test_a_right_that_lacks_is_told(api, host, file):
    api.status = 403
    done = _submit("--host", host, "--file", file)
    assert done.exit_code == 1 and "(403): the login lacks a right in the namespace" in done.output
    assert len(done.output.splitlines()) == 1


def test_a_host_that_does_not_answer_is_told(file):
    done = _submit("--host", "http://127.0.0.1:9", "--file", file)
    assert done.exit_code == 1
    assert "http://127.0.0.1:9 should be the address of Kubeflow's API. It does not answer" in done.output


def test_a_page_of_a_login_is_told_from_the_api(api, host, file):
    api.page = True
    done = _submit("--host", host, "--file", file)
    assert done.exit_code == 1 and "a page for people, most likely that of a login. Give a token" in done.output


def test_without_a_host_nothing_is_sent(file):
    assert "missing option '--host'" in _submit("--file", file).output


def test_a_schedule_moves_its_recurring_run_to_the_new_version(api, host, file):
    for _ in range(2):
        done = _submit("--host", host, "--file", file, "--schedule", "0 0 3 * * *")
        assert done.exit_code == 0, done.output
    assert api.pipelines == {"p1": "lcr-ser-demo"}
    assert [version["of"] for version in api.versions] == ["p1", "p1"]
    [left] = api.recurring.values()
    assert left["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert left["pipeline_version_reference"]["pipeline_version_id"] == "v2"
    assert left["no_catchup"] is True and left["display_name"] == "lcr-ser-demo"
    # The old one is stopped before the new one is there, and deleted after it: no moment has two.
    later = [
        (method, path.rpartition("/")[2].partition(":")[2]) for method, path in api.calls if "recurringruns" in path
    ]
    assert [method for method, _ in later][-3:] == ["POST", "POST", "DELETE"]


@pytest.mark.long
def test_the_tfx_command_compiles_and_sends(api, host):
    command = [ROOT / ".venv/bin/tfx", "run", "create", "--engine", "kubeflow", "--pipeline_path", "tfx_pipeline/"]
    done = subprocess.run(
        [*command, "--endpoint", host],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [run] = api.runs
    assert len(run["pipeline_spec"]["root"]["dag"]["tasks"]) == 16
