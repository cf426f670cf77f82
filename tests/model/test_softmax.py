"""Cross-entropies over the catalogue, and the merged history, against plain computations."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from model.layers.merged_history import merge
from model.objectives.softmax import (
    catalogue_logits,
    catalogue_loss,
    contrastive_softmax_loss,
    draw_frequency,
    sampled_logits,
    sampled_loss,
)
from tests.support.random_logs import FIRST_TIME

RNG = np.random.default_rng(5)


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def test_padding_and_the_unknown_item_are_no_classes_where_nothing_becomes_unknown():
    logits = RNG.normal(size=(3, 7))
    found = catalogue_loss(tf.constant(logits), tf.constant([2, 6, 4]), 0.0).numpy()
    np.testing.assert_allclose(found, -log_softmax(logits[:, 2:])[[0, 1, 2], [0, 4, 2]])
    of_unknown = catalogue_loss(tf.constant(logits[:1]), tf.constant([1]), 0.0).numpy()
    np.testing.assert_allclose(of_unknown, -log_softmax(logits[:1, 1:])[:, 0])


def gradient_of_the_unknown(logits, rate):
    """Of a known target, which a step replaces with the probability `rate`: the mean of its loss' gradient."""
    shares = tf.constant([1 - rate, rate], tf.float64)
    both = tf.Variable(np.stack([logits, logits]))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(shares * catalogue_loss(both, tf.constant([4, 1]), rate))
    return tf.convert_to_tensor(tape.gradient(loss, both)).numpy().sum(0)[1]


@pytest.mark.parametrize("rate", [0.01, 0.3])
def test_the_unknown_item_has_average_odds_at_the_optimum(rate):
    """It stands for any of the 5 known items: nothing pulls at it where its odds are the mean of theirs."""
    logits = RNG.normal(size=7)
    average = np.log(np.exp(logits[2:]).mean())
    pulls = [gradient_of_the_unknown(np.array([*logits[:1], at, *logits[2:]]), rate) for at in average + [-1, 0, 1]]
    assert pulls[0] < 0 < pulls[2]
    np.testing.assert_allclose(pulls[1], 0, atol=1e-12)


def test_classes_are_weighed_as_if_each_was_replaced():
    logits, rate = RNG.normal(size=7), 0.2
    sums = [np.where(RNG.random(5) < rate, np.exp(logits[1]), np.exp(logits[2:])).sum() for _ in range(20_000)]
    [found] = catalogue_logits(tf.constant(logits[None]), tf.constant([3]), rate).numpy()
    assert found[0] < -1e8
    np.testing.assert_allclose((1 - rate) * np.exp(found[1:]).sum(), np.mean(sums), rtol=0.01)


@pytest.mark.parametrize("by_popularity", [True, False])
def test_draws_that_became_unknown_are_corrected_for_what_they_were(by_popularity):
    """The sum of exp(o) / q over draws has the mean of that over the catalogue, each item replaced as often."""
    clicks, rate, draws = np.array([0.0, 0, 90, 5, 4, 1]), 0.2, 400_000
    odds = np.exp(RNG.normal(size=6))
    frequency = clicks[2:] / clicks.sum() if by_popularity else np.full(4, 0.25)
    drawn = RNG.choice(np.arange(2, 6), draws, p=frequency)
    drawn = np.where(RNG.random(draws) < rate, 1, drawn)
    found = draw_frequency(tf.constant(drawn), tf.constant(clicks), by_popularity=by_popularity).numpy()
    expected = (1 - rate) * odds[2:].sum() + rate * 4 * odds[1]
    np.testing.assert_allclose((odds[drawn] / found).mean(), expected, rtol=0.02)


def sampled_softmax_loss(*args, **kwargs):
    return sampled_loss(sampled_logits(*args, **kwargs))


def mean_gradient(sign, draws, repeats):
    """Of a row's logits over 50 items of skewed frequency: sampled, and over all of them."""
    items, logits = 50, tf.constant(RNG.normal(size=50), tf.float32)
    target = 3
    frequency = 1.0 / np.arange(1, items + 1)
    frequency = frequency / frequency.sum()
    full = np.exp(log_softmax(logits.numpy()))
    full[target] -= 1

    @tf.function
    def gradient(drawn):
        own = tf.gather(tf.constant(frequency, tf.float32), drawn)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = sampled_softmax_loss(
                logits[target][None],
                tf.gather(logits, drawn)[None],
                targets=tf.constant([target]),
                drawn=drawn,
                # `sign` -1 adds the log of the expected count instead of subtracting it.
                frequency=own if sign > 0 else 1 / (own * draws**2),
                valid=tf.ones(draws),
            )
        return tf.convert_to_tensor(tape.gradient(loss, logits))

    found = [
        gradient(tf.constant(RNG.choice(items, draws, p=frequency).astype(np.int32))).numpy() for _ in range(repeats)
    ]
    return np.mean(found, 0), full


def test_the_sampled_softmax_has_the_gradient_of_the_whole_one():
    found, full = mean_gradient(1, 2000, 200)
    np.testing.assert_allclose(found, full, atol=0.003)
    wrong, full = mean_gradient(-1, 2000, 50)
    assert np.abs(wrong - full).max() > 0.05


def test_a_draw_that_hits_the_target_or_is_not_valid_does_not_count():
    logits, drawn = RNG.normal(size=(2, 4)), np.array([5, 7, 5, 9], np.int32)
    positive, valid, frequency = RNG.normal(size=2), np.array([1.0, 1, 1, 0]), np.array([0.1, 0.2, 0.1, 0.3])
    found = sampled_softmax_loss(
        *map(tf.constant, (positive, logits)),
        targets=tf.constant([7, 5]),
        drawn=tf.constant(drawn),
        frequency=tf.constant(frequency),
        valid=tf.constant(valid),
    ).numpy()
    for row, target in enumerate((7, 5)):
        counted = [j for j in range(4) if valid[j] and drawn[j] != target]
        sum_of_all = np.exp(positive[row]) + sum(np.exp(logits[row, j]) / (3 * frequency[j]) for j in counted)
        np.testing.assert_allclose(found[row], np.log(sum_of_all) - positive[row])


@pytest.mark.parametrize("with_same", [False, True])
def test_in_batch_contrast(with_same):
    a, b = RNG.normal(size=(2, 4, 3))
    same = np.zeros((4, 4), bool)
    same[0, 2] = same[2, 0] = with_same
    expected = []
    for row in range(4):
        kept = [j for j in range(4) if j == row or not same[row, j]]
        logits = np.array([a[row] @ b[j] / 0.2 for j in kept])
        expected.append(-log_softmax(logits)[kept.index(row)])
    found = contrastive_softmax_loss(*map(tf.constant, (a, b)), 0.2, same=tf.constant(same))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=5), st.lists(st.integers(0, 3), max_size=5))
def test_histories_are_merged_as_a_sort_would(clicks, searches):
    """Times a millisecond apart, that float32 holds for one; of equal ones the click is first."""
    clicks, searches = sorted(clicks), sorted(searches)

    def padded(values):
        times = np.array([0] * (6 - len(values)) + [FIRST_TIME + value for value in values])[None]
        return tf.constant(times), tf.constant(times > 0)

    (rec, rec_mask), (search, search_mask) = padded(clicks), padded(searches)
    merged = merge(rec, search, rec_mask, search_mask)
    expected = sorted([(t, 0, n) for n, t in enumerate(clicks)] + [(t, 1, n) for n, t in enumerate(searches)])
    columns = [6 * side + 6 - len((clicks, searches)[side]) + n for _, side, n in expected]
    count = len(expected)
    assert merged.mask.numpy()[0].tolist() == [False] * (12 - count) + [True] * count
    assert merged.order.numpy()[0, 12 - count :].tolist() == columns
    assert merged.is_search.numpy()[0].tolist() == [False] * (12 - count) + [bool(side) for _, side, _ in expected]
    taken = merged.take(rec, search).numpy()[0, 12 - count :]
    assert taken.tolist() == [FIRST_TIME + t for t, *_ in expected]
