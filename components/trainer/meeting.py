"""Waits until all workers of a job can be reached. TensorFlow would wait itself: for an hour, silently."""

import json
import socket
import time
from collections.abc import Mapping
from typing import NamedTuple

VARIABLE = "TF_CONFIG"
JOBS = ("chief", "worker")
"""Kinds of tasks that train; the first one of the first kind is the chief."""
_PAUSE = 1.0
_PATIENCE = 5.0


class Cluster(NamedTuple):
    """The workers of a job as `host:port`, the chief first, and which one this is."""

    addresses: list[str]
    index: int  # type: ignore[assignment]  # over a method of tuples, which nobody calls


def cluster_of(environment: Mapping[str, str]) -> Cluster | None:
    """The cluster that `TF_CONFIG` describes; None where there is none.

    Raises:
        ValueError: for one that names no workers, other tasks than workers, or not which one this is.
    """
    text = environment.get(VARIABLE)
    if not text:
        return None
    try:
        config = json.loads(text)
        jobs, task = config["cluster"], config["task"]
        if not jobs or jobs.keys() - set(JOBS):
            raise ValueError
        tasks = [(job, index) for job in JOBS for index in range(len(jobs.get(job, ())))]
        index = tasks.index((task["type"], int(task["index"])))
        return Cluster([jobs[job][number] for job, number in tasks], index)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"`{VARIABLE}` should name the workers of the job, a chief among them or not, and which one this is. "
            f"Received: {text}."
        ) from error


def meet(cluster: Cluster, seconds: float) -> None:
    """Wait until every other worker's name is known and its port answers.

    Meanwhile this one's port answers too. It is free again afterwards, for TensorFlow.

    Raises:
        TimeoutError: naming the first worker that was not reached in time, and why.
    """
    end = time.monotonic() + seconds
    missing = [index for index in range(len(cluster.addresses)) if index != cluster.index]
    with _answering(_split(cluster.addresses[cluster.index])[1]):
        while missing:
            reasons = {index: _reason(cluster.addresses[index]) for index in missing}
            missing = [index for index in missing if reasons[index]]
            if missing and time.monotonic() > end:
                first = missing[0]
                raise TimeoutError(
                    f"Worker {first} should answer at {cluster.addresses[first]} within {seconds:g} s. "
                    f"Received: {reasons[first]}. {len(missing)} of {len(cluster.addresses)} workers are missing; "
                    "start the whole job again when they can run."
                )
            if missing:
                time.sleep(_PAUSE)


def _answering(port: int) -> socket.socket:
    # Nobody accepts: that a connection can be made is all that the others want to know.
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _reason(address: str) -> str:
    """Why a worker cannot be reached; "" if it can."""
    try:
        socket.create_connection(_split(address), _PATIENCE).close()
    except OSError as error:  # a name that is not known, too
        return str(error.strerror or error)
    return ""


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
