"""The machine under a benchmark: its rate in matrix products, and how TensorFlow may use it."""

import argparse
import os
import platform
from typing import Any

import tensorflow as tf

from benchmarks.timing import time_in_turns

SIZE = 2048


def parse(description: str | None, rounds: int) -> argparse.Namespace:
    """Read the arguments that all benchmarks share, and limit TensorFlow to so many threads."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="0 leaves it to TensorFlow")
    parser.add_argument("--rounds", type=int, default=rounds, help="timed calls of everything")
    parser.add_argument("--jit", action="store_true", help="compile our training steps with XLA")
    args = parser.parse_args()
    tf.get_logger().setLevel("ERROR")
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    return args


def describe(threads: int) -> dict[str, Any]:
    """Processor, threads, TensorFlow, accelerators, and GFLOP/s of a product of two large matrices in float32."""
    one, other = tf.random.normal([SIZE, SIZE]), tf.random.normal([SIZE, SIZE])
    multiply = tf.function(lambda: tf.reduce_sum(tf.matmul(one, other)))
    timing = time_in_turns({"product": lambda: float(multiply())}, rounds=10)["product"]
    with open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "tensorflow": tf.__version__,
        "accelerators": [device.name for device in tf.config.list_physical_devices("GPU")],
        "matmul_gflops": round(2 * SIZE**3 / timing.median / 1e9, 1),
        "matmul_gflops_best": round(2 * SIZE**3 / timing.fastest / 1e9, 1),
    }
