"""The compiled pipeline: what Kubeflow is told, against a kept file and against rules. Nothing is run.

`WRITE_GOLDEN=1 pytest tests/tfx_pipeline/test_kubeflow_compile.py` writes the kept file again, to be read in
the diff.
"""

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from tfx_pipeline import kubeflow_v2_runner
from tfx_pipeline.kubeflow_settings import Kubeflow, quantity
from tfx_pipeline.settings import load

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).with_name("golden") / "pipeline.yaml"
SECTION = {
    "image": "registry.example/lcr-ser:1.0",
    "pipeline_root": "minio://mlpipeline/v2",
    "output_dir": "/data/runs",
    "secrets": [{"name": "store", "keys": {"token": "STORE_TOKEN"}}, {"name": "files", "mount_path": "/secrets"}],
    "volumes": [{"claim": "runs", "mount_path": "/data"}],
    "node_selector": {"pool": "cpu"},
    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "shared_memory": "2Gi",
    "resources": {
        "default": {"cpus": 2, "memory": "8Gi"},
        "SupervisedTrainer": {"cpus": 4, "memory": "16Gi", "gpus": 1},
        "GrpoTrainer": {"cpus": 4, "memory": "16Gi", "gpus": 1},
    },
    "gpu_image": "registry.example/lcr-ser-gpu:1.0",
}


@pytest.fixture
def settings(monkeypatch):
    """Settings with the section, some fields of which a test may change."""

    def made(environment=None, **changes):
        section = {**SECTION, **changes}
        monkeypatch.setenv("LCR_SER_KUBEFLOW", _in_one_line(section))
        for name, value in (environment or {}).items():
            monkeypatch.setenv(f"LCR_SER_{name}", value)
        return load()

    return made


@pytest.fixture(scope="module")
def compiled():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCR_SER_KUBEFLOW", _in_one_line(SECTION))
        return kubeflow_v2_runner.compile_kubeflow(load())


def _in_one_line(section):
    return yaml.safe_dump(section, default_flow_style=True, width=10**6)


def _without_hashes(document):
    # Hashes of the source change with each edit, and the version with the line.
    text = re.sub(r'(\\*"(?:code|code_hash|model_code)\\*": \\*")[0-9a-f]{16}', r"\1HASH", json.dumps(document))
    text = re.sub(r'("(?:code_hash|model_code)": {"runtimeValue": {"constant": ")[0-9a-f]{16}', r"\1HASH", text)
    text = re.sub(r'(\\"code_hash\\": \\")[0-9a-f]{16}', r"\1HASH", text)
    return json.loads(re.sub(r'"tfx-[0-9.]+"', '"tfx-VERSION"', text))


def test_the_whole_file_is_as_it_was(compiled):
    found = [_without_hashes(document) for document in compiled]
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.write_text(yaml.safe_dump_all(found, sort_keys=True))
    assert found == list(yaml.safe_load_all(GOLDEN.read_text()))


def test_steps_are_containers_alone_and_none_has_a_hook(compiled):
    spec = compiled[0]
    executors = spec["deploymentSpec"]["executors"]
    assert len(executors) == len(spec["root"]["dag"]["tasks"]) == 16
    assert all(set(executor) == {"container"} for executor in executors.values())
    assert all("lifecycle" not in executor["container"] for executor in executors.values())


def test_what_a_step_may_use_is_told_in_both_forms(compiled):
    executors = compiled[0]["deploymentSpec"]["executors"]
    trainer, other = executors["exec-GrpoTrainer"]["container"], executors["exec-Transform"]["container"]
    assert trainer["image"] == "registry.example/lcr-ser-gpu:1.0" and other["image"] == "registry.example/lcr-ser:1.0"
    assert other["resources"] == {
        "cpuLimit": 2.0,
        "resourceCpuLimit": "2",
        "memoryLimit": 8.0,
        "resourceMemoryLimit": "8Gi",
    }
    assert trainer["resources"]["accelerator"] == {
        "type": "nvidia.com/gpu",
        "count": "1",
        "resourceType": "nvidia.com/gpu",
        "resourceCount": "1",
    }


def test_the_fingerprint_of_the_log_comes_from_a_step_that_is_never_cached(compiled):
    tasks = compiled[0]["root"]["dag"]["tasks"]
    assert tasks["LogFingerprint"]["cachingOptions"] == {}
    assert tasks["LogExampleGen"]["inputs"]["parameters"]["input_fingerprint"] == {
        "taskOutputParameter": {"producerTask": "LogFingerprint", "outputParameterKey": "fingerprint"}
    }
    assert tasks["LogExampleGen"]["dependentTasks"] == ["LogFingerprint"]
    assert "inputDefinitions" not in compiled[0]["root"]
    known = [name for name, task in tasks.items() if task["cachingOptions"] == {"enableCache": True}]
    assert len(known) == len(tasks) - 1


def test_no_log_is_needed_and_no_place_of_this_machine_is_told(compiled, tmp_path):
    assert not Path("/data/runs").exists()
    # A path begins where a name does not go on: an image may be called as the folder is.
    here = re.escape(str(Path(kubeflow_v2_runner.__file__).parents[1]))
    assert not re.search(rf"(?<![\w.:-]){here}\b", json.dumps(compiled))


def test_secrets_are_told_by_name_and_values_of_the_environment_by_nothing(settings, monkeypatch):
    monkeypatch.setenv("STORE_TOKEN", "s3cr3t-of-this-machine")
    monkeypatch.setenv("KUBEFLOW_TOKEN", "s3cr3t-of-the-login")
    documents = kubeflow_v2_runner.compile_kubeflow(settings(host="https://kubeflow.example"))
    text = json.dumps(documents)
    assert "s3cr3t" not in text
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["exec-Pusher"]["secretAsEnv"] == [
        {"secretName": "store", "keyToEnv": [{"secretKey": "token", "envVar": "STORE_TOKEN"}]}
    ]


def test_memory_for_cards_to_speak_through_is_given_to_steps_with_cards_alone(compiled):
    executors = compiled[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    having = {name for name, executor in executors.items() if "emptyDirMounts" in executor}
    assert having == {"exec-SupervisedTrainer", "exec-GrpoTrainer"}
    assert all(executor["pvcMount"] == [{"constant": "runs", "mountPath": "/data"}] for executor in executors.values())


def test_a_file_for_kubernetes_settings_is_written_only_where_there_are_some(settings):
    plain = settings(secrets=[], volumes=[], node_selector={}, tolerations=[], shared_memory=None)
    assert len(kubeflow_v2_runner.compile_kubeflow(plain)) == 1


def test_switched_off_nothing_is_cached_or_tried_again(settings):
    [spec, *_] = kubeflow_v2_runner.compile_kubeflow(settings(cache=False, retries=0))
    for task in spec["root"]["dag"]["tasks"].values():
        assert task["cachingOptions"] == {} and "retryPolicy" not in task


def test_a_step_is_tried_again_twice(compiled):
    for task in compiled[0]["root"]["dag"]["tasks"].values():
        assert task["retryPolicy"]["maxRetryCount"] == 2 and task["retryPolicy"]["backoffDuration"] == "30s"


def test_whatever_changes_a_result_changes_a_parameter(settings):
    """Of each step that a setting concerns: Kubeflow's cache sees parameters, and no environment."""

    def parameters(**environment):
        [spec, *_] = kubeflow_v2_runner.compile_kubeflow(settings(environment))
        return {name: task.get("inputs", {}).get("parameters") for name, task in spec["root"]["dag"]["tasks"].items()}

    before = parameters()
    for name, value, steps in (
        ("LOGS__SEED", "7", {"LogFingerprint", "LogExampleGen", "RunReport"}),
        ("VOCABULARY__MAX_ITEMS", "900", {"Transform", "SupervisedTrainer", "GrpoTrainer", "RunReport"}),
        ("GRPO__MAX_STEPS", "1", {"GrpoTrainer", "RunReport"}),
        ("PUSH__KEEP_VERSIONS", "2", {"Pusher", "RunReport"}),
        ("EVALUATION__MIN_NDCG_5", "0.9", {"Evaluator", "RunReport"}),
    ):
        after = parameters(**{name: value})
        changed = {step for step, given in after.items() if given != before[step]}
        os.environ.pop(f"LCR_SER_{name}")
        assert changed == steps, name


def test_vertex_gets_a_job_and_refuses_what_kubernetes_alone_knows(settings):
    plain = {"secrets": [], "volumes": [], "node_selector": {}, "tolerations": [], "shared_memory": None}
    on_google = {"pipeline_root": "gs://bucket/root", "output_dir": "gs://bucket/runs"}
    job = kubeflow_v2_runner.compile_vertex(
        settings({"LOG_DIR": "gs://bucket/log", "PROFILE": "own"}, **plain, **on_google)
    )
    assert job["runtimeConfig"] == {"gcsOutputDirectory": "gs://bucket/root"}
    assert job["pipelineSpec"]["pipelineInfo"]["name"] == "lcr-ser"
    with pytest.raises(ValueError, match="no settings of Kubernetes. Received: `kubeflow.secrets`, `kubeflow.volumes`"):
        kubeflow_v2_runner.compile_vertex(settings(**on_google))
    with pytest.raises(ValueError, match="`kubeflow.output_dir` should be a gs:// URI .* Received: '/data/runs'"):
        kubeflow_v2_runner.compile_vertex(settings(**plain, pipeline_root="gs://bucket/root"))


@pytest.mark.parametrize(
    "environment, changes, message",
    [
        ({"INFRA_VALIDATION__PLATFORM": "docker"}, {}, "`infra_validation` should be null on Kubeflow"),
        ({}, {"resources": {"Trainer": {"cpus": 1}}}, "should name components, or `default`. Received: Trainer"),
        ({"BEAM": "{runner: flink, endpoint: 'jobs:8099'}"}, {}, "`beam.workers` should be docker or pool on Kubeflow"),
        ({"NAME": "modèle"}, {}, "`name` should be letters, digits"),
        ({"LOG_DIR": "logs/mine"}, {}, "`log_dir` should be a URI, or the absolute path of a volume"),
        ({"LOG_DIR": "hdfs://host/log"}, {}, "`log_dir` should be .*, and hdfs:// is unknown to tensorflow"),
        ({}, {"output_dir": "s3://bucket/runs"}, "`kubeflow.output_dir` should be .*, and s3:// is unknown to"),
    ],
)
def test_what_a_cluster_cannot_follow_is_refused(settings, environment, changes, message):
    with pytest.raises(ValueError, match=message):
        kubeflow_v2_runner.compile_kubeflow(settings(environment, **changes))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"image": "lcr-ser"}, "by its digest"),
        ({"image": "registry.example:5000/lcr-ser:latest"}, "not `latest`"),
        ({"pipeline_root": "/data/root"}, "Kubeflow takes no path and no volume"),
        ({"pipeline_root": "hdfs://host/root"}, "should be a URI of gs://, s3://, minio://"),
        ({"output_dir": "runs"}, "the absolute path of a volume"),
        ({"output_dir": "gs://user:word@bucket/runs"}, "no user and no password"),
        ({"resources": {"default": {"memory": "much"}}}, "an amount of memory"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_compiled(changes, message):
    with pytest.raises(ValueError, match=f"(?i){message}"):
        Kubeflow(**{**SECTION, **changes})


@pytest.mark.parametrize("text, size", [("8Gi", 8 * 1024**3), ("500M", 5e8), ("1.5Gi", 1.5 * 1024**3), ("7", 7)])
def test_amounts_of_memory_are_read_as_kubernetes_does(text, size):
    assert quantity(text) == size
