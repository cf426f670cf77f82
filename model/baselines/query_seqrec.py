"""Query-SeqRec: clicks and queries as one sequence (He et al., Query-Aware Sequential Recommendation, CIKM 2022)."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import keras
import numpy as np
import tensorflow as tf

from model.baselines.sequence import Embedded, EncoderConfig, SequenceRanker
from model.config import at_least
from model.contract import (
    CANDIDATES,
    FIRST_KNOWN_ID,
    PADDING_ID,
    REC_ITEMS,
    REC_TIMES,
    SEARCH_ITEMS,
    SEARCH_TIMES,
    SEARCH_WORDS,
)
from model.data.columns import Array
from model.layers.embeddings import EmbeddingTable, PositionEmbedding, take, take_mean
from model.layers.merged_history import merge
from model.layers.transformer import Norm, TransformerEncoder, causal
from model.ops.dropout import Dropout
from model.ops.seeds import next_seed
from model.ops.shapes import shaped, sizes
from model.ranker import Batch

if TYPE_CHECKING:
    from model.data.timelines import Timelines

EPSILON = 1e-8
"""Of layer normalisation, as in the authors' code."""


@dataclasses.dataclass(frozen=True)
class QuerySeqRecConfig(EncoderConfig):
    """Shape of Query-SeqRec; see `EncoderConfig`.

    The authors' settings differ between their two sets, Diginetica and Unsplash: dropout .6 and 0, a share of replaced
    inputs of .25 and .1, of neighbours among their replacements of .2 and .3.

    Attributes:
        replace_rate: share of the clicks, of the items clicked in searches and of the queries that a training step
            replaces by others.
        neighbour_rate: share of the replaced items whose replacement was clicked under the same query, where there is
            one; the others are replaced by any item.
        neighbours: how many items that were clicked under the same queries are known of an item, at the most.
    """

    kind: Literal["query_seqrec"] = "query_seqrec"
    num_heads: int = 2
    norm: Norm = "query"
    activation: Literal["relu", "gelu"] = "relu"
    dropout: float = 0.6
    replace_rate: float = 0.1
    neighbour_rate: float = 0.2
    neighbours: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "replace_rate", "neighbour_rate")
        at_least(self, 1, "neighbours")
        for name in ("replace_rate", "neighbour_rate"):
            if getattr(self, name) > 1:
                raise ValueError(f"`{name}` should be at most 1. Received: {getattr(self, name)}.")


@keras.saving.register_keras_serializable(package="lcr_ser")
class QuerySeqRec(SequenceRanker):
    """Query-SeqRec: the inner product of an item with the last state of a causal Transformer over clicks and searches.

    | in the paper | here |
    |---|---|
    | query-aware sequence | both histories in the order of time; a search is its query, then what was clicked in it |
    | a token | an item's embedding or the mean of a query's words, plus that of its type and of its position |
    | encoder | SASRec's, 2 blocks of 2 heads |
    | training | cross-entropy of the next item over all items |
    | augmentation by a graph of queries and items | a share of the inputs is replaced, some items by a neighbour |

    Items and words are two tables, which is the authors' one table with the words behind the items.

    Departures. A search has two places in the sequence whatever was clicked: the items clicked under one query are one
    token, their mean, so that the length of a sequence is known. A training row is one clicked item, predicted from
    the newest place, not every place before an item; items clicked in searches are read, and are no targets. Positions
    count from the newest event back. A user without an event has a learned state, which the paper's data does not
    know. Attention and feed-forward network have one residual sum each, as in SASRec: the authors' released code leaves
    out that of attention and takes the other one twice. Of a query that is replaced the other one is any of the batch:
    queries that lead to the same item are not looked for, as they would be a table of all queries of the log. Of an
    item no more neighbours are known than `neighbours`; of several workers each knows those of its own part of the log.

    Args:
        config: the model's shape.
        tables: layers of the item and word tables to share with another model; None makes new ones.
    """

    inputs: ClassVar[tuple[str, ...]] = (REC_ITEMS, SEARCH_WORDS, SEARCH_ITEMS, REC_TIMES, SEARCH_TIMES)
    config_class = QuerySeqRecConfig
    config: QuerySeqRecConfig

    def __init__(
        self, config: QuerySeqRecConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(config, tables and tables[:1], **kwargs)
        dtype = self.dtype_policy
        self.words = tables[1] if tables else EmbeddingTable(config.num_words, config.dim, dtype=dtype, name="words")
        self.types = self.add_weight(name="types", shape=(2, config.dim), initializer="glorot_normal")
        self.positions = PositionEmbedding(config.rec_length + 2 * config.search_length, config.dim, dtype=dtype)
        self.drop = Dropout(config.dropout, dtype=dtype)
        self.encoder = TransformerEncoder(**config.encoder_options(), epsilon=EPSILON, dtype=dtype)
        self.draws = keras.random.SeedGenerator()
        # No weights: nothing but a training step looks at them.
        self.neighbours = tf.zeros([config.num_items, config.neighbours], tf.int32)
        self.build()

    @property
    def tables(self) -> tuple[EmbeddingTable, ...]:
        """The layers of the tables of items and words."""
        return (self.items, self.words)

    def fit_counts(self, timelines: "Timelines", total: Callable[[Any], Any] = lambda counts: counts) -> None:
        """Count the clicks, where a sampled softmax asks for them, and note which items share queries."""
        super().fit_counts(timelines, total)
        config = self.config
        if config.replace_rate and config.neighbour_rate:
            found = clicked_together(timelines, config.num_items, config.words_per_search, config.neighbours)
            self.neighbours = tf.constant(found)

    def embed(self, batch: Batch) -> Embedded:
        """Look up clicks, searches and candidates, and put the events in their order.

        With candidates it is a batch of a training step: a share of its events is replaced.

        Returns:
            `rec` holds the tokens of both histories with the embeddings of their types, `[B, Lr + 2 Ls, d]`, `rec_mask`
            which are real; `rec_ids` the ids of those that are clicks, padding elsewhere.
        """
        clicks, words, clicked = batch[REC_ITEMS], batch[SEARCH_WORDS], batch[SEARCH_ITEMS]
        candidates = batch.get(CANDIDATES, clicks[:, :0])
        if CANDIDATES in batch and self.config.replace_rate:
            clicks, words, clicked = self.replaced(clicks, words, clicked)
        everything = self.config.whole_catalogue and CANDIDATES in batch
        catalogue = tf.range(self.config.num_items if everything else 0, dtype=clicks.dtype)
        items, texts = self.items(clicks, clicked, candidates, catalogue), self.words(words)
        clicks_at, clicked_at, candidates_at, catalogue_at = items.positions
        has_words, has_clicks = (tf.reduce_any(ids != PADDING_ID, 2) for ids in (words, clicked))
        times = batch[SEARCH_TIMES]
        mask = in_turns(has_words, has_clicks)
        merged = merge(batch[REC_TIMES], in_turns(times, times), clicks != PADDING_ID, mask)
        tokens = merged.take(
            take(items.rows, clicks_at),
            in_turns(take_mean(texts.rows, texts.positions[0], words), take_mean(items.rows, clicked_at, clicked)),
        )
        is_query = merged.take(tf.zeros_like(clicks, tf.bool), in_turns(has_words, tf.zeros_like(has_clicks)))
        return Embedded(
            rec=tokens + tf.where(is_query[..., None], self.types[1], self.types[0]),
            rec_ids=merged.take(clicks, tf.zeros_like(mask, clicks.dtype)),
            rec_mask=merged.mask,
            candidates=take(items.rows, candidates_at),
            candidate_ids=candidates,
            catalogue=take(items.rows, catalogue_at),
            rows=(items.rows, texts.rows),
        )

    def state(self, embedded: Embedded, training: bool = False) -> tf.Tensor:
        """The state of the newest token after all blocks, `[B, d]`."""
        states = self.drop(tf.cast(self.positions(embedded.rec), self.compute_dtype), training=training)
        return self.encoder(states, causal(embedded.rec_mask), training=training)[:, -1]

    def replaced(
        self, clicks: tf.Tensor, words: tf.Tensor, clicked: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Events of a batch, a share of them replaced by others: ids `[B, Lr]`, `[B, Ls, W]` and `[B, Ls, M]`."""
        of_clicks, of_words, of_clicked = tf.unstack(tf.random.split(next_seed(self.draws), 3))
        return (
            self._other_items(clicks, of_clicks),
            self._other_queries(words, of_words),
            self._other_items(clicked, of_clicked),
        )

    def _other_items(self, ids: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        config, shape = self.config, tf.shape(ids)
        seeds = tf.unstack(tf.random.split(seed, 4))
        chance, way, place = (tf.random.stateless_uniform(shape, one) for one in seeds[:3])
        end = max(config.num_items, FIRST_KNOWN_ID + 1)
        any_item = tf.random.stateless_uniform(shape, seeds[3], FIRST_KNOWN_ID, end, tf.int32)
        degrees = tf.math.count_nonzero(tf.gather(self.neighbours, ids), -1, dtype=tf.int32)
        at = tf.cast(place * tf.cast(degrees, place.dtype), tf.int32)
        near = tf.gather_nd(self.neighbours, tf.stack([ids, at], -1))
        others = tf.where((way < config.neighbour_rate) & (degrees > 0), near, any_item)
        return tf.where((chance < config.replace_rate) & (ids >= FIRST_KNOWN_ID), others, ids)

    def _other_queries(self, words: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        real = tf.reduce_any(words != PADDING_ID, 2)
        chance, draw = (
            tf.random.stateless_uniform(tf.shape(real), one) for one in tf.unstack(tf.random.split(seed, 2))
        )
        # One more place, for a batch without any.
        places = tf.concat([tf.where(tf.reshape(real, [-1]))[:, 0], [0]], 0)
        at = tf.cast(draw * tf.cast(tf.size(places) - 1, draw.dtype), tf.int32)
        others = tf.gather(tf.reshape(words, [-1, words.shape[2]]), tf.gather(places, at))
        return tf.where(((chance < self.config.replace_rate) & real)[..., None], others, words)


def in_turns(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Columns of `[B, L, ...]` and `[B, L, ...]` by turns, `[B, 2 L, ...]`."""
    batch, length, *rest = sizes(first)
    return shaped(tf.stack([first, second], 2), [batch, 2 * length, *rest])


def clicked_together(timelines: "Timelines", num_items: int, num_words: int, count: int) -> Array:
    """Of each item others that were clicked under the same queries, int32 `[num_items, count]`, padded with 0.

    Those with most queries in common come first. Of a query with more than `count + 1` items each is paired with the
    next `count` by their ids, so that the work is in proportion to the log. A query is its first `num_words` words,
    whoever asked it; one without a known word is none.
    """
    begins, ends = timelines.word_offsets[:-1, None], timelines.word_offsets[1:, None]
    at = begins + np.arange(num_words)
    words = np.append(timelines.search_words, PADDING_ID)[np.where(at < ends, at, -1)]
    _, queries = np.unique(words, axis=0, return_inverse=True)
    of_items = np.repeat(np.arange(len(words)), np.diff(timelines.item_offsets))
    items = timelines.search_items.astype(np.int64)
    kept = (items >= FIRST_KNOWN_ID) & np.any(words >= FIRST_KNOWN_ID, axis=1)[of_items]
    query, item = np.divmod(
        np.unique(queries.reshape(-1).astype(np.int64)[of_items[kept]] * num_items + items[kept]), num_items
    )
    begin = np.searchsorted(query, query)
    size = np.searchsorted(query, query, side="right") - begin
    place = np.arange(len(query)) - begin
    pairs = [
        item[more] * num_items + item[(begin + (place + step) % np.maximum(size, 1))[more]]
        for step in range(1, count + 1)
        for more in [size > step]
    ]
    codes, shared = np.unique(np.concatenate(pairs), return_counts=True)
    item, other = np.divmod(codes, num_items)
    order = np.lexsort((other, -shared, item))
    item, other = item[order], other[order]
    rank = np.arange(len(item)) - np.searchsorted(item, item)
    table = np.zeros((num_items, count), np.int32)
    table[item[rank < count], rank[rank < count]] = other[rank < count]
    return table
