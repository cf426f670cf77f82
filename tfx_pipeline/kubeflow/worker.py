"""One worker of a training on several machines: `python -m tfx_pipeline.kubeflow.worker ORDER ...`.

ORDER is a folder that a step of the pipeline hands its work over in (`components.trainer.orders`). All workers run the
same command; which one this is, is in `TF_CONFIG`. A TFJob of Kubeflow sets it. A TrainJob of Kubeflow Trainer v2
knows no TensorFlow: there it is made from what its policy for Torch tells every pod.
"""

import argparse
import json
import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence

from tfx_pipeline.console import quiet

TF_CONFIG = "TF_CONFIG"
NODES, RANK, FIRST, PORT = "PET_NNODES", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"
"""How many pods, which one this is, the name of the first one, and the port: what a TrainJob tells."""
INDEX = "JOB_COMPLETION_INDEX"
"""Which pod this is, where Kubernetes alone tells it: every Indexed Job."""
_FIRST = re.compile(r"(?P<pod>.+-)0(?P<service>\..+)")
"""`JOB-node-0-0.JOB`: JobSet counts pods at the end of their names, and a headless service has the job's name."""


def tf_config(environment: Mapping[str, str]) -> str:
    """What `TF_CONFIG` should be: as it is where it is set, or made from what a TrainJob tells a pod.

    Raises:
        ValueError: if neither is there, or the parts do not fit.
    """
    if given := environment.get(TF_CONFIG):
        return given
    first = _FIRST.fullmatch(environment.get(FIRST, ""))
    nodes, port = environment.get(NODES, ""), environment.get(PORT, "")
    rank = environment.get(RANK) or environment.get(INDEX, "")
    if not first or not nodes.isdecimal() or not port.isdecimal() or not rank.isdecimal() or int(rank) >= int(nodes):
        told = {name: environment[name] for name in (NODES, RANK, INDEX, FIRST, PORT) if name in environment}
        raise ValueError(
            f"A worker should be told by {TF_CONFIG}, or by {NODES}, {RANK}, {FIRST} and {PORT}, which of the workers "
            f"it is. Received: {told or 'none of them'}. A TFJob sets the first, a TrainJob whose runtime has "
            "`mlPolicy.torch` the others."
        )
    addresses = [f"{first['pod']}{index}{first['service']}:{port}" for index in range(int(nodes))]
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": int(rank)}})


def run(folders: Sequence[str], wait_seconds: float, environment: MutableMapping[str, str]) -> None:
    """Carry out orders, one after the other, as one of their workers.

    Raises:
        ValueError, TimeoutError, ConnectionError, OSError, FloatingPointError: with what to do, in one line.
    """
    environment[TF_CONFIG] = tf_config(environment)
    from components.trainer import orders, run_fn
    from components.trainer.meeting import cluster_of

    cluster = cluster_of(environment)
    chief = cluster is not None and cluster.index == 0
    stages = {"supervised": run_fn.supervised_run_fn, "grpo": run_fn.grpo_run_fn}
    for folder in folders:
        new = orders.carry_out(folder, stages, chief, wait_seconds)
        logging.info("%s has been carried out%s.", folder, "" if new else " before")


def main(arguments: list[str] | None = None) -> None:
    """Carry out the orders of the command line; a worker that cannot go on ends with one line, and status 1."""
    parser = argparse.ArgumentParser(prog="python -m tfx_pipeline.kubeflow.worker", description=__doc__)
    parser.add_argument("order", nargs="+", help="folders: <checkpoints>/orders/supervised, <checkpoints>/orders/grpo")
    parser.add_argument("--wait-seconds", type=float, default=600, help="until an order must be there")
    given = parser.parse_args(arguments)
    quiet.set_environment()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for library in ("tensorflow", "absl"):  # they tell of every sum and every save
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        run(given.order, given.wait_seconds, os.environ)
    except (ValueError, OSError, FloatingPointError) as error:
        logging.debug("The worker ends.", exc_info=True)
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
