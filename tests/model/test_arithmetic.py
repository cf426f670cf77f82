"""The precision of a training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.config import Arithmetic, SupervisedConfig
from model.training import supervised
from model.training.arithmetic import computing
from tests.support.random_logs import random_logs, small_config


def used():
    return keras.config.dtype_policy().name, tf.config.experimental.tensor_float_32_execution_enabled()


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("float32", ("float32", False)), ("tf32", ("float32", True)), ("mixed_bfloat16", ("mixed_bfloat16", True))],
)
def test_a_precision_is_for_a_training_alone(precision, expected):
    before = used()
    with computing(Arithmetic(precision=precision)):
        assert used() == expected
    with pytest.raises(RuntimeError), computing(Arithmetic(precision=precision)):
        raise RuntimeError
    assert used() == before


def test_another_precision_is_refused():
    with pytest.raises(ValueError, match="`precision` should be one of float32, tf32, mixed_bfloat16. Received: 'f16'"):
        Arithmetic(precision="f16")


@pytest.mark.slow
def test_a_training_in_bfloat16_has_weights_of_float32_and_learns(tmp_path):
    logs, requests = random_logs(users=12)
    config = SupervisedConfig(batch_size=16, max_epochs=2)
    folders = {"checkpoint_dir": str(tmp_path / "checkpoints"), "log_dir": str(tmp_path / "logs")}
    with computing(Arithmetic(precision="mixed_bfloat16")):
        model = supervised.train(small_config(), config, logs, requests, **folders)
    assert model.compute_dtype == "bfloat16"
    assert {weight.dtype for weight in model.weights if "seed" not in weight.path} == {"float32"}
    rows = (tmp_path / "logs" / "supervised.csv").read_text().splitlines()
    column = rows[0].split(",").index("loss")
    losses = np.array([row.split(",")[column] for row in rows[1:]], float)
    assert losses[-1] < losses[0]
