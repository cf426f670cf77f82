"""What models of recommendation alone have in common: clicks in, one state out, compared with items."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from model.config import RankerConfig, SupervisedConfig, at_least, check_dropout, check_heads, one_of
from model.contract import CANDIDATES, FIRST_KNOWN_ID, PADDING_ID, REC_ITEMS
from model.layers.embeddings import EmbeddingTable, take
from model.layers.mlp import Mlp
from model.layers.transformer import Norm
from model.objectives.losses import recommendation_loss
from model.objectives.softmax import catalogue_logits, catalogue_loss, draw_frequency, sampled_logits, sampled_loss
from model.objectives.ties import tie_unknown
from model.ops.softmax_attention import MASKED_LOGIT
from model.ranker import WHOLE, Batch, Logs, Ranker, Share, State

if TYPE_CHECKING:
    from model.data.timelines import Timelines


@dataclasses.dataclass(frozen=True)
class SequenceConfig(RankerConfig):
    """What every model of recommendation alone has.

    Attributes:
        loss: `softmax` is the cross-entropy over the catalogue; `bce` the binary one over the target and the stage's n
            negatives, `bce_one` over the target and one of them.
        full_softmax_items: the largest catalogue that `softmax` is taken over as a whole. Of a larger one the negatives
            of all rows of a batch are a sample, corrected for how often each is drawn.
        scoring: a state and an item give a logit as `inner` product, or by an `mlp`, which goes with a binary loss.
        mlp_units: hidden widths of that MLP.
        temperature: inner products are divided by it.
        dropout: rate.
    """

    allowed_losses: ClassVar[tuple[str, ...]] = ("softmax", "bce", "bce_one")
    """What `loss` may be."""
    loss: Literal["softmax", "bce", "bce_one"] = "softmax"
    full_softmax_items: int = 20_000
    scoring: Literal["inner", "mlp"] = "inner"
    mlp_units: tuple[int, ...] = (200, 80)
    temperature: float = 1.0
    dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mlp_units", tuple(self.mlp_units))
        one_of(self, "loss", self.allowed_losses)
        one_of(self, "scoring", ("inner", "mlp"))
        at_least(self, 0, "full_softmax_items")
        check_dropout(self)
        if self.temperature <= 0:
            raise ValueError(f"`temperature` should be above 0. Received: {self.temperature}.")
        if self.scoring == "mlp" and self.loss not in ("bce", "bce_one"):
            raise ValueError(f"`scoring` mlp should go with `loss` bce or bce_one. Received: {self.loss}.")

    @property
    def whole_catalogue(self) -> bool:
        """Whether a step looks at every item."""
        return self.loss == "softmax" and self.num_items <= self.full_softmax_items


@dataclasses.dataclass(frozen=True)
class EncoderConfig(SequenceConfig):
    """A model of recommendation alone with a Transformer.

    Attributes:
        num_blocks: blocks.
        num_heads: heads of each attention; divides `dim`.
        hidden_units: width of the feed-forward networks; 0 is `dim`.
        norm: where a block normalises: `post`, `pre`, or `query` as in SASRec's own code.
        activation: of the feed-forward networks.
    """

    num_blocks: int = 2
    num_heads: int = 1
    hidden_units: int = 0
    norm: Norm = "post"
    activation: Literal["relu", "gelu"] = "gelu"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "num_blocks")
        at_least(self, 0, "hidden_units")
        one_of(self, "norm", ("query", "pre", "post"))
        one_of(self, "activation", ("relu", "gelu"))
        check_heads(self)

    def encoder_options(self) -> dict[str, Any]:
        """Arguments of `TransformerEncoder`, but for epsilon."""
        names = ("num_blocks", "dim", "num_heads", "dropout", "hidden_units", "norm", "activation")
        return {name: getattr(self, name) for name in names}


class Embedded(NamedTuple):
    """A batch after its lookups.

    Attributes:
        rec: items clicked, without positions, `[B, Lr, d]`.
        rec_ids: their ids, `[B, Lr]`.
        rec_mask: True for a real click, `[B, Lr]`.
        candidates: `[B, C, d]`; C is 0 for a batch without candidates.
        candidate_ids: `[B, C]`.
        catalogue: every item, `[num_items, d]`, in a step that looks at all of them; else of no row.
        rows: the distinct rows looked up, `[U, d]`.
    """

    rec: tf.Tensor
    rec_ids: tf.Tensor
    rec_mask: tf.Tensor
    candidates: tf.Tensor
    candidate_ids: tf.Tensor
    catalogue: tf.Tensor
    rows: tuple[tf.Tensor, ...]


class SharedNegatives(NamedTuple):
    """The M negatives of a batch, which all its rows share.

    Attributes:
        ids: `[M]`, each draw for itself.
        vectors: their embeddings, `[M, d]`.
        valid: 0 leaves a draw out, `[M]`.
    """

    ids: tf.Tensor
    vectors: tf.Tensor
    valid: tf.Tensor


class PreparedItems(NamedTuple):
    """Items `[...]` and their embeddings `[..., d]`."""

    ids: tf.Tensor
    embeddings: tf.Tensor


@keras.saving.register_keras_serializable(package="lcr_ser")
class PairScore(keras.layers.Layer):
    """An MLP over what a state and an item have in them: here both, and their product.

    Args:
        dim: d.
        units: hidden widths.
        dropout: rate after each hidden layer.
    """

    parts: ClassVar[int] = 3
    """How many vectors `features` puts next to each other."""

    def __init__(self, dim: int, units: tuple[int, ...], dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim, self.units, self.dropout = dim, tuple(units), dropout
        self.mlp = Mlp(self.parts * dim, self.units, dropout, logit=True, dtype=self.dtype_policy)

    def build(self, input_shape: Any = None) -> None:
        """Create all weights."""
        self.mlp.build(None)

    def call(self, state: tf.Tensor, items: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits `[B, C]` of states `[B, d]` and items `[B, C, d]` or `[1, C, d]`."""
        return self.mlp(tf.cast(self.features(state[:, None], items), self.compute_dtype), training=training)

    def features(self, state: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """What the MLP sees of states `[B, 1, d]` and items, `[B, C, 3d]`."""
        product = state * items
        return tf.concat([tf.broadcast_to(part, tf.shape(product)) for part in (state, items)] + [product], 2)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "dim": self.dim, "units": self.units, "dropout": self.dropout}


class SequenceRanker(Ranker):
    """A state of a user's clicks, compared with items; of what a user did, where `embed` looks up more.

    A model of this family implements `state`, and `losses` where it minimises more than `item_loss`. A user without a
    click has a learned state, `newcomer`, which the data of their papers does not know.

    Args:
        config: the model's shape.
        tables: the layer of the item table to share with another model; None makes a new one.
    """

    inputs: ClassVar[tuple[str, ...]] = (REC_ITEMS,)
    config: SequenceConfig

    def __init__(self, config: SequenceConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        [self.items] = tables or [EmbeddingTable(config.num_items, config.dim, dtype=self.dtype_policy, name="items")]
        self.newcomer = self.add_weight(name="newcomer", shape=(config.dim,), initializer="zeros")
        self.pairs = (
            PairScore(config.dim, config.mlp_units, config.dropout, dtype=self.dtype_policy)
            if config.scoring == "mlp"
            else None
        )
        sampled = config.loss == "softmax" and not config.whole_catalogue
        self.clicks = (
            self.add_weight(
                name="clicks", shape=(config.num_items,), initializer="ones", trainable=False, autocast=False
            )
            if sampled
            else None
        )

    @property
    def tables(self) -> tuple[EmbeddingTable, ...]:
        """The layer of the item table."""
        return (self.items,)

    def fit_counts(self, timelines: "Timelines", total: Callable[[Any], Any] = lambda counts: counts) -> None:
        """Count the clicks, where a sampled softmax needs to know how often an item is drawn."""
        if self.clicks is not None:
            clicks = total(np.bincount(timelines.rec_items, minlength=self.config.num_items))
            clicks[:FIRST_KNOWN_ID] = 0
            self.clicks.assign(clicks)

    def embed(self, batch: Batch) -> Embedded:
        """Look up clicks and candidates, and the whole catalogue where a step of the loss takes it."""
        clicks = batch[REC_ITEMS]
        candidates = batch.get(CANDIDATES, clicks[:, :0])
        everything = self.config.whole_catalogue and CANDIDATES in batch
        catalogue = tf.range(self.config.num_items if everything else 0, dtype=clicks.dtype)
        items = self.items(clicks, candidates, catalogue)
        clicks_at, candidates_at, catalogue_at = items.positions
        return Embedded(
            rec=take(items.rows, clicks_at),
            rec_ids=clicks,
            rec_mask=clicks != PADDING_ID,
            candidates=take(items.rows, candidates_at),
            candidate_ids=candidates,
            catalogue=take(items.rows, catalogue_at),
            rows=(items.rows,),
        )

    def state(self, embedded: Embedded, training: bool = False) -> tf.Tensor:
        """What the clicks come to, `[B, d]`; of a user without one it has no meaning."""
        raise NotImplementedError

    def known_or_new(self, state: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """States `[B, ..., d]` in the dtype of the weights, and that of a newcomer where `mask` `[B, Lr]` is empty."""
        state = tf.cast(state, self.variable_dtype)
        anybody = tf.reshape(tf.reduce_any(mask, 1), [-1] + [1] * (len(state.shape) - 1))
        return tf.where(anybody, state, self.newcomer)

    def item_loss(
        self,
        state: tf.Tensor,
        embedded: Embedded,
        weights: tf.Tensor,
        settings: SupervisedConfig,
        share: Share = WHOLE,
        *,
        temperature: float | tf.Tensor | None = None,
    ) -> tf.Tensor:
        """The loss of next items that the config names, a scalar.

        Args:
            state: `[B, d]`, what `known_or_new` gave.
            embedded, weights, settings, share: of `losses`.
            temperature: instead of the config's.
        """
        temperature = self.config.temperature if temperature is None else temperature
        if self.config.loss == "bce":
            logits = self.logits(state, embedded.candidates, training=True) / temperature
            return recommendation_loss(logits, weights) * share.pairs
        if self.config.loss == "bce_one":
            logits = self.logits(state, embedded.candidates[:, :2], training=True) / temperature
            # A row counts as one, whether a negative was found for it or not.
            of_rows = tf.nn.softplus(-logits[:, 0]) + weights[:, 1] * tf.nn.softplus(logits[:, 1])
            return tf.reduce_mean(of_rows) * share.rows
        return tf.reduce_mean(self.softmax_losses(state, embedded, weights, settings, temperature)) * share.rows

    def softmax_losses(
        self,
        state: tf.Tensor,
        embedded: Embedded,
        weights: tf.Tensor,
        settings: SupervisedConfig,
        temperature: float | tf.Tensor,
    ) -> tf.Tensor:
        """Cross-entropy of the targets over the catalogue, whole or sampled: `[B]`."""
        if self.config.whole_catalogue:
            logits = tf.matmul(state, embedded.catalogue, transpose_b=True) / temperature
            return catalogue_loss(logits, embedded.candidate_ids[:, 0], settings.unknown_rate)
        return self.sampled_losses(
            state,
            embedded.candidate_ids[:, 0],
            embedded.candidates[:, 0],
            settings,
            negatives=self.shared_negatives(embedded, weights),
            temperature=temperature,
        )

    def shared_negatives(self, embedded: Embedded, weights: tf.Tensor) -> SharedNegatives:
        """The negatives of all rows."""
        vectors = embedded.candidates[:, 1:]
        return SharedNegatives(
            ids=tf.reshape(embedded.candidate_ids[:, 1:], [-1]),
            vectors=tf.reshape(vectors, [-1, vectors.shape[-1]]),
            valid=tf.reshape(weights[:, 1:], [-1]),
        )

    def sampled_losses(
        self,
        state: tf.Tensor,
        targets: tf.Tensor,
        vectors: tf.Tensor,
        settings: SupervisedConfig,
        *,
        negatives: SharedNegatives,
        temperature: float | tf.Tensor,
    ) -> tf.Tensor:
        """Cross-entropy over the catalogue as the shared negatives sample it, `[R]`.

        Args:
            state: `[R, d]`.
            targets, vectors: ids `[R]` and embeddings `[R, d]`.
            settings: which say how negatives are drawn.
            negatives: of all rows.
            temperature: of the inner products.
        """
        return sampled_loss(
            self._sampled_logits(state, targets, vectors, settings, negatives=negatives, temperature=temperature)
        )

    def class_logits(
        self, state: tf.Tensor, embedded: Embedded, weights: tf.Tensor, settings: SupervisedConfig
    ) -> tf.Tensor:
        """Logits of what the loss tells apart, `[B, n]`, for distributions to be compared; no class where masked.

        They are those of the catalogue, whole or sampled, or with a binary loss those of the row's candidates.

        Args:
            state: `[B, d]`, what `known_or_new` gave.
            embedded, weights, settings: of `losses`.
        """
        temperature = self.config.temperature
        if self.config.whole_catalogue:
            logits = tf.matmul(state, embedded.catalogue, transpose_b=True) / temperature
            return catalogue_logits(logits, embedded.candidate_ids[:, 0], settings.unknown_rate)
        if self.config.loss == "softmax":
            return self._sampled_logits(
                state,
                embedded.candidate_ids[:, 0],
                embedded.candidates[:, 0],
                settings,
                negatives=self.shared_negatives(embedded, weights),
                temperature=temperature,
            )
        logits = self.logits(state, embedded.candidates, training=True) / temperature
        return tf.where(weights == 0, MASKED_LOGIT, logits)

    def _sampled_logits(
        self,
        state: tf.Tensor,
        targets: tf.Tensor,
        vectors: tf.Tensor,
        settings: SupervisedConfig,
        *,
        negatives: SharedNegatives,
        temperature: float | tf.Tensor,
    ) -> tf.Tensor:
        clicks = self.clicks.value  # type: ignore[union-attr]  # which `loss` softmax makes
        return sampled_logits(
            tf.reduce_sum(state * vectors, 1) / temperature,
            tf.matmul(state, negatives.vectors, transpose_b=True) / temperature,
            targets=targets,
            drawn=negatives.ids,
            frequency=draw_frequency(negatives.ids, clicks, by_popularity=settings.negative_sampling == "popularity"),
            valid=negatives.valid,
        )

    def logits(self, state: tf.Tensor, items: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Scores before the temperature: states `[B, d]` and items `[B, C, d]` or `[1, C, d]` give `[B, C]`."""
        if self.pairs is not None:
            return tf.cast(self.pairs(state, items, training=training), self.variable_dtype)
        return tf.linalg.matvec(items, state)

    def losses(self, embedded: Embedded, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE) -> Logs:
        """The loss of next items."""
        state = self.known_or_new(self.state(embedded, training=True), embedded.rec_mask)
        loss = self.item_loss(state, embedded, weights, settings, share)
        return {"loss": loss, "rec_loss": loss}

    def encode(self, batch: Batch) -> State:
        """`state`, `[B, d]`, in the dtype of the weights."""
        embedded = self.embed({name: batch[name] for name in self.inputs})
        return {"state": self.known_or_new(self.state(embedded), embedded.rec_mask)}

    def prepare(self, items: tf.Tensor) -> PreparedItems:
        """Embeddings of items."""
        found = self.items(items)
        return PreparedItems(items, take(found.rows, found.positions[0]))

    def score(self, state: State, items: PreparedItems) -> tf.Tensor:
        """Logits `[B, C]`."""
        return tie_unknown(self.logits(state["state"], items.embeddings) / self.config.temperature, items.ids)

    @property
    def item_vectors(self) -> keras.Variable | None:
        """The item table: with `scoring` inner the model is an inner product already, else there is none."""
        return self.items.table if self.config.retrieval and self.pairs is None else None

    def query(self, state: State) -> tf.Tensor:
        """The state, `[B, d]`."""
        return state["state"]
