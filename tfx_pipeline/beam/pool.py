"""A pool that starts workers for an engine: `python -m tfx_pipeline.beam.pool --port 50000`

It is Beam's own, on the loopback interface alone unless told otherwise: whoever reaches it can run code here.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tfx_pipeline.console import quiet

LOOPBACK = "localhost"


def main() -> None:
    """Serve until interrupted."""
    quiet.set_environment()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=50_000)
    parser.add_argument("--host", default=LOOPBACK, help="0.0.0.0 for engines on other machines, in a network of yours")
    arguments = parser.parse_args()
    # The pool starts `python`, which is to be this one, and finds the project where this one does.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.getenv("PYTHONPATH")]))
    from apache_beam.runners.worker import worker_pool_main

    with pools_on(arguments.host):
        worker_pool_main.main([f"--service_port={arguments.port}"])


@contextlib.contextmanager
def pools_on(host: str) -> Iterator[None]:
    """Within the context, pools of workers listen on an interface; Beam's, LOOPBACK's included, listen on all."""
    from apache_beam.runners.worker import worker_pool_main

    grpc = worker_pool_main.grpc

    def server(*args: Any, **options: Any) -> Any:
        made = grpc.server(*args, **options)
        add = made.add_insecure_port
        made.add_insecure_port = lambda address: add(address.replace("[::]", host))
        return made

    worker_pool_main.grpc = SimpleNamespace(server=server)
    try:
        yield
    finally:
        worker_pool_main.grpc = grpc


if __name__ == "__main__":
    main()
