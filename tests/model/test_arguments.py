"""Layers that are used directly refuse what would otherwise fail late or not at all."""

import pytest
import tensorflow as tf

from model.layers.attention import ResidualAttention
from model.layers.embeddings import PositionEmbedding


def test_heads_have_to_divide_the_width():
    with pytest.raises(ValueError, match="`num_heads` should divide `dim`. Received: 3 and 8."):
        ResidualAttention(8, 3, dropout=0.0, post_norm=True)


def test_more_events_than_positions_are_refused():
    # One event too many would have been given the newest position for all, by broadcasting.
    with pytest.raises(ValueError, match="`events` should hold at most 3 columns. Received: 4."):
        PositionEmbedding(3, 2)(tf.zeros([1, 4, 2]))
