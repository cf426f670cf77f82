"""Whether an environment is what the steps of the pipeline need: `python -m tfx_pipeline.environment.health [cpu|gpu]`.

The build of the image runs it last, so that an image in which a step cannot start is never made:

- every package is there, at the version of the lock, and no other package is;
- what each step runs can be imported;
- Beam's start program is of the locked version, and starts a worker with this environment's Python.
"""

import importlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from tfx_pipeline.console import quiet
from tfx_pipeline.environment import packages
from tfx_pipeline.settings import REPOSITORY

BOOT = Path("/opt/apache/beam/boot")
_WORKER_SECONDS = 120
_NOTHING_STAGED = "__no_artifacts_staged__"
"""What Beam's start program takes for: there are no files to fetch."""
_MODULES = (
    "tfx_pipeline.kubeflow.entrypoint",
    "apache_beam.runners.worker.sdk_worker_main",
    "apache_beam.runners.worker.worker_pool_main",
    "jieba",
)


def locks(variant: str) -> list[Path]:
    """The locks of this Python's line: of all packages, and on a GPU of TensorFlow's there."""
    line = "a" if sys.version_info[:2] == (3, 10) else "b"
    return [REPOSITORY / "requirements" / f"{name}-{line}.txt" for name in ("line", *(["gpu"] * (variant == "gpu")))]


def package_faults(variant: str) -> list[str]:
    """What speaks against the packages, a line each."""
    return packages.differences(packages.installed(), packages.locked(*locks(variant)), packages.needed_by(variant))


def import_faults() -> list[str]:
    """What cannot be imported of all that steps run, a line each."""
    from tfx_pipeline import stages

    functions = (stages.PREPROCESSING, stages.SUPERVISED_RUN, stages.GRPO_RUN)
    modules = [*_MODULES, stages.EXTRACTORS, stages.JUDGEMENT, *(name.rpartition(".")[0] for name in functions)]
    faults = []
    for module in [*modules, *executor_modules()]:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever a package does while it is imported
            faults.append(f"{module} cannot be imported: {type(error).__name__}: {error}")
    return faults


def executor_modules() -> list[str]:
    """The modules of all executors that the stages of the pipeline name, ours and TFX's."""
    from tfx.dsl.components.base.base_component import BaseComponent

    paths = {getattr(one.EXECUTOR_SPEC, "class_path", "") for one in _subclasses(BaseComponent)}
    return sorted(path.rpartition(".")[0] for path in paths if path)


def worker_faults(boot: Path = BOOT) -> list[str]:
    """What speaks against Beam's start program: it has to start a worker of this Python, as an engine would."""
    if not boot.exists():
        return [f"{boot} is missing"]
    version = metadata.version("apache-beam")
    if f"github.com/apache/beam/sdks/v2\tv{version}\t".encode() not in boot.read_bytes():
        return [f"{boot} is not of Beam {version}, or no program of Go"]
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "prefix"
        call = f"from tfx_pipeline.environment import health; health.run_a_worker({str(boot)!r}, {str(answer)!r})"
        try:  # in a process of its own: a runner waits for ever for a worker that does not come
            subprocess.run(  # noqa: S603
                [sys.executable, "-c", call], cwd=folder, capture_output=True, timeout=_WORKER_SECONDS, check=True
            )
        except subprocess.SubprocessError as error:
            said = (error.stderr or b"").decode().strip()  # type: ignore[attr-defined]
            return [
                f"{boot} starts no worker within {_WORKER_SECONDS} s. What was said last:",
                *said.splitlines()[-9:],
            ]
        prefix = answer.read_text()
    return [] if prefix == sys.prefix else [f"{boot} starts a worker in {prefix}, not in {sys.prefix}"]


def run_a_worker(boot: str, answer: str) -> None:
    """Run a pipeline of one element in a worker that is started by `boot`; it writes its environment to a file."""
    import apache_beam as beam
    from apache_beam.portability.api import beam_provision_api_pb2
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo
    from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
    from apache_beam.transforms.environments import ExternalEnvironment

    address, server = BeamFnExternalWorkerPoolServicer.start(use_process=True, container_executable=boot)
    nothing_staged = ExtendedProvisionInfo(beam_provision_api_pb2.ProvisionInfo(retrieval_token=_NOTHING_STAGED))
    runner = FnApiRunner(default_environment=ExternalEnvironment(address), provision_info=nothing_staged)
    try:
        with beam.Pipeline(runner=runner) as pipeline:
            pipeline | beam.Create([answer]) | beam.Map(_write_prefix)
    finally:
        server.stop(None)


def _write_prefix(path: str) -> None:
    Path(path).write_text(sys.prefix)


def _subclasses(base: Any) -> Iterator[Any]:
    for one in base.__subclasses__():
        yield one
        yield from _subclasses(one)


def main(variant: str = "cpu") -> int:
    """Print what is wrong, a line each, or that all is well; the exit status."""
    quiet.set_environment()
    faults = package_faults(variant) or [*import_faults(), *worker_faults()]
    for fault in faults:
        click.echo(f"health: {fault}", err=True)
    if not faults:
        click.echo(
            f"health: {len(packages.installed())} packages as locked, all steps can be imported, a worker starts"
        )
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
