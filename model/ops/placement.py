"""Where what is not arithmetic runs."""

from collections.abc import Callable
from typing import Any, TypeVar

import tensorflow as tf

Value = TypeVar("Value")

HOST = "/CPU:0"
"""Ids and their bookkeeping stay on the host, where TensorFlow has kernels of all integers. On a GPU they would go back
and forth, operation by operation, as most kernels of int32 have their inputs and outputs in the host's memory."""


def on_host(function: Callable[..., Value]) -> Callable[..., Value]:
    """A function whose operations run on the host."""

    def run(*args: Any) -> Value:
        with tf.device(HOST):
            return function(*args)

    return run
