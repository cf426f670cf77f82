"""The plain model is the same function as ours, so that a ratio of their speeds means something."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.config import LcrSerConfig, SupervisedConfig
from model.contract import CANDIDATES
from model.data.targets import TargetOrder
from model.data.windows import TargetWindows
from model.lcr_ser import LcrSer
from model.plain import PlainLcrSer
from model.training import supervised
from model.training.optimizers import SplitAdam
from tests.support.full_histories import random_timelines
from tests.support.plain_step import make_plain_step
from tests.support.plain_weights import copy_weights


@pytest.mark.long
@pytest.mark.slow
def test_losses_of_200_steps_are_equal():
    """With the contrastive loss and L2; without dropout, as each has random numbers of its own.

    The same Adam for both, with an epsilon above the rounding errors of gradients: it would blow them up otherwise.
    The first weights are seeded: of eight drawings three put a ReLU so near its kink that rounding alone made the
    first 20 losses differ by up to 4e-5. These keep 2e-6.
    """
    keras.utils.set_random_seed(3)
    shape = LcrSerConfig(num_users=40, num_items=200, num_words=50, dim=16, dropout=0.0)
    config = SupervisedConfig(learning_rate=1e-3, l2_weight=1e-3, batch_size=32)
    timelines = random_timelines(shape, users=32, targets_per_user=4)
    model, plain = LcrSer(shape), PlainLcrSer(shape)
    batch, clicked = TargetWindows(timelines, shape)(tf.constant(timelines.targets[:2]))
    plain({**batch, CANDIDATES: clicked[:, None]})
    copy_weights(model, plain)

    tables = [layer.embeddings for layer in (plain.users, plain.items, plain.words)]
    known = {id(table) for table in tables}
    dense = [variable for variable in plain.trainable_variables if id(variable) not in known]
    theirs = SplitAdam(tables, dense, config.learning_rate, epsilon=1e-4)

    def apply(gradients, variables):
        found = {id(variable): gradient for variable, gradient in zip(variables, gradients, strict=True)}
        theirs.apply([found[id(variable)] for variable in (*tables, *dense)])

    ours = SplitAdam([layer.table for layer in model.tables], model.dense_variables, config.learning_rate, epsilon=1e-4)
    steps = [
        supervised.make_step(model, ours, config, timelines),
        make_plain_step(plain, config, timelines, apply),
    ]
    order = TargetOrder(timelines.targets, config.batch_size, config.seed)
    losses = np.array(
        [
            [float(step(tf.constant(number, tf.int64), tf.constant(order.batch(number)))["loss"]) for step in steps]
            for number in range(200)
        ]
    )
    assert losses[-1, 0] < 0.95 * losses[0, 0]
    np.testing.assert_allclose(losses[:20, 0], losses[:20, 1], rtol=1e-5)
    # Rounding errors grow from step to step: the kinks of ReLU and of the contrastive loss, and Adam's quotients.
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=3e-3)
