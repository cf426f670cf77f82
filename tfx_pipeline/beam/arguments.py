"""From the settings of an engine to Beam's arguments."""

import json
import os
import sys
from importlib import metadata
from pathlib import Path

from tfx_pipeline.beam_settings import BeamEngine

BOOT = Path(__file__).with_name("boot.py")
ENGINES = Path(__file__).resolve().parents[2] / "build" / "engine"

LOCAL = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"]
"""One process of Beam's in-memory runner: on a few cores the encoding gains nothing from more, and memory stays low.

The default runner would download another one first.
"""
NO_IMAGE = "--sdk_container_image=none"
"""TFX packs itself anew for the workers of every component, some seconds each, unless an image for them is named. Ours
have it installed, so any name does."""
_A_YEAR = 365 * 86_400
"""Of `--job_server_timeout`: Beam gives up a job that takes longer, too, not only a server that does not answer."""
_CACHE_MILLIS = 5_000
"""A worker outlives its task for so long and takes the next one. Flink's restart delay has to be longer than this: an
earlier try would be handed a worker that died."""


def beam_arguments(engine: BeamEngine) -> list[str]:
    """What Beam and TFX are told for an engine: filled in from its settings, then `args` as they are.

    They are part of the cache keys of the components, and so hold nothing that changes from run to run.
    """
    return [*_of_runner(engine), *_of_workers(engine), *engine.args]


def prism() -> Path:
    """Where Prism of the version of Beam is, once `make engine` has built it."""
    return ENGINES / f"prism-{metadata.version('apache-beam')}"


def _of_runner(engine: BeamEngine) -> list[str]:
    if engine.runner == "local":
        return LOCAL
    if engine.runner == "dataflow":
        return ["--runner=DataflowRunner"]
    patient = f"--job_server_timeout={_A_YEAR}"
    if engine.endpoint is None:
        return ["--runner=PrismRunner", f"--prism_location={prism()}", patient]
    kept = [f"--environment_cache_millis={_CACHE_MILLIS}"] if engine.runner in ("flink", "spark") else []
    return ["--runner=PortableRunner", f"--job_endpoint={engine.endpoint}", patient, *kept]


def _of_workers(engine: BeamEngine) -> list[str]:
    if engine.runner == "dataflow":
        return [f"--sdk_container_image={engine.image}"]
    return {
        None: [NO_IMAGE],
        "loopback": [NO_IMAGE, "--environment_type=LOOPBACK"],
        "process": [NO_IMAGE, "--environment_type=PROCESS", f"--environment_config={_boot()}"],
        "pool": [NO_IMAGE, "--environment_type=EXTERNAL", f"--environment_config={engine.worker_pool}"],
        "docker": [
            f"--sdk_container_image={engine.image}",
            "--environment_type=DOCKER",
            f"--environment_config={engine.image}",
        ],
    }[engine.chosen_workers]


def _boot() -> str:
    """What starts a worker, with the Python of this environment first on its path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])
    return json.dumps({"command": str(BOOT), "env": {"PATH": path}})
