"""The head that finds candidates: what it minimises, what it starts from, and that it is nobody else's business."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from model.config import LcrSerConfig, SupervisedConfig
from model.data.windows import RequestWindows
from model.evaluation.retrieval import first_stage_recall
from model.lcr_ser import LcrSer
from model.objectives.losses import retrieval_loss
from model.registry import make_config, make_ranker
from model.training import supervised
from tests.support.random_logs import random_logs, randomise

SHAPE = {
    "num_users": 64, "num_items": 42, "num_words": 12, "dim": 4, "rec_length": 5, "search_length": 3,
    "words_per_search": 2, "items_per_search": 2,
}  # fmt: skip


def test_the_loss_is_a_softmax_over_the_negatives_of_all_rows():
    random = np.random.default_rng(0)
    queries, candidates = random.normal(size=(3, 4)), random.normal(size=(3, 3, 4))
    places = np.array([[0, 1, 2], [3, 0, 4], [5, 6, 1]])
    weights = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1]])
    found = []
    for row, query in enumerate(queries):
        others = [
            candidates[other, column] @ query
            for other in range(3)
            for column in (1, 2)
            if weights[other, column] and places[other, column] != places[row, 0]
        ]
        target = candidates[row, 0] @ query
        found.append(-np.log(np.exp(target) / np.exp([target, *others]).sum()))
    loss = retrieval_loss(*map(tf.constant, (queries, candidates, places, weights)))
    np.testing.assert_allclose(loss, np.mean(found), rtol=1e-12)


@pytest.mark.parametrize("steps", [0, 2])
def test_an_untrained_query_is_the_sum_of_what_both_histories_came_to(steps):
    _, requests = random_logs()
    model = LcrSer(LcrSerConfig(**SHAPE, reasoning_steps=steps, retrieval=True))
    state = model.encode(RequestWindows(requests, model.config)(tf.range(8))[0])
    sides = []
    for side in ("search", "rec"):
        states, mask = state[f"{side}_states"].numpy(), state[f"{side}_mask"].numpy()
        mean = (states * mask[..., None]).sum(1) / np.maximum(mask.sum(1), 1)[:, None]
        sides.append(state[f"{side}_steps"].numpy()[:, -1] if steps else mean)
    np.testing.assert_allclose(model.query(state), sides[0] + sides[1], rtol=1e-5, atol=1e-6)


@pytest.mark.long
@pytest.mark.slow
def test_no_other_weight_moves_for_its_sake(tmp_path):
    timelines, requests = random_logs()
    config = SupervisedConfig(batch_size=16, max_steps=6, max_epochs=3, l2_weight=1e-3, tcl_stop_gradient="both")
    models = {
        retrieval: supervised.train(
            LcrSerConfig(**SHAPE, retrieval=retrieval),
            config,
            timelines,
            requests,
            checkpoint_dir=str(tmp_path / f"{retrieval}"),
            log_dir=str(tmp_path / f"{retrieval}-logs"),
        )
        for retrieval in (False, True)
    }
    without, beside = ([variable.numpy() for variable in model.trainable_variables] for model in models.values())
    for values, right in zip(beside, without, strict=False):
        # Not to the bit: TensorFlow fuses other operations where a result is read twice.
        np.testing.assert_allclose(values, right, rtol=1e-5, atol=1e-7)
    kernel, bias = beside[len(without) :]
    start = LcrSer(LcrSerConfig(**SHAPE, retrieval=True)).retrieval
    assert np.abs(kernel - start.kernel).max() > 1e-4
    assert np.abs(bias - start.bias).max() > 1e-4


@pytest.mark.parametrize("kind", ["lcr_ser", "sasrec"])
def test_recall_is_that_of_a_sort_of_everything(kind):
    _, requests = random_logs()
    model = randomise(make_ranker(make_config({**SHAPE, "kind": kind, "retrieval": True})))
    rows = np.arange(0, len(requests), 3)
    found = first_stage_recall(model, requests, rows, k=4, found=(2, 7, 500))
    state = model.encode(RequestWindows(requests, model.config, model.inputs)(tf.constant(rows, tf.int32))[0])
    items = np.arange(2, SHAPE["num_items"])
    ranked = items[np.argsort(-model.score(state, model.prepare(tf.constant(items[None], tf.int32))).numpy(), 1)]
    first = items[np.argsort(-(model.query(state).numpy() @ model.item_vectors.numpy()[2:].T), 1)]
    for size, share in found.items():
        right = [np.isin(best[:4], candidates[:size]).mean() for best, candidates in zip(ranked, first, strict=True)]
        np.testing.assert_allclose(share, np.mean(right), atol=1e-9)
    assert found[500] == 1
    assert found[7] == {"sasrec": 1}.get(kind, found[7])  # which is an inner product itself


def test_a_model_that_does_not_retrieve_has_no_vectors():
    config = LcrSerConfig(**SHAPE)
    assert LcrSer(config).item_vectors is None
    assert LcrSer(dataclasses.replace(config, retrieval=True)).item_vectors is not None
