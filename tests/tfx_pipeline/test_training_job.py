"""The jobs that train on several machines: manifests against the schemas of their operators, and TF_CONFIG."""

import copy
import json
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from components.trainer.meeting import cluster_of
from components.trainer.orders import folder_of
from tfx_pipeline.kubeflow import worker

MANIFESTS = Path(worker.__file__).with_name("manifests")
VERSIONS = ("1.30", "1.37")
TRAINER, TFJOB = "trainer.kubeflow.org/v1alpha1", "kubeflow.org/v1"

POD, RESOURCES = object(), object()
"""What Kubernetes' own schema is asked about."""
RUNTIME = {
    "mlPolicy": {"numNodes": int, "torch": {"numProcPerNode": (int, str)}},
    "template": {
        "metadata": dict,
        "spec": {
            "failurePolicy": {"maxRestarts": int, "restartStrategy": {"Recreate", "BlockingRecreate"}},
            "network": {"enableDNSHostnames": bool, "publishNotReadyAddresses": bool, "subdomain": str},
            "replicatedJobs": [
                {
                    "name": str,
                    "replicas": int,
                    "template": {
                        "metadata": {"labels": dict, "annotations": dict},
                        "spec": {
                            "backoffLimit": int,
                            "completionMode": {"Indexed", "NonIndexed"},
                            "completions": int,
                            "parallelism": int,
                            "template": POD,
                        },
                    },
                }
            ],
        },
    },
}
"""TrainingRuntime of Trainer 2.0 to 2.3 with the JobSet in it, as far as one may use it: fields of its CRD."""
JOB = {
    "runtimeRef": {"name": str, "apiGroup": str, "kind": {"TrainingRuntime", "ClusterTrainingRuntime"}},
    "suspend": bool,
    "trainer": {
        "image": str,
        "command": [str],
        "args": [str],
        "env": list,
        "numNodes": int,
        "resourcesPerNode": RESOURCES,
    },
}
"""TrainJob of the same."""
TF = {
    "runPolicy": {
        "cleanPodPolicy": {"All", "Running", "None"},
        "ttlSecondsAfterFinished": int,
        "activeDeadlineSeconds": int,
        "backoffLimit": int,
    },
    "successPolicy": {"", "AllWorkers"},
    "tfReplicaSpecs": {
        kind: {"replicas": int, "restartPolicy": {"Always", "OnFailure", "Never", "ExitCode"}, "template": POD}
        for kind in ("Chief", "Worker")
    },
}
"""TFJob of Training Operator 1.9, the last one."""


def load(name):
    return list(yaml.safe_load_all((MANIFESTS / name).read_text()))


def require(value, schema, version, path="spec"):
    """What a schema allows, and nothing that it does not name."""
    if schema is POD:
        pod = copy.deepcopy(value)
        pod["spec"].setdefault("restartPolicy", "OnFailure")  # a TFJob's own stands beside the pod
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "one"}, "spec": {"template": pod}}
        kubernetes_validate.validate(job, version, strict=True)
    elif schema is RESOURCES:
        container = {"name": "one", "image": "one:1", "resources": value}
        require({"spec": {"containers": [container]}}, POD, version, path)
    elif isinstance(schema, dict):
        assert isinstance(value, dict) and value.keys() <= schema.keys(), path
        for name, one in value.items():
            require(one, schema[name], version, f"{path}.{name}")
    elif isinstance(schema, list):
        assert isinstance(value, list), path
        for number, one in enumerate(value):
            require(one, schema[0], version, f"{path}[{number}]")
    elif isinstance(schema, set):
        assert value in schema, path
    else:
        assert isinstance(value, schema) and (schema is bool or not isinstance(value, bool)), path


def schemas():
    runtime, job = load("trainjob.yaml")
    (legacy,) = load("tfjob.yaml")
    return {
        "runtime": (runtime, TRAINER, "TrainingRuntime", RUNTIME),
        "job": (job, TRAINER, "TrainJob", JOB),
        "legacy": (legacy, TFJOB, "TFJob", TF),
    }


@pytest.mark.parametrize("name", ["runtime", "job", "legacy"])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_operators_take_the_manifests(name, version):
    manifest, api, kind, schema = schemas()[name]
    assert (manifest["apiVersion"], manifest["kind"]) == (api, kind)
    assert manifest.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", manifest["metadata"]["name"])
    require(manifest["spec"], schema, version)


def misspelt():
    runtime, job, legacy = (manifest["spec"] for manifest, *_ in schemas().values())
    pod = legacy["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]
    yield runtime["template"]["spec"]["failurePolicy"], "maxRestart", 3, runtime, RUNTIME
    yield job["trainer"], "numNode", 2, job, JOB
    yield job["trainer"], "numNodes", "2", job, JOB
    yield pod, "volumeMount", [], legacy, TF


@pytest.mark.parametrize("place", range(4))
def test_a_misspelt_field_is_noticed(place):
    at, name, value, spec, schema = list(misspelt())[place]
    at[name] = value
    with pytest.raises((AssertionError, kubernetes_validate.ValidationError)):
        require(spec, schema, VERSIONS[-1])


def pods():
    runtime, _ = load("trainjob.yaml")
    (legacy,) = load("tfjob.yaml")
    (node,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    return {
        "trainjob": node["template"]["spec"]["template"]["spec"],
        "tfjob": legacy["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"],
    }


@pytest.mark.parametrize("name", ["trainjob", "tfjob"])
def test_a_pod_may_do_no_more_than_it_must(name):
    pod = pods()[name]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    (container,) = pod["containers"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"cpu", "memory"} <= container["resources"]["limits"].keys()
    assert not re.search(":latest$|^[^:@]*$", container["image"]), "an image is named with its version"


def test_both_run_the_same_command_on_orders_of_both_stages():
    _, job = load("trainjob.yaml")
    arguments = job["spec"]["trainer"]["args"]
    for pod in pods().values():
        (container,) = pod["containers"]
        assert container["command"] == ["python", "-m", "tfx_pipeline.kubeflow.worker"]
        assert container.get("args", arguments) == arguments
        mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert arguments == [folder_of("/checkpoints", stage) for stage in ("supervised", "grpo")]
        assert {"/checkpoints", "/dev/shm"} == mounted


def test_a_lost_worker_restarts_the_whole_job():
    runtime, _ = load("trainjob.yaml")
    jobs = runtime["spec"]["template"]["spec"]
    assert jobs["failurePolicy"]["maxRestarts"] > 0
    (node,) = jobs["replicatedJobs"]
    assert node["template"]["spec"]["backoffLimit"] == 0, "a pod alone is not started again"
    assert node["template"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    (legacy,) = load("tfjob.yaml")
    assert legacy["spec"]["tfReplicaSpecs"]["Worker"]["restartPolicy"] == "OnFailure"


def test_trainer_finds_the_container_that_it_tells_of_the_others():
    """It looks for a Job of this label, and in it for a container `node`."""
    runtime, job = load("trainjob.yaml")
    (node,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    assert node["template"]["metadata"]["labels"] == {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    assert node["name"] == pods()["trainjob"]["containers"][0]["name"] == "node"
    assert job["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"]
    assert pods()["tfjob"]["containers"][0]["name"] == "tensorflow"


def told(index, nodes=3, job="lcr-ser"):
    """What Trainer's policy for Torch tells a pod."""
    return {
        "PET_NNODES": str(nodes),
        "PET_NPROC_PER_NODE": "auto",
        "PET_NODE_RANK": str(index),
        "PET_MASTER_ADDR": f"{job}-node-0-0.{job}",
        "PET_MASTER_PORT": "29500",
        "JOB_COMPLETION_INDEX": str(index),
    }


@pytest.mark.parametrize("index", [0, 2])
def test_a_trainjob_is_a_cluster(index):
    cluster = cluster_of({"TF_CONFIG": worker.tf_config(told(index))})
    assert cluster.index == index
    assert cluster.addresses == [f"lcr-ser-node-0-{pod}.lcr-ser:29500" for pod in range(3)]


def test_the_index_of_the_job_stands_in_for_the_rank():
    without = told(1)
    del without["PET_NODE_RANK"]
    assert worker.tf_config(without) == worker.tf_config(told(1))


def test_a_tfjob_says_it_all():
    given = json.dumps({"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 1}})
    assert worker.tf_config({**told(0), "TF_CONFIG": given}) == given


@pytest.mark.parametrize(
    "changes",
    [
        {"PET_NNODES": ""},
        {"PET_NODE_RANK": "3"},
        {"PET_MASTER_ADDR": "lcr-ser-node-0-1.lcr-ser"},
        {"PET_MASTER_ADDR": "localhost"},
        {"PET_MASTER_PORT": "none"},
    ],
)
def test_a_pod_that_is_not_told_enough_says_so(changes):
    with pytest.raises(ValueError, match="A worker should be told by TF_CONFIG, or by PET_NNODES"):
        worker.tf_config({**told(0), **changes})


def test_a_process_of_no_job_ends_with_one_line(monkeypatch):
    for name in ("TF_CONFIG", *told(0)):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit, match="Error: A worker should be told .* Received: none of them"):
        worker.main(["/nowhere"])
