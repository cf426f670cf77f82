"""NRHUB: attention over three kinds of behaviour, each for itself (Wu et al., EMNLP-IJCNLP 2019)."""

import dataclasses
from typing import Any, ClassVar, Literal, NamedTuple

import keras
import tensorflow as tf

from model.baselines.searching import SearchRanker, SearchReaderConfig
from model.config import at_least
from model.contract import CANDIDATES, PADDING_ID, REC_ITEMS, SEARCH_ITEMS, SEARCH_WORDS
from model.layers.embeddings import EmbeddingTable, take, take_mean
from model.ops.dropout import Dropout
from model.ops.linear import Linear
from model.ops.softmax_attention import MASKED_LOGIT
from model.ranker import Batch, State

VIEWS = ("queries", "clicked", "browsed")


@dataclasses.dataclass(frozen=True)
class NrhubConfig(SearchReaderConfig):
    """Shape of NRHUB, with the authors' defaults where they do not depend on the data.

    Attributes:
        units: width of the attention over the records of a view, and of the vectors of views, users and items.
        view_units: width of the attention over views.
    """

    kind: Literal["nrhub"] = "nrhub"
    dropout: float = 0.2
    units: int = 200
    view_units: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "units", "view_units")


class Embedded(NamedTuple):
    """A batch after its lookups.

    Attributes:
        queries: of each search the mean of its words, `[B, Ls, d]`.
        clicked: items clicked in searches, each a record of its own, `[B, Ls M, d]`.
        browsed: items clicked in recommendations, `[B, Lr, d]`.
        queries_mask, clicked_mask, browsed_mask: True for a real record, `[B, Ls]`, `[B, Ls M]` and `[B, Lr]`.
        candidates: `[B, C, d]`; C is 0 for a batch without candidates.
        candidate_ids: `[B, C]`.
        rows: the distinct rows looked up in the tables of items and words, `[U, d]` each.
    """

    queries: tf.Tensor
    clicked: tf.Tensor
    browsed: tf.Tensor
    queries_mask: tf.Tensor
    clicked_mask: tf.Tensor
    browsed_mask: tf.Tensor
    candidates: tf.Tensor
    candidate_ids: tf.Tensor
    rows: tuple[tf.Tensor, ...]


@keras.saving.register_keras_serializable(package="lcr_ser")
class AdditiveAttention(keras.layers.Layer):
    """softmax(v^T tanh(W x + b)) over vectors x, and their sum with these weights; they have no order.

    Args:
        dim: width of x.
        units: rows of W.
    """

    def __init__(self, dim: int, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim, self.units = dim, units
        self.hidden = Linear(units, activation="tanh", dtype=self.dtype_policy)

    def build(self, input_shape: Any = None) -> None:
        """Create W, b and v."""
        self.hidden.build((None, None, self.dim))
        self.vector = self.add_weight(name="vector", shape=(self.units,), initializer="glorot_normal")

    def call(self, vectors: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """`[B, L, dim]` gives `[B, dim]`.

        Args:
            vectors: x.
            mask: True where there is one, `[B, L]`; where there is none at all, all count the same.
        """
        # In float32 or finer, as every softmax.
        logits = tf.cast(tf.linalg.matvec(self.hidden(vectors), self.vector), self.variable_dtype)
        weights = tf.nn.softmax(tf.where(mask, logits, MASKED_LOGIT))
        return tf.einsum("bl,bld->bd", tf.cast(weights, vectors.dtype), vectors)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "dim": self.dim, "units": self.units}


@keras.saving.register_keras_serializable(package="lcr_ser")
class Nrhub(SearchRanker):
    """NRHUB: the inner product of a user, attended together from three views, and an item; the order says nothing.

    | in the paper | here |
    |---|---|
    | views of a user | queries, items clicked in searches, items browsed, which are those recommended and clicked |
    | record-level attention | in each view softmax(v^T tanh(W x + b)) over its records, and their sum |
    | view-level attention | the same over the three views, after a dense tanh layer |
    | click prediction | the inner product of the user with an item after a dense tanh layer of its own |

    Departures. The paper's records are texts, which a CNN and an attention over words encode; here an item is its
    embedding and a query the mean of its words' (the form in which later work on search and recommendation compares
    with it), so that the data need no text. The loss is the binary cross-entropy, as in these comparisons, not a
    softmax over a target and four negatives. A view without a record takes no part in the attention over views, and a
    user without any has a learned vector: the paper's data knows neither.

    Args:
        config: the model's shape.
        tables: layers of the item and word tables to share with another model; None makes new ones.
    """

    inputs: ClassVar[tuple[str, ...]] = (REC_ITEMS, SEARCH_WORDS, SEARCH_ITEMS)
    config_class = NrhubConfig
    config: NrhubConfig

    def __init__(self, config: NrhubConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(config, tables, **kwargs)
        dtype = self.dtype_policy
        for view in VIEWS:
            setattr(self, f"over_{view}", AdditiveAttention(config.dim, config.units, dtype=dtype))
        self.of_views = Linear(config.units, activation="tanh", dtype=dtype)
        self.of_items = Linear(config.units, activation="tanh", dtype=dtype)
        self.over_views = AdditiveAttention(config.units, config.view_units, dtype=dtype)
        self.drop = Dropout(config.dropout, dtype=dtype)
        self.newcomer = self.add_weight(name="newcomer", shape=(config.units,), initializer="zeros")
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Create every variable."""
        for layer in (self.of_views, self.of_items):
            layer.build((None, None, self.config.dim))
        super().build(input_shape)

    def embed(self, batch: Batch) -> Embedded:
        """Look up the records of all views and the candidates."""
        clicks, words, clicked = batch[REC_ITEMS], batch[SEARCH_WORDS], batch[SEARCH_ITEMS]
        clicked = tf.reshape(clicked, [-1, clicked.shape[1] * clicked.shape[2]])
        candidates = batch.get(CANDIDATES, clicks[:, :0])
        items, texts = self.items(clicks, clicked, candidates), self.words(words)
        clicks_at, clicked_at, candidates_at = items.positions
        return Embedded(
            queries=take_mean(texts.rows, texts.positions[0], words),
            clicked=take(items.rows, clicked_at),
            browsed=take(items.rows, clicks_at),
            queries_mask=tf.reduce_any(words != PADDING_ID, 2),
            clicked_mask=clicked != PADDING_ID,
            browsed_mask=clicks != PADDING_ID,
            candidates=take(items.rows, candidates_at),
            candidate_ids=candidates,
            rows=(items.rows, texts.rows),
        )

    def read(self, embedded: Embedded, training: bool = False) -> State:
        """The user, `[B, units]`."""
        views, present = [], []
        for view in VIEWS:
            records, mask = getattr(embedded, view), getattr(embedded, f"{view}_mask")
            records = self.drop(tf.cast(records, self.compute_dtype), training=training)
            views.append(getattr(self, f"over_{view}")(records, mask))
            present.append(tf.reduce_any(mask, 1))
        mask = tf.stack(present, 1)
        user = tf.cast(self.over_views(self.of_views(tf.stack(views, 1)), mask), self.variable_dtype)
        return {"user": tf.where(tf.reduce_any(mask, 1, keepdims=True), user, self.newcomer)}

    def represent(self, items: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Vectors of items, `[..., units]`."""
        items = self.drop(tf.cast(items, self.compute_dtype), training=training)
        return tf.cast(self.of_items(items), self.variable_dtype)

    def rank(self, state: State, candidates: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Inner products, `[B, C]`."""
        return tf.linalg.matvec(candidates, state["user"])
