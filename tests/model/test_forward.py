"""The forward pass against a NumPy reference, and its invariances."""

import numpy as np
import pytest
import tensorflow as tf
from reference import Reference
from synthetic_logs import random_batch, randomise, small_config

from model.inputs import CANDIDATES, REC_ITEMS, SEARCH_ITEMS, SEARCH_WORDS, USER
from model.lcr_ser import LcrSer
from model.reasoning import Sides


def rows_of(batch):
    return [{name: value[row] for name, value in batch.items()} for row in range(len(batch[USER]))]


def tensors(batch):
    return {name: tf.constant(value) for name, value in batch.items()}


@pytest.fixture(scope="module")
def model():
    return randomise(LcrSer(small_config()))


@pytest.fixture(scope="module")
def batch():
    return random_batch(small_config())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"reasoning_steps": 0},
        {"reasoning_steps": 3, "num_heads": 4},
        {"post_norm": False},
        {"literal_eq5": True},
        {"mlp_units": ()},
    ],
    ids=str,
)
def test_logits_equal_the_reference(changes):
    config = small_config(**changes)
    model = randomise(LcrSer(config), seed=1)
    batch = random_batch(config, size=10, seed=2)
    expected = [Reference(model).logits(row) for row in rows_of(batch)]
    np.testing.assert_allclose(model(tensors(batch)), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("literal", [False, True])
def test_branch_without_cross_attention_equals_the_reference(batch, literal):
    model = randomise(LcrSer(small_config(literal_eq5=literal)))
    steps = model.reason(model.read(model.embed(tensors(batch))), cross=False)
    for row, request in enumerate(rows_of(batch)):
        *_, search, rec = Reference(model).reason(request, cross=False)
        np.testing.assert_allclose(steps.search[row, 0], search, atol=1e-5)
        np.testing.assert_allclose(steps.rec[row, 0], rec, atol=1e-5)


def test_trajectories_equal_single_passes(model, batch):
    rng = np.random.default_rng(3)
    noise = Sides(*rng.normal(size=(2, 5, 4, model.config.dim)).astype(np.float32))
    embedded = model.embed(tensors(batch))
    histories = model.read(embedded)
    logits = model.rank(embedded, histories, model.reason(histories, noise=noise))
    assert logits.shape == (5, 4, 7)
    for row, request in enumerate(rows_of(batch)):
        for n in range(4):
            expected = Reference(model).logits(request, (noise.search[row, n], noise.rec[row, n]))
            np.testing.assert_allclose(logits[row, n], expected, atol=1e-5, rtol=1e-5)


def test_call_equals_encode_and_score(model, batch):
    batch = tensors(batch)
    candidates = batch.pop(CANDIDATES)
    encoded = model.encode(batch)
    assert {name: (value.dtype, len(value)) for name, value in encoded.items()} == {
        name: (tf.float32, 5)
        for name in ("user", *(f"{side}_{kind}" for side in ("search", "rec") for kind in ("states", "mask", "steps")))
    }
    expected = model({**batch, CANDIDATES: candidates})
    np.testing.assert_allclose(model.score(encoded, candidates), expected, atol=1e-6)


def test_batch_equals_its_rows_one_by_one(model, batch):
    whole = model(tensors(batch))
    for row in range(5):
        alone = model(tensors({name: value[row : row + 1] for name, value in batch.items()}))
        np.testing.assert_allclose(alone[0], whole[row], atol=1e-5)


def test_order_of_candidates_changes_nothing(model, batch):
    order = np.random.default_rng(0).permutation(7)
    permuted = model(tensors({**batch, CANDIDATES: batch[CANDIDATES][:, order]}))
    np.testing.assert_allclose(permuted, model(tensors(batch)).numpy()[:, order], atol=1e-5)


def test_content_of_the_padding_row_changes_nothing(batch):
    model = randomise(LcrSer(small_config()))
    before = model(tensors(batch)).numpy()
    for layer in model.tables:
        layer.table.assign(tf.tensor_scatter_nd_update(layer.table.value, [[0]], [[1e3] * model.config.dim]))
    np.testing.assert_array_equal(model(tensors(batch)), before)


def test_events_under_the_mask_reach_nothing(model, batch):
    embedded = model.embed(tensors(batch))
    dirty = embedded._replace(
        search=tf.where(embedded.search_mask[..., None], embedded.search, 1e3),
        rec=tf.where(embedded.rec_mask[..., None], embedded.rec, -1e3),
    )
    clean_logits, dirty_logits = (
        model.rank(e, histories, model.reason(histories))
        for e, histories in ((embedded, model.read(embedded)), (dirty, model.read(dirty)))
    )
    np.testing.assert_allclose(dirty_logits, clean_logits, atol=1e-5)


def test_less_padding_changes_nothing(model):
    config = model.config
    batch = random_batch(config, size=2)
    batch[REC_ITEMS][:, :4] = 0
    batch[SEARCH_WORDS][:, :3] = 0
    batch[SEARCH_ITEMS][:, :3] = 0
    short = {
        **batch,
        REC_ITEMS: batch[REC_ITEMS][:, 4:],
        SEARCH_WORDS: batch[SEARCH_WORDS][:, 3:],
        SEARCH_ITEMS: batch[SEARCH_ITEMS][:, 3:],
    }
    np.testing.assert_allclose(model(tensors(short)), model(tensors(batch)), atol=1e-5)


@pytest.mark.parametrize("steps", [0, 2])
def test_empty_histories_give_finite_logits_and_gradients(steps):
    config = small_config(reasoning_steps=steps)
    model = randomise(LcrSer(config))
    batch = {name: np.zeros_like(value) for name, value in random_batch(config).items()}
    batch[CANDIDATES] += 3
    with tf.GradientTape() as tape:
        logits = model(tensors(batch))
    gradients = tape.gradient(logits, [v.value for v in model.dense_variables])
    assert np.isfinite(logits).all()
    assert all(np.isfinite(g).all() for g in gradients if g is not None)


def test_gradients_of_tables_are_sparse_over_distinct_rows(model, batch):
    with tf.GradientTape() as tape:
        logits = model(tensors(batch))
    items_used = np.unique(np.concatenate([batch[name].ravel() for name in (REC_ITEMS, SEARCH_ITEMS, CANDIDATES)]))
    gradients = tape.gradient(logits, [layer.table.value for layer in model.tables])
    assert all(isinstance(gradient, tf.IndexedSlices) for gradient in gradients)
    np.testing.assert_array_equal(np.sort(gradients[1].indices), items_used)


def test_gradient_of_a_table_equals_finite_differences(batch):
    model = randomise(LcrSer(small_config(post_norm=False)))
    table = model.words.table
    word = int(batch[SEARCH_WORDS].max())
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(model(tensors(batch))))
    gradient = tf.convert_to_tensor(tape.gradient(loss, table.value)).numpy()[word, 2]

    def loss_at(shift):
        changed = table.numpy()
        changed[word, 2] += shift
        table.assign(changed)
        value = sum(np.sin(Reference(model).logits(row)).sum() for row in rows_of(batch))
        changed[word, 2] -= shift
        table.assign(changed)
        return value

    assert gradient == pytest.approx((loss_at(1e-3) - loss_at(-1e-3)) / 2e-3, rel=2e-2, abs=1e-4)
