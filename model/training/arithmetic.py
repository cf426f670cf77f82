"""The precision that a training computes in, and whether twice the same gives the same bits."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from model.config import Arithmetic


@contextlib.contextmanager
def computing(arithmetic: Arithmetic) -> Iterator[None]:
    """Models that are made inside compute as they should; afterwards it is as it was.

    Deterministic operations alone stay switched on: TensorFlow cannot switch them off in a process.
    """
    policy, tf32 = keras.config.dtype_policy(), tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(arithmetic.precision != "float32")
    if arithmetic.deterministic:
        tf.config.experimental.enable_op_determinism()
    try:
        keras.config.set_dtype_policy(
            "mixed_bfloat16" if arithmetic.precision == "mixed_bfloat16" else keras.config.floatx()
        )
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        tf.config.experimental.enable_tensor_float_32_execution(tf32)
