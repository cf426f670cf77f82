"""Runs a compiled pipeline in real containers with kfp's own local runner.

It is a program of its own, since line A's lock holds a kfp without one: `python kfp_local.py SPEC ROOT USER CACHE
DIRECTORY...` prints one JSON object, the outputs of steps that kfp counts as the pipeline's, and ends with 1 where a
step failed. DIRECTORY is mounted under its own name.
"""

import json
import sys

import docker
import yaml
from kfp import components, local

_run = docker.models.containers.ContainerCollection.run
_wait = docker.models.containers.Container.wait


def _kept(self, *args, auto_remove, **options):
    """Keep a container until kfp has asked how it ended: of one that is gone already it takes it that all went well."""
    return _run(self, *args, **options)


def _removed(self, **options):
    ended = _wait(self, **options)
    self.remove()
    return ended


docker.models.containers.ContainerCollection.run = _kept
docker.models.containers.Container.wait = _removed


def main(spec: str, root: str, user: str, cache: str, *directories: str) -> None:
    mounts = [docker.types.Mount(target=path, source=path, type="bind", read_only=False) for path in directories]
    runner = local.DockerRunner(mounts=mounts, user=user, network_mode="none", environment={"OMP_NUM_THREADS": "2"})
    local.init(runner=runner, pipeline_root=root, enable_caching=cache == "cached", cache_root=f"{root}/.cache")
    with open(spec) as file:
        [document, *_] = yaml.safe_load_all(file)
    done = components.load_component_from_text(yaml.safe_dump(document))()
    print(json.dumps({name: str(output) for name, output in done.outputs.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
