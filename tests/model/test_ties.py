"""Items that the model cannot tell apart tie, whatever column they stand in."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from model.contract import CANDIDATES, UNKNOWN_ID
from model.evaluation.evaluator import RankingEvaluator
from model.lcr_ser import LcrSer
from model.objectives.ties import tie_unknown
from tests.support.random_logs import random_batch, random_logs, randomise, small_config, tensors

# No subnormal numbers: TensorFlow's kernels take them for zero, on some threads and in some versions.
LOGITS = st.floats(-5, 5, width=32, allow_subnormal=False)


@given(st.lists(st.tuples(st.integers(0, 3), LOGITS), max_size=9))
def test_unknown_candidates_share_the_largest_of_their_logits(pairs):
    ids, logits = ([pair[part] for pair in pairs] for part in (0, 1))
    ties = tie_unknown(tf.constant([logits], tf.float32), tf.constant([ids], tf.int32))[0].numpy()
    of_unknown = [logit for one, logit in pairs if one == UNKNOWN_ID]
    expected = [max(of_unknown) if one == UNKNOWN_ID else logit for one, logit in pairs]
    np.testing.assert_array_equal(ties, np.float32(expected))


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 101, 102, 103])
def test_logits_of_unknown_candidates_are_equal_to_the_bit(count):
    """Products of matrices round their last columns otherwise than the rest."""
    config = small_config(dim=64)
    model, batch = randomise(LcrSer(config)), tensors(random_batch(config))
    ids = np.random.default_rng(0).integers(UNKNOWN_ID, config.num_items, (batch["user"].shape[0], count))
    ids[:, -2:] = ids[:, 0] = UNKNOWN_ID
    batch[CANDIDATES] = tf.constant(ids, tf.int32)
    for logits in (model(batch), model.score(model.encode(batch), model.prepare(batch[CANDIDATES]))):
        for row, unknown in zip(logits.numpy(), ids == UNKNOWN_ID, strict=True):
            assert len(set(row[unknown])) == 1


@pytest.mark.slow
def test_an_unknown_positive_ranks_behind_all_other_unknown_items():
    _, requests = random_logs(users=40)
    requests.candidates[:] = UNKNOWN_ID
    ranks = RankingEvaluator(randomise(LcrSer(small_config())), requests, batch_size=8).ranks()
    np.testing.assert_array_equal(ranks, requests.candidates.shape[1])
