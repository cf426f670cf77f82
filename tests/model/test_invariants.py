"""What must not change the scores: padding, batching, order, compilation, and a seed used twice."""

import functools
import hashlib

import numpy as np
import pytest
import tensorflow as tf

from model.config import SupervisedConfig
from model.contract import CANDIDATES, REC_ITEMS, SEARCH_ITEMS, SEARCH_WORDS
from model.lcr_ser import LcrSer
from model.training import supervised
from tests.support.random_logs import random_batch, random_logs, random_model, randomise, small_config, tensors
from tests.support.reference import aggregation, embedding, encoding, scoring
from tests.support.reference_weights import requests_of, variables_of, weights_of

SWITCHES = pytest.mark.parametrize(
    "changes",
    [{}, {"reasoning_steps": 0}, {"literal_eq5": True, "post_norm": False, "aggregation": "mean"}],
    ids=str,
)


@pytest.fixture(scope="module")
def batch():
    return random_batch(small_config())


def logits_of(model, embedded):
    """What the model does with a batch once its tables are looked up."""
    histories = model.read(embedded)
    return model.rank(embedded, histories, model.reason(histories))


def compare(ours, expected, tolerance=1e-6):
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)


@SWITCHES
def test_what_lies_under_padding_reaches_nothing(batch, changes):
    """Any mask, also one that hides the newest column or events between others."""
    model, rng = random_model(**changes), np.random.default_rng(0)
    embedded = model.embed(tensors(batch))
    search_mask, rec_mask = rng.random((5, 5)) < 0.6, rng.random((5, 6)) < 0.6
    search_mask[0, -1] = rec_mask[1, -1] = search_mask[2] = rec_mask[3] = False
    results = []
    for junk in (0.0, 1e3):
        results.append(
            logits_of(
                model,
                embedded._replace(
                    search=tf.where(search_mask[..., None], embedded.search, junk),
                    rec=tf.where(rec_mask[..., None], embedded.rec, -junk),
                    search_mask=tf.constant(search_mask),
                    rec_mask=tf.constant(rec_mask),
                ),
            )
        )
    compare(*results)


def test_content_of_the_padding_row_reaches_nothing(batch):
    """Neither the logits nor the rows that Eq. (12) penalises."""
    model = randomise(LcrSer(small_config()))
    before = model(tensors(batch)), *model.embed(tensors(batch)).rows
    for layer in model.tables:
        layer.table.assign(tf.tensor_scatter_nd_update(layer.table.value, [[0]], [[1e3] * model.config.dim]))
    after = model(tensors(batch)), *model.embed(tensors(batch)).rows
    for ours, expected in zip(after, before, strict=True):
        np.testing.assert_array_equal(ours, expected)


@SWITCHES
def test_longer_padding_changes_nothing(changes):
    model = random_model(**changes)
    batch = random_batch(model.config, size=2)
    batch[REC_ITEMS][:, :4] = 0
    batch[SEARCH_WORDS][:, :3] = 0
    batch[SEARCH_ITEMS][:, :3] = 0
    short = {
        **batch,
        REC_ITEMS: batch[REC_ITEMS][:, 4:],
        SEARCH_WORDS: batch[SEARCH_WORDS][:, 3:],
        SEARCH_ITEMS: batch[SEARCH_ITEMS][:, 3:],
    }
    compare(model(tensors(batch)), model(tensors(short)))


def test_order_of_words_and_of_clicks_within_a_search_changes_nothing(batch):
    model = random_model()
    turned = {**batch, **{name: batch[name][..., ::-1] for name in (SEARCH_WORDS, SEARCH_ITEMS)}}
    compare(model(tensors(turned)), model(tensors(batch)))


@SWITCHES
def test_candidates_in_another_order_have_the_same_logits(batch, changes):
    model, order = random_model(**changes), np.random.default_rng(1).permutation(7)
    permuted = model(tensors({**batch, CANDIDATES: batch[CANDIDATES][:, order]}))
    compare(permuted, model(tensors(batch)).numpy()[:, order])


@SWITCHES
def test_batch_equals_its_rows_one_by_one(batch, changes):
    model = random_model(**changes)
    alone = [model(tensors({name: value[[row]] for name, value in batch.items()}))[0] for row in range(5)]
    compare(alone, model(tensors(batch)))


def test_call_equals_encode_and_score(batch):
    model = random_model()
    history = tensors(batch)
    candidates = history.pop(CANDIDATES)
    encoded = model.encode(history)
    assert {name: (value.dtype, len(value)) for name, value in encoded.items()} == {
        name: (tf.float32, 5)
        for name in ("user", *(f"{side}_{kind}" for side in ("search", "rec") for kind in ("states", "mask", "steps")))
    }
    compare(model.score(encoded, model.prepare(candidates)), model(tensors(batch)))


def test_without_steps_the_model_is_its_encoders(batch):
    """K = 0: the logits follow from H alone, and no weight of the reasoning exists."""
    model = random_model(reasoning_steps=0)
    weights, config = weights_of(model), model.config
    assert not [name for name in variables_of(model) if "mca" in name or "steps" in name or "empty" in name]
    assert len(model.trainable_variables) == len(variables_of(model))
    expected = []
    for request in requests_of(batch):
        events = {
            "search": embedding.search_events(weights, request["searches"]),
            "rec": embedding.rec_events(weights, request["clicks"]),
        }
        for item in request["candidates"]:
            candidate = weights["items"][item]
            pooled = [
                aggregation.attend_to_target(
                    weights[f"{side}/att"],
                    encoding.encode(weights, side, of_side, config.num_heads, config.post_norm),
                    candidate,
                )
                for side, of_side in events.items()
            ]
            expected.append(scoring.score(weights, weights["users"][request["user"]], *pooled, candidate))
    compare(model(tensors(batch)), np.reshape(expected, [5, 7]), tolerance=1e-5)


@pytest.mark.slow
def test_compiled_model_equals_the_eager_model(batch):
    """As a graph whole; by XLA what follows the lookups, whose shapes depend on the ids."""
    model = random_model(reasoning_steps=1)
    eager = model(tensors(batch))
    compare(tf.function(model, autograph=False)(tensors(batch)), eager)
    compiled = tf.function(functools.partial(logits_of, model), jit_compile=True, autograph=False)
    compare(compiled(model.embed(tensors(batch))._replace(rows=()))[:, 0], eager, tolerance=1e-5)


@pytest.mark.slow
def test_same_seed_gives_the_same_weights(tmp_path):
    """To the bit, on a CPU: initial weights, dropout, shuffling and negatives all hang on the seed."""
    config = SupervisedConfig(batch_size=32, num_negatives=2, max_epochs=1)
    digests = []
    tf.config.run_functions_eagerly(True)
    try:
        for run in "ab":
            model = supervised.train(
                small_config(dropout=0.1, reasoning_steps=1),
                config,
                *random_logs(users=6),
                checkpoint_dir=str(tmp_path / run),
                log_dir=str(tmp_path / run),
            )
            weights = b"".join(variable.numpy().tobytes() for variable in model.trainable_variables)
            digests.append(hashlib.sha256(weights).hexdigest())
    finally:
        tf.config.run_functions_eagerly(False)
    assert digests[0] == digests[1]
