"""GRU4Rec: a recurrent network over clicks (Hidasi et al., ICLR 2016; Hidasi and Karatzoglou, CIKM 2018)."""

import dataclasses
from typing import Any, ClassVar, Literal

import keras
import tensorflow as tf

from model.baselines.sequence import Embedded, SequenceConfig, SequenceRanker
from model.config import SupervisedConfig, at_least, one_of
from model.layers.embeddings import EmbeddingTable
from model.objectives.bpr_max import bpr_max_loss
from model.ops.dropout import Dropout
from model.ops.linear import Linear
from model.ranker import WHOLE, Share


@dataclasses.dataclass(frozen=True)
class Gru4RecConfig(SequenceConfig):
    """Shape of GRU4Rec, with the defaults of the author's code; see `SequenceConfig`.

    Attributes:
        loss: `softmax` is the author's cross-entropy with its correction for how often a negative is drawn; `bpr_max`
            the pairwise loss of the second paper, over the negatives of all rows.
        variant: `author`: d units, each compared with the item table as it is; `recbole`: `units` of them without a
            bias, and a dense layer back to d, as many comparisons have it. RecBole's dropout is 0.3.
        units: of the GRU in the variant `recbole`.
        dropout: rate on embedded clicks.
        hidden_dropout: rate on the state; the variant `recbole` has none.
        bpr_regularisation: of the scores, in BPR-max.
    """

    allowed_losses: ClassVar[tuple[str, ...]] = ("softmax", "bpr_max", "bce", "bce_one")
    compiles: ClassVar[bool] = False
    kind: Literal["gru4rec"] = "gru4rec"
    loss: Literal["softmax", "bpr_max", "bce", "bce_one"] = "softmax"  # type: ignore[assignment]
    variant: Literal["author", "recbole"] = "author"
    units: int = 128
    dropout: float = 0.0
    hidden_dropout: float = 0.0
    bpr_regularisation: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "variant", ("author", "recbole"))
        at_least(self, 1, "units")
        at_least(self, 0, "hidden_dropout", "bpr_regularisation")
        if self.hidden_dropout >= 1:
            raise ValueError(f"`hidden_dropout` should be below 1. Received: {self.hidden_dropout}.")


@keras.saving.register_keras_serializable(package="lcr_ser")
class Gru4Rec(SequenceRanker):
    """GRU4Rec: the inner product of an item with the state of a GRU after the newest click.

    What the first paper calls a session is a user's clicks here. The network of its section 3.1 (Eq. 1 to 4): one GRU
    layer whose reset gate acts on the state before the product, as in the author's first code (the later PyTorch
    version has that in a first layer without embedding alone, and elsewhere a gate after the product); the item table
    is embedding and output at once ("constrained embedding"), which binds the number of units to d; dropout on
    embedding and state. The losses of the second paper: cross-entropy over shared negatives (section 3.1, with the
    correction that the author's later code adds) and BPR-max with score regularisation (section 3.3, Eq. 12).
    `supervised.optimizer: adagrad` is the author's optimiser. The variant `recbole` is a reading that is often compared
    with: the reset gate acts after the product, no bias, 128 units and a dense layer, under which no table is tied.

    Departures: a training row is one clicked item with the history before it, not a place of a session in a parallel
    mini-batch, so that every state begins at zero: in third-party code states were seen to pass from one session to
    the next; shared negatives are those of the stage and its `negative_sampling`, for `supervised.batch_size` rows
    (the author: the batch's other targets and 2048 by clicks to the power of .5 or .75); a catalogue up to
    `full_softmax_items` is taken as a whole instead of sampled; scores are not put through an ELU before BPR-max;
    there is no bias for an item, and no momentum.

    Args:
        config: the model's shape.
        tables: the layer of the item table to share with another model; None makes a new one.
    """

    config_class = Gru4RecConfig
    config: Gru4RecConfig

    def __init__(self, config: Gru4RecConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(config, tables, **kwargs)
        dtype, of_author = self.dtype_policy, config.variant == "author"
        units = config.dim if of_author else config.units
        self.drop = Dropout(config.dropout, dtype=dtype)
        # cuDNN knows neither a reset gate before the product nor padding on the left.
        self.gru = keras.layers.GRU(
            units,
            reset_after=not of_author,
            use_bias=of_author,
            recurrent_initializer="glorot_uniform",
            use_cudnn=False,
            dtype=dtype,
        )
        self.gru.build((None, None, config.dim))
        self.hidden_drop = Dropout(config.hidden_dropout if of_author else 0.0, dtype=dtype)
        self.out = None if of_author else Linear(config.dim, dtype=dtype)
        if self.out is not None:
            self.out.build((None, units))
        self.build()

    def state(self, embedded: Embedded, training: bool = False) -> tf.Tensor:
        """The state after the newest click, `[B, d]`; padding leaves it at zero."""
        events = self.drop(tf.cast(embedded.rec, self.compute_dtype), training=training)
        state = self.hidden_drop(self.gru(events, mask=embedded.rec_mask, training=training), training=training)
        return state if self.out is None else self.out(state)

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
        """The loss that the config names, BPR-max among them."""
        if self.config.loss != "bpr_max":
            return super().item_loss(state, embedded, weights, settings, share, temperature=temperature)
        temperature = self.config.temperature if temperature is None else temperature
        negatives = self.shared_negatives(embedded, weights)
        targets = embedded.candidate_ids[:, :1]
        of_rows = bpr_max_loss(
            tf.reduce_sum(state * embedded.candidates[:, 0], 1) / temperature,
            tf.matmul(state, negatives.vectors, transpose_b=True) / temperature,
            valid=(negatives.ids[None] != targets) & (negatives.valid[None] > 0),
            regularisation=self.config.bpr_regularisation,
        )
        return tf.reduce_mean(of_rows) * share.rows
