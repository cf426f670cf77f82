"""Servers as processes: ours for development, and a real TensorFlow Serving where there is one."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import tensorflow as tf

from serving.client import RankingClient, RankingError
from tests.support.workspace import ROOT

DEVELOPMENT, TF_SERVING = "development server", "TensorFlow Serving"
BINARY = shutil.which("tensorflow_model_server")
MISSING = "no tensorflow_model_server is on the PATH, and no image of it can be pulled here"
NAME = "lcr"
BATCHING = ROOT / "serving" / "deploy" / "batching.config"


@contextlib.contextmanager
def serving(kind, model_dir, port, folder, batching=True):
    """A server of the versions in `model_dir`; gives its process."""
    common = [f"--model_base_path={model_dir}", f"--model_name={NAME}", f"--port={port}"]
    common.append("--file_system_poll_wait_seconds=1")
    if kind == TF_SERVING:
        command = [BINARY, *common, "--grpc_max_threads=64", "--max_num_load_retries=0"]
        if batching:
            command += ["--enable_batching", f"--batching_parameters_file={BATCHING}"]
    else:
        command = [sys.executable, "-m", "serving.dev_server", *common]
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    with (folder / f"{port}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(30)


def wait_for(client, version, seconds=120):
    """Until a version is available."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(RankingError):
            if any(one.version == version and one.state == "AVAILABLE" for one in client.status()):
                return
        time.sleep(0.05)
    raise AssertionError(f"version {version} was not available within {seconds} s")


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
