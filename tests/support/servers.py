"""Servers as processes: ours for development, and a real TensorFlow Serving where there is one."""

import contextlib
import shutil
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.pusher.manifest import MANIFEST_FILE, Facts, Manifest, file_table
from components.servable_check.requests import rank_inputs
from components.servable_check.session import SessionModel
from serving.client import RankingClient, RankRequest, Search
from serving.warmup import write_warm_up
from tests.support.checkable_servable import example
from tests.support.deployed import BINARY, DEPLOY, MISSING, NAME, running
from tests.support.small_servable import SmallServable

DEVELOPMENT, TF_SERVING = "development server", "TensorFlow Serving"
needs_tf_serving = pytest.mark.skipif(BINARY is None, reason=MISSING)
KINDS = [DEVELOPMENT, pytest.param(TF_SERVING, marks=needs_tf_serving)]
REQUEST = RankRequest("u1", ["a", "b", "c", "d"], ["b"], [Search(["red"], ["c"])])


def free_ports():
    """Ports of loopback that nobody listens on."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        yield port


@contextlib.contextmanager
def serving(kind, model_dir, port, folder, flags=(), before=()):
    """A server of the versions in `model_dir`, or of those that a `--model_config_file` in `flags` names; its process.

    The flags are those that both servers know. `before` is a command that runs another.
    """
    common = [f"--port={port}", "--file_system_poll_wait_seconds=1", *flags]
    if not any(flag.startswith("--model_config_file=") for flag in flags):
        common += [f"--model_base_path={model_dir}", f"--model_name={NAME}"]
    if kind == TF_SERVING:
        command = [BINARY, *common, "--grpc_max_threads=64", "--max_num_load_retries=0"]
        command += ["--enable_batching", f"--batching_parameters_file={DEPLOY / 'batching.config'}"]
    else:
        command = [sys.executable, "-m", "serving.dev_server", *common]
    with (
        (folder / f"{port}.log").open("w") as log,
        running([*before, *command], log, {"TF_ENABLE_ONEDNN_OPTS": "0"}) as process,
    ):
        yield process


def client_of(port, **kwargs):
    return RankingClient(f"127.0.0.1:{port}", NAME, **kwargs)


def write_version(source, target, seed):
    """A copy of a version with another item table, published at once: the graph is the same, its scores are not."""
    staged = Path(f"{target}.staged")
    shutil.copytree(source, staged)
    prefix = staged / "variables" / "variables"
    reader = tf.train.load_checkpoint(str(prefix))
    # The graph's saver names one more tensor: the object graph, which is kept as it is.
    names = sorted(reader.get_variable_to_shape_map())
    tensors = [reader.get_tensor(name) for name in names]
    [items] = [at for at, name in enumerate(names) if "items/table/" in name and "VARIABLE_VALUE" in name]
    tensors[items] = tensors[items] + tf.random.stateless_normal(tensors[items].shape, [seed, 0], stddev=0.3).numpy()
    shutil.rmtree(prefix.parent)
    prefix.parent.mkdir()
    tf.raw_ops.SaveV2(
        prefix=f"{prefix}.part",
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(tensor) for tensor in tensors],
    )
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=[f"{prefix}.part"], destination_prefix=str(prefix))
    staged.rename(target)


class Built:
    """Two models, version 1 and another one, and the scores that each gives `REQUEST`."""

    def __init__(self, folder):
        self.first, self.second = folder / "first", folder / "second"
        SmallServable(folder).save(self.first)
        write_warm_up(str(self.first), NAME)
        write_version(self.first, self.second, 7)
        self._scores = []
        for path in (self.first, self.second):
            with SessionModel(str(path)) as model:
                call = rank_inputs([example("u1", ["b"], [(["red"], ["c"])], ["a", "b", "c", "d"])])
                self._scores.append(model.signatures["rank"](**call)["scores"][0])
        assert np.abs(self._scores[0] - self._scores[1]).max() > 1e-2

    def publish(self, folder, version):
        """As the Pusher does, with a manifest. Odd versions are the first model, even ones the second."""
        staged = folder / f"staged-{version}"
        shutil.copytree(self.first if version % 2 else self.second, staged)
        manifest = Manifest(version, "m", 1.5, file_table(staged), Facts({"ndcg@5": 0.5}, "data", "code"))
        (staged / MANIFEST_FILE).write_text(manifest.to_json())
        staged.rename(folder / str(version))

    def right(self, answer):
        """Whether the scores are those of the version that says it answered."""
        expected = dict(zip("abcd", self._scores[answer.version % 2 == 0], strict=True))
        return all(abs(row.score - expected[row.item]) < 1e-4 for row in answer.candidates)


class Asking:
    """Clients that ask the same, one call after the other, until they are stopped."""

    def __init__(self, built, connect, clients=4):
        self.failures, self.versions, self.wrong = [], [[] for _ in range(clients)], []
        self.seconds: list[tuple[float, float]] = []  # when a call ended, and how long it took
        self._built, self._connect, self._stop = built, connect, threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(seen,)) for seen in self.versions]

    def _ask(self, seen):
        with self._connect() as client:
            while not self._stop.is_set():
                begin = time.monotonic()
                try:
                    answer = client.rank(REQUEST)
                except Exception as error:
                    self.failures.append(error)
                    continue
                self.seconds.append((time.monotonic(), time.monotonic() - begin))
                seen.append(answer.version)
                if not self._built.right(answer):
                    self.wrong.append(answer)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
