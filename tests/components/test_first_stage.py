"""The first stage of a recommendation, against a sort of all inner products."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.servable import first_stage
from components.servable.first_stage import TableIndex


def best(table, query, left_out, k):
    """Ids of the best k known items that are not left out, best first."""
    scores = {item: float(table[item] @ query) for item in range(2, len(table)) if item not in left_out}
    return sorted(scores, key=scores.get, reverse=True)[:k]


@pytest.mark.parametrize("block", [1, 3, 4, 1000])
@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), items=st.integers(1, 12), k=st.integers(1, 15), left_out=st.integers(0, 6))
def test_the_best_items_are_found_in_blocks_too(block, seed, items, k, left_out):
    random = np.random.default_rng(seed)
    table = random.normal(size=(2 + items, 3)).astype(np.float32)
    table[:2] = 100.0  # padding and the unknown item, which nobody wants to be shown
    queries = random.normal(size=(4, 3)).astype(np.float32)
    out = random.integers(0, 2 + items, (4, left_out)).astype(np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_stage, "BLOCK", block)
        found = TableIndex(tf.Variable(table), k).search(tf.constant(queries), tf.constant(out)).numpy()
    assert found.shape == (4, k)
    for row, query, without in zip(found, queries, out, strict=True):
        right = best(table, query, set(without.tolist()), k)
        np.testing.assert_array_equal(row, right + [0] * (k - len(right)))


def test_the_table_is_not_copied():
    table = tf.Variable(tf.random.normal([50, 4]))
    index = TableIndex(table, 3)
    assert [variable is table for variable in index.variables] == [True]
    with pytest.raises(NotImplementedError, match="Make another one"):
        index.index(table)


def test_a_search_gathers_blocks_and_never_reads_the_table():
    """A read of a variable that was gathered from, as embeddings are, copies the whole of it."""
    table, nothing = tf.Variable(tf.random.normal([50, 4])), tf.zeros([1, 0], tf.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_stage, "BLOCK", 16)
        search = tf.function(lambda query: TableIndex(table, 3).search(query, nothing))
        graph = search.get_concrete_function(tf.TensorSpec([1, 4])).graph
    reads = [op for op in graph.get_operations() if table.handle.dtype in {one.dtype for one in op.inputs}]
    assert [op.type for op in reads] == ["ResourceGather"] * 3
