"""JSR: two small networks, of searches and of recommendations, over the same items (Zamani and Croft, DESIRES 2018)."""

import dataclasses
from typing import Any, ClassVar, Literal, NamedTuple

import keras
import tensorflow as tf

from model.baselines.searching import JointRanker, SearchLearnerConfig
from model.baselines.sequence import PairScore
from model.contract import CANDIDATES, PADDING_ID, QUERY, USER
from model.layers.embeddings import EmbeddingTable, take
from model.ops.softmax_attention import MASKED_LOGIT
from model.ranker import Batch, State


@dataclasses.dataclass(frozen=True)
class JsrConfig(SearchLearnerConfig):
    """Shape of JSR; the paper tunes it on its data, and gives no values to take over.

    Attributes:
        mlp_units: hidden widths of both networks.
    """

    kind: Literal["jsr"] = "jsr"
    mlp_units: tuple[int, ...] = (200, 80)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mlp_units", tuple(self.mlp_units))
        if any(units < 1 for units in self.mlp_units):
            raise ValueError(f"`mlp_units` should be widths of at least 1. Received: {list(self.mlp_units)}.")


class Embedded(NamedTuple):
    """A batch after its lookups.

    Attributes:
        user: e_u, `[B, d]`; None of a batch of searches.
        query: of a batch of searches e_q, `[B, d]`; else None.
        candidates: `[B, C, d]`; C is 0 for a batch without candidates.
        candidate_ids: `[B, C]`.
        rows: the distinct rows looked up in each table, `[U, d]` each.
    """

    user: tf.Tensor | None
    query: tf.Tensor | None
    candidates: tf.Tensor
    candidate_ids: tf.Tensor
    rows: tuple[tf.Tensor, ...]


@keras.saving.register_keras_serializable(package="lcr_ser")
class WordWeights(EmbeddingTable):
    """How much each word counts, one number each; at first all count the same.

    They are rows of a table, so that a warm start takes them to where their words are now.

    Args:
        num_rows: words, ids 0 (padding) and 1 (unknown) included.
    """

    def __init__(self, num_rows: int, dim: int = 1, **kwargs: Any) -> None:
        super().__init__(num_rows, dim, **kwargs)

    def build(self, input_shape: Any = None) -> None:
        """Create the numbers."""
        self.table = self.add_weight(name="table", shape=(self.num_rows, 1), initializer="zeros", autocast=False)


@keras.saving.register_keras_serializable(package="lcr_ser")
class ProductScore(PairScore):
    """An MLP over the product of two vectors, element by element."""

    parts = 1

    def features(self, state: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """The product, `[B, C, d]`."""
        return state * items


@keras.saving.register_keras_serializable(package="lcr_ser")
class Jsr(JointRanker):
    """JSR: an item is compared with the user by one network, and with the query of a search by another.

    | in the paper | here |
    |---|---|
    | representation of a query | e_q, the mean of its words, weighted by a softmax of a learned number each |
    | retrieval component | FC([e_q * e_v]), ReLU between the layers |
    | recommendation component | FC([e_u * e_v]) of its own weights, of the same items |
    | joint loss | cross-entropy of clicks, and `search_weight` times that of searches, with sampled negatives |

    A history says nothing to it: a request is its user.

    Departures. The paper's items are their descriptions, encoded as queries are; here they are ids, for the log has no
    descriptions. A step takes both losses together instead of one after the other, with the weight that models of
    searches and recommendations have in common. A search without words gives the zero vector: from it the items cannot
    be told apart, and only the biases learn.

    Args:
        config: the model's shape.
        tables: layers of the user, item and word tables and of the words' weights to share with another model; None
            makes new ones.
    """

    inputs: ClassVar[tuple[str, ...]] = (USER,)
    config_class = JsrConfig
    config: JsrConfig

    def __init__(self, config: JsrConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(config, tables and tables[:3], **kwargs)
        dtype = self.dtype_policy
        self.word_weights = tables[3] if tables else WordWeights(config.num_words, dtype=dtype, name="words")
        self.of_users = ProductScore(config.dim, config.mlp_units, config.dropout, dtype=dtype)
        self.of_queries = ProductScore(config.dim, config.mlp_units, config.dropout, dtype=dtype)
        self.build()

    @property
    def tables(self) -> tuple[EmbeddingTable, ...]:
        """The layers of the tables of users, items and words, and of the words' weights."""
        return (*super().tables, self.word_weights)

    def embed(self, batch: Batch) -> Embedded:
        """Look up candidates, and users, or of a batch of searches their queries."""
        candidates = batch.get(CANDIDATES, batch[USER][:, None][:, :0])
        items = self.items(candidates)
        rows: tuple[tf.Tensor, ...]
        user = query = None
        if QUERY in batch:
            asked = batch[QUERY]
            texts, numbers = self.words(asked), self.word_weights(asked)
            query = weighted_mean(
                take(texts.rows, texts.positions[0]), take(numbers.rows, numbers.positions[0])[..., 0], asked
            )
            rows = (items.rows, texts.rows, numbers.rows)
        else:
            users = self.users(batch[USER])
            user, rows = take(users.rows, users.positions[0]), (users.rows, items.rows)
        return Embedded(user, query, take(items.rows, items.positions[0]), candidates, rows)

    def read(self, embedded: Embedded, training: bool = False) -> State:
        """e_u, or of a search e_q, `[B, d]`."""
        return {"user": embedded.user} if embedded.query is None else {"query": embedded.query}

    def rank(self, state: State, candidates: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits `[B, C]` of the network that the state is for."""
        if "query" in state:
            return self.of_queries(state["query"], candidates, training=training)
        return self.of_users(state["user"], candidates, training=training)


def weighted_mean(words: tf.Tensor, logits: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """Mean of words `[B, W, d]` weighted by a softmax of `logits` `[B, W]`, without those whose ids are padding.

    Where all are, it is their mean, which is zero.
    """
    weights = tf.nn.softmax(tf.where(ids != PADDING_ID, logits, MASKED_LOGIT))
    return tf.einsum("bw,bwd->bd", weights, words)
