"""What Kubeflow is told of each step beyond what TFX's compiler writes: fingerprint, limits, retries, platform.

Functions take and give parts of a pipeline spec as plain dictionaries, with the names of its JSON form.
"""

from collections.abc import Iterable
from typing import Any

from tfx_pipeline.kubeflow_settings import Kubeflow, Resources, quantity

Spec = dict[str, Any]
FINGERPRINT = "LogFingerprint"
FINGERPRINT_PARAMETER = "input-fingerprint"
"""Of the whole pipeline, until the step stands in for it."""
_EXECUTOR = "{}_executor"
_FINGERPRINT_OUTPUT = "fingerprint"
_GIB = 2**30


def container(spec: Spec, step: str) -> Spec:
    """The container of a step."""
    found: Spec = spec["deploymentSpec"]["executors"][_EXECUTOR.format(step)]["container"]
    return found


def add_fingerprint_step(spec: Spec, image: str, log_settings: str, demo: bool) -> None:
    """Let a step of its own find the fingerprint of the log, before the steps that take it as a parameter.

    A parameter and no artifact: Kubeflow's cache knows a parameter by its value, and an artifact by its name alone.

    Args:
        spec: as compiled with the parameter `FINGERPRINT_PARAMETER`.
        image: of the step.
        log_settings: JSON of `LogSettings`.
        demo: whether it writes the demo log first, where there is none yet.
    """
    label = _EXECUTOR.format(FINGERPRINT)
    spec["components"][FINGERPRINT] = {
        "executorLabel": label,
        "inputDefinitions": {"parameters": {"settings": {"parameterType": "STRING"}}},
        "outputDefinitions": {"parameters": {_FINGERPRINT_OUTPUT: {"parameterType": "STRING"}}},
    }
    spec["deploymentSpec"]["executors"][label] = {
        "container": {
            "image": image,
            "command": ["python", "-m", "tfx_pipeline.kubeflow.log_fingerprint"],
            "args": [
                "--settings",
                "{{$.inputs.parameters['settings']}}",
                "--output",
                f"{{{{$.outputs.parameters['{_FINGERPRINT_OUTPUT}'].output_file}}}}",
                *(["--demo"] if demo else []),
            ],
        }
    }
    tasks = spec["root"]["dag"]["tasks"]
    for task in tasks.values():
        for parameter in task.get("inputs", {}).get("parameters", {}).values():
            if parameter.get("componentInputParameter") == FINGERPRINT_PARAMETER:
                del parameter["componentInputParameter"]
                parameter["taskOutputParameter"] = {
                    "producerTask": FINGERPRINT,
                    "outputParameterKey": _FINGERPRINT_OUTPUT,
                }
                task.setdefault("dependentTasks", []).append(FINGERPRINT)
    tasks[FINGERPRINT] = {
        "taskInfo": {"name": FINGERPRINT},
        "componentRef": {"name": FINGERPRINT},
        "inputs": {"parameters": {"settings": {"runtimeValue": {"constant": log_settings}}}},
        "cachingOptions": {},
    }
    definitions = spec["root"]["inputDefinitions"]["parameters"]
    del definitions[FINGERPRINT_PARAMETER]
    if not definitions:
        del spec["root"]["inputDefinitions"]


def retry_policy(retries: int, seconds: int) -> Spec:
    """How often a failed step is tried again, and the wait before the first time; TFX writes no policy."""
    return {
        "maxRetryCount": retries,
        "backoffDuration": f"{seconds}s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": "3600s",
    }


def resources(limits: Resources, accelerator: str) -> Spec:
    """Limits in the fields of back ends before and after 2.4: each reads its own and ignores the others."""
    found: Spec = {
        "cpuLimit": limits.cpus,
        "resourceCpuLimit": f"{limits.cpus:g}",
        "memoryLimit": round(quantity(limits.memory) / _GIB, 3),
        "resourceMemoryLimit": limits.memory,
    }
    if limits.gpus:
        found["accelerator"] = {
            "type": accelerator,
            "count": str(limits.gpus),
            "resourceType": accelerator,
            "resourceCount": str(limits.gpus),
        }
    return found


def platform(spec: Spec, kubeflow: Kubeflow) -> Spec | None:
    """The document of what Kubernetes alone understands, which is the second one of a compiled file.

    Returns:
        None where nothing of it is set.
    """
    shared = _kubernetes(kubeflow)
    executors: Spec = {}
    for step in spec["root"]["dag"]["tasks"]:
        found = dict(shared)
        if kubeflow.shared_memory and kubeflow.limits(step).gpus:
            # TensorFlow's collectives between cards and its input threads use it; a pod has 64 MiB otherwise.
            found["emptyDirMounts"] = [
                {
                    "volumeName": "shared-memory",
                    "mountPath": "/dev/shm",  # noqa: S108
                    "medium": "Memory",
                    "sizeLimit": kubeflow.shared_memory,
                }
            ]
        if found:
            executors[_EXECUTOR.format(step)] = found
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}} if executors else None


def _kubernetes(kubeflow: Kubeflow) -> Spec:
    parts: dict[str, Iterable[Spec] | Spec] = {
        "secretAsEnv": [
            {
                "secretName": secret.name,
                "keyToEnv": [{"secretKey": key, "envVar": variable} for key, variable in secret.keys.items()],
            }
            for secret in kubeflow.secrets
            if secret.keys
        ],
        "secretAsVolume": [
            {"secretName": secret.name, "mountPath": secret.mount_path}
            for secret in kubeflow.secrets
            if secret.mount_path
        ],
        "pvcMount": [{"constant": volume.claim, "mountPath": volume.mount_path} for volume in kubeflow.volumes],
        "nodeSelector": {"labels": dict(kubeflow.node_selector)} if kubeflow.node_selector else {},
        "tolerations": [
            {name: value for name, value in toleration.model_dump().items() if value}
            for toleration in kubeflow.tolerations
        ],
    }
    return {name: part for name, part in parts.items() if part}
