"""USER: clicks and searches as one sequence, recommendation as a search without words (Yao et al., CIKM 2021)."""

import dataclasses
from typing import Any, Literal

import keras
import tensorflow as tf

from model.baselines.searching import Embedded, JointConfig, JointRanker
from model.config import at_least
from model.contract import REC_ITEMS, REC_TIMES, SEARCH_ITEMS, SEARCH_TIMES, SEARCH_WORDS
from model.layers.aggregation import TargetAttention
from model.layers.embeddings import EmbeddingTable, PositionEmbedding, take
from model.layers.merged_history import merge
from model.layers.mlp import Mlp
from model.layers.transformer import TransformerEncoder
from model.ops.dropout import Dropout
from model.ranker import State

EPSILON = 1e-5
"""Of layer normalisation."""
CLICK, SEARCH, INTENT = range(3)


@dataclasses.dataclass(frozen=True)
class UserConfig(JointConfig):
    """Shape of USER.

    Attributes:
        num_blocks: blocks of the Transformer.
        mlp_units: hidden widths of the scoring head.
    """

    kind: Literal["user_model"] = "user_model"
    num_blocks: int = 1
    mlp_units: tuple[int, ...] = (200, 80)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mlp_units", tuple(self.mlp_units))
        at_least(self, 1, "num_blocks")


@keras.saving.register_keras_serializable(package="lcr_ser")
class User(JointRanker):
    """USER over ids: the intent after all that a user clicked and searched for, compared with items.

    The paper's parts, and what stands for them:

    - Integrated sequence (`read`). Clicks and searches in the order of time; a click is its item, a search its query
      plus the mean of the items clicked in it. Each has an embedding of its type and one of its place.
    - Text encoder. Words and items are rows of tables, a query is the mean of its words.
    - Session and history encoder (`read`). The current intent is the last event: the query to be answered, or for a
      recommendation a learned token, the empty query. One Transformer over events and intent; what becomes of the
      intent is the need given the history.
    - Unified ranking (`rank`). An MLP over that state, bilinear attention of the candidate to the events, the
      candidate, and its product with the state.
    - Joint training. Binary cross-entropy of clicks, plus `search_weight` of that of items clicked in searches.

    Departures, as the paper is for texts and no code of it is public:

    - there is one sequence and one Transformer in place of a session's and a history's, as the logs know no sessions of
      recommendations; queries and clicked documents are summed instead of fused by co-attention;
    - the features of the ranking are vectors, not similarities of texts, and its loss is that of all models here;
    - the two tasks are not fine-tuned apart.

    Places count from the newest event back. A user without any event is the intent alone.

    Args:
        config: the model's shape.
        tables: layers of the item and word tables to share with another model; None makes new ones.
    """

    inputs = (REC_ITEMS, SEARCH_WORDS, SEARCH_ITEMS, REC_TIMES, SEARCH_TIMES)
    config_class = UserConfig
    config: UserConfig

    def __init__(self, config: UserConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(config, tables, **kwargs)
        dim, dropout, dtype = config.dim, config.dropout, self.dtype_policy
        self.types = self.add_weight(name="types", shape=(3, dim), initializer="glorot_normal")
        self.empty_query = self.add_weight(name="empty_query", shape=(dim,), initializer="glorot_normal")
        self.positions = PositionEmbedding(config.rec_length + config.search_length + 1, dim, dtype=dtype)
        self.drop = Dropout(dropout, dtype=dtype)
        self.encoder = TransformerEncoder(
            config.num_blocks, dim, config.num_heads, dropout, norm="post", epsilon=EPSILON, dtype=dtype
        )
        self.attention = TargetAttention(dim, dtype=dtype)
        self.head = Mlp(4 * dim, config.mlp_units, dropout, logit=True, dtype=dtype)
        self.build()

    def read(self, embedded: Embedded, training: bool = False) -> State:
        """The state of the intent, `[B, d]`, and of all events, clicks first, with their mask."""
        merged = merge(embedded.rec_times, embedded.search_times, embedded.rec_mask, embedded.search_mask)
        query = self.empty_query[None] if embedded.query is None else embedded.query
        parts = [
            embedded.rec + self.types[CLICK],
            embedded.searches + self.types[SEARCH],
            tf.broadcast_to(query, tf.shape(embedded.rec[:, 0]))[:, None] + self.types[INTENT],
        ]
        events = tf.concat(parts, 1)
        # A Transformer does not mind in what order its places stand: each event keeps its column, and gets the
        # position that it has in the merged sequence. The intent is newer than all of them.
        positions = tf.cast(self.positions(tf.zeros([1, events.shape[1], self.config.dim]))[0], events.dtype)
        places = tf.concat([merged.places, tf.fill(tf.shape(merged.places[:, :1]), events.shape[1] - 1)], 1)
        events = tf.cast(events + take(positions, places), self.compute_dtype)
        mask = tf.concat([embedded.rec_mask, embedded.search_mask], 1)
        seen = tf.concat([mask, tf.ones_like(mask[:, :1])], 1)[:, None]
        states = self.encoder(self.drop(events, training=training), seen, training=training)
        return {"intent": states[:, -1], "events": states[:, :-1], "mask": tf.cast(mask, states.dtype)}

    def rank(self, state: State, candidates: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits `[B, C]`."""
        candidates, intent, events = (
            tf.cast(one, self.compute_dtype) for one in (candidates, state["intent"], state["events"])
        )
        interest = self.attention.of_history(candidates, events, state["mask"] > 0)
        intent = intent[:, None]
        parts = [tf.broadcast_to(one, tf.shape(interest)) for one in (intent, candidates, intent * candidates)]
        return self.head(tf.concat([interest, *parts], 2), training=training)
