"""SplitAdam and SplitAdagrad against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.config import SupervisedConfig
from model.training.optimizers import SplitAdam, make_optimizer


def variables():
    rng = np.random.default_rng(0)
    return [keras.Variable(rng.normal(size=shape).astype("float32")) for shape in ((6, 3), (4, 2))]


def gradients(seed):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 6, 8)  # with repetitions
    return ids, rng.normal(size=(8, 3)).astype(np.float32), rng.normal(size=(4, 2)).astype(np.float32)


def take_steps(optimizer, seeds):
    for seed in seeds:
        ids, rows, dense = gradients(seed)
        optimizer.apply([tf.IndexedSlices(tf.constant(rows), tf.constant(ids)), tf.constant(dense)])


def adam(weight, first, second, gradient, step, rate=0.01):
    first[:] = 0.9 * first + 0.1 * gradient
    second[:] = 0.999 * second + 0.001 * gradient**2
    corrected = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    weight -= corrected * first / (np.sqrt(second) + 1e-7)


def test_steps_equal_numpy():
    table, dense = variables()
    wanted = [np.asarray(v, np.float64) for v in (table, dense)]
    first, second = ([np.zeros_like(w) for w in wanted] for _ in range(2))
    take_steps(SplitAdam([table], [dense], 0.01), range(5))
    for step in range(1, 6):
        ids, rows, gradient = gradients(step - 1)
        for row in np.unique(ids):
            adam(wanted[0][row], first[0][row], second[0][row], rows[ids == row].sum(0, dtype=np.float64), step)
        adam(wanted[1], first[1], second[1], gradient, step)
    np.testing.assert_allclose(table.numpy(), wanted[0], atol=1e-5)
    np.testing.assert_allclose(dense.numpy(), wanted[1], atol=1e-5)


def test_first_step_equals_keras_adam_without_repeated_rows():
    table, _ = variables()
    (other, _) = variables()
    ids, rows = tf.constant([4, 1]), tf.constant([[1.0, -2.0, 0.5], [0.1, 0.2, 0.3]])
    _, dense = variables()
    SplitAdam([table], [dense], 0.01).apply([tf.IndexedSlices(rows, ids), tf.zeros([4, 2])])
    adam_of_keras = keras.optimizers.Adam(0.01)
    adam_of_keras.apply([tf.convert_to_tensor(tf.IndexedSlices(rows, ids, [6, 3]))], [other])
    np.testing.assert_allclose(table.numpy(), other.numpy(), atol=1e-6)


def test_a_hundred_steps_of_dense_weights_equal_keras_adam():
    rng = np.random.default_rng(1)
    starts = [rng.normal(size=shape).astype(np.float32) for shape in ((4, 2), (3,), ())]
    ours, theirs = ([keras.Variable(start) for start in starts] for _ in range(2))
    optimizer, of_keras = SplitAdam([], ours, 1e-3), keras.optimizers.Adam(1e-3)
    for step in range(100):
        # Of very different sizes, so that epsilon counts in some.
        gradients = [tf.constant(rng.normal(size=one.shape) * 10.0 ** (step % 9 - 8), tf.float32) for one in starts]
        optimizer.apply(gradients)
        of_keras.apply(gradients, theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=0, atol=1e-6)


def test_rows_that_are_not_looked_up_do_not_move():
    table, dense = variables()
    before = table.numpy().copy()
    SplitAdam([table], [dense], 0.01).apply([tf.IndexedSlices(tf.ones([1, 3]), tf.constant([2])), tf.ones([4, 2])])
    changed = np.flatnonzero((table.numpy() != before).any(1))
    np.testing.assert_array_equal(changed, [2])


def test_checkpoint_restores_all_state(tmp_path):
    table, dense = variables()
    optimizer = SplitAdam([table], [dense], 0.01)
    take_steps(optimizer, range(3))
    path = tf.train.Checkpoint(weights=[table.value, dense.value], optimizer=optimizer).save(str(tmp_path / "c"))
    take_steps(optimizer, (3, 4))

    other_table, other_dense = variables()
    other = SplitAdam([other_table], [other_dense], 0.01)
    restored = tf.train.Checkpoint(weights=[other_table.value, other_dense.value], optimizer=other).restore(path)
    restored.assert_consumed()
    take_steps(other, (3, 4))
    np.testing.assert_array_equal(other_table.numpy(), table.numpy())
    np.testing.assert_array_equal(other_dense.numpy(), dense.numpy())


def test_dense_gradient_of_a_table_is_refused():
    table, dense = variables()
    with pytest.raises(ValueError, match="IndexedSlices"):
        SplitAdam([table], [dense], 0.01).apply([tf.ones([6, 3]), tf.ones([4, 2])])


def test_adagrad_equals_numpy_over_twenty_steps():
    table, dense = variables()
    wanted = [np.asarray(v, np.float64) for v in (table, dense)]
    squares = [np.zeros_like(one) for one in wanted]
    take_steps(make_optimizer("adagrad", [table], [dense], 0.1), range(20))
    for step in range(20):
        ids, rows, of_dense = gradients(step)
        of_table = np.zeros_like(wanted[0])
        np.add.at(of_table, ids, rows)  # a row that occurs twice is squared once
        for index, gradient in enumerate((of_table, of_dense.astype(np.float64))):
            squares[index] += gradient**2
            wanted[index] -= 0.1 * gradient / np.sqrt(squares[index] + 1e-6)
    np.testing.assert_allclose(table.numpy(), wanted[0], atol=1e-5)
    np.testing.assert_allclose(dense.numpy(), wanted[1], atol=1e-5)


def test_adagrad_leaves_other_rows_and_comes_back_from_a_checkpoint(tmp_path):
    table, dense = variables()
    before = table.numpy().copy()
    optimizer = make_optimizer("adagrad", [table], [dense], 0.1)
    optimizer.apply([tf.IndexedSlices(tf.ones([1, 3]), tf.constant([2])), tf.ones([4, 2])])
    np.testing.assert_array_equal(np.flatnonzero((table.numpy() != before).any(1)), [2])
    path = tf.train.Checkpoint(weights=[table.value, dense.value], optimizer=optimizer).save(str(tmp_path / "c"))
    take_steps(optimizer, (3, 4))

    other_table, other_dense = variables()
    other = make_optimizer("adagrad", [other_table], [other_dense], 0.1)
    restored = tf.train.Checkpoint(weights=[other_table.value, other_dense.value], optimizer=other).restore(path)
    restored.assert_consumed()
    take_steps(other, (3, 4))
    np.testing.assert_array_equal(other_table.numpy(), table.numpy())
    np.testing.assert_array_equal(other_dense.numpy(), dense.numpy())


def test_adam_is_the_default():
    assert type(make_optimizer(SupervisedConfig().optimizer, [], [], 0.1)) is SplitAdam
    with pytest.raises(ValueError, match="`optimizer` should be one of adam, adagrad. Received: 'sgd'."):
        SupervisedConfig(optimizer="sgd")
