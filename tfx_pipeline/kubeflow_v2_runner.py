"""Compiles the pipeline for Kubeflow Pipelines v2 and for Vertex AI Pipelines.

`lcr-ser compile` and `lcr-ser submit` call it; `python tfx_pipeline/kubeflow_v2_runner.py` writes `pipeline.yaml`. The
oldest back end that is supported is 2.2: see docs/kubeflow.md.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from tfx_pipeline.beam.arguments import beam_arguments
from tfx_pipeline.console import quiet
from tfx_pipeline.folders import cluster_folders
from tfx_pipeline.kubeflow import steps
from tfx_pipeline.kubeflow_settings import Kubeflow
from tfx_pipeline.settings import Settings, load
from tfx_pipeline.sources import SettingsError

ENTRY_POINT = ["python", "-m", "tfx_pipeline.kubeflow.entrypoint"]
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")


def compile_kubeflow(settings: Settings) -> list[dict[str, Any]]:
    """Compile for open-source Kubeflow Pipelines.

    Args:
        settings: of the run, with the section `kubeflow`.

    Returns:
        The documents of the file: the pipeline spec of version 2.1, and the platform's settings where there are any.

    Raises:
        ValueError: for settings that a cluster cannot follow.
    """
    spec = _spec(settings)
    return [spec, *filter(None, [steps.platform(spec, _section(settings))])]


def compile_vertex(settings: Settings) -> dict[str, Any]:
    """Compile for Vertex AI Pipelines.

    Args:
        settings: of the run, with the section `kubeflow`.

    Returns:
        A `PipelineJob`.

    Raises:
        ValueError: for settings that Vertex cannot follow.
    """
    kubeflow = _section(settings)
    if refused := kubeflow.platform_settings():
        raise ValueError(
            "Vertex AI Pipelines take no settings of Kubernetes. Received: "
            f"{', '.join(f'`kubeflow.{name}`' for name in refused)}. Give its service account the rights instead, "
            "and unset them for this compilation."
        )
    for name in ("pipeline_root", "output_dir"):
        if not getattr(kubeflow, name).startswith("gs://"):
            raise ValueError(
                f"`kubeflow.{name}` should be a gs:// URI on Vertex AI Pipelines. "
                f"Received: {getattr(kubeflow, name)!r}."
            )
    return {
        "displayName": settings.name,
        "pipelineSpec": _spec(settings),
        "runtimeConfig": {"gcsOutputDirectory": kubeflow.pipeline_root},
    }


def write(settings: Settings, file: Path) -> None:
    """Compile to a file: `.yaml` for Kubeflow, `.json` for Vertex.

    Raises:
        ValueError: as the compilers above do.
    """
    if file.suffix == ".json":
        text = json.dumps(compile_vertex(settings), indent=1, sort_keys=True)
    else:
        text = yaml.safe_dump_all(compile_kubeflow(settings), sort_keys=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def pipeline_name(settings: Settings) -> str:
    """The name of the pipeline on a cluster, where no name has an underscore or a capital letter.

    Raises:
        ValueError: for a name that is none there even so.
    """
    name = settings.name.lower().replace("_", "-").replace(" ", "-")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"`name` should be letters, digits, - and _ on Kubeflow, at most 128 of them. Received: {settings.name!r}."
        )
    return name


def _section(settings: Settings) -> Kubeflow:
    cluster_folders(settings)
    assert settings.kubeflow is not None  # noqa: S101  # the line above refuses it with what to do
    return settings.kubeflow


def _spec(settings: Settings) -> dict[str, Any]:
    from tfx.orchestration.data_types import RuntimeParameter
    from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig

    from tfx_pipeline.pipeline import create_pipeline
    from tfx_pipeline.stages import logs_of

    kubeflow, folders = _section(settings), cluster_folders(settings)
    if settings.infra_validation:
        raise ValueError(
            "`infra_validation` should be null on Kubeflow: TFX does not compile its component for pipelines of "
            f"version 2. Received: {settings.infra_validation}. ServableCheck loads the model and asks it all the same."
        )
    for name, place in (("kubeflow.output_dir", kubeflow.output_dir), ("log_dir", folders.log)):
        _require_scheme(name, place)
    if settings.beam.chosen_workers in ("loopback", "process"):
        raise ValueError(
            "`beam.workers` should be docker or pool on Kubeflow, where the engine's machines are not the step's. "
            f"Received: {settings.beam.chosen_workers}."
        )
    fingerprint = RuntimeParameter(steps.FINGERPRINT_PARAMETER, str)
    pipeline = create_pipeline(settings, None, beam_arguments(settings.beam), folders, fingerprint)
    pipeline.pipeline_info.pipeline_name = pipeline_name(settings)
    ids = [component.id for component in pipeline.components]
    if unknown := kubeflow.resources.keys() - {*ids, steps.FINGERPRINT, "default"}:
        raise ValueError(
            f"`kubeflow.resources` should name components, or `default`. Received: {', '.join(sorted(unknown))}. "
            f"There are {', '.join(ids)}."
        )
    config = KubeflowV2DagRunnerConfig(
        default_image=kubeflow.image, default_commands=ENTRY_POINT, use_pipeline_spec_2_1=True
    )
    spec: dict[str, Any] = KubeflowV2DagRunner(config).run(pipeline, write_out=False)["pipelineSpec"]
    steps.add_fingerprint_step(spec, kubeflow.image, logs_of(settings, folders).to_json(), demo=settings.demo)
    for name, task in spec["root"]["dag"]["tasks"].items():
        if not kubeflow.cache:
            task["cachingOptions"] = {}
        if kubeflow.retries:
            task["retryPolicy"] = steps.retry_policy(kubeflow.retries, kubeflow.retry_seconds)
        step = steps.container(spec, name)
        step["image"] = kubeflow.image_of(name)
        step["resources"] = steps.resources(kubeflow.limits(name), kubeflow.accelerator)
    spec["defaultPipelineRoot"] = kubeflow.pipeline_root
    return spec


def _require_scheme(name: str, place: str) -> None:
    """Refuse what a step's libraries do not read and write; the image holds those of this environment."""
    from tfx_pipeline.kubeflow.schemes import known

    scheme = place.partition("://")[0] if "://" in place else ""
    if lacking := [library for library, knows in known(scheme)._asdict().items() if not knows]:
        raise ValueError(
            f"`{name}` should be the path of a volume, or a URI that TensorFlow, TFX's fileio and Beam know. Received: "
            f"{place!r}, and {scheme}:// is unknown to {', '.join(lacking)}. Steps read and write there themselves."
        )


def main() -> None:
    """Write `pipeline.yaml` with the settings of file and environment."""
    quiet.set_environment()
    try:
        write(load(), Path("pipeline.yaml"))
    except (SettingsError, ValueError) as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
