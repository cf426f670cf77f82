"""CL4SRec: a causal Transformer that knows a history by two augmentations of it (Xie et al., ICDE 2022)."""

import dataclasses
from typing import Any, Literal

import keras
import tensorflow as tf

from model.baselines.sequence import Embedded, EncoderConfig, SequenceRanker
from model.config import SupervisedConfig, at_least
from model.layers.augmentations import Choice, one_of_three, rearrange
from model.layers.embeddings import EmbeddingTable, PositionEmbedding
from model.layers.transformer import TransformerEncoder, causal
from model.objectives.contrast import nt_xent_loss
from model.ops.dropout import Dropout
from model.ops.normalization import Normalization
from model.ops.seeds import next_seed
from model.ranker import WHOLE, Logs, Share

EPSILON = 1e-12
"""Of layer normalisation."""


@dataclasses.dataclass(frozen=True)
class Cl4SRecConfig(EncoderConfig):
    """Shape of CL4SRec; see `EncoderConfig`.

    Attributes:
        contrast_weight: lambda, of the contrastive loss beside that of next items.
        contrast_temperature: tau, of the contrastive loss.
        crop_keep: eta, the share of a history that a crop keeps.
        mask_rate: gamma, the share that a mask hides.
        reorder_rate: beta, the share that is shuffled.
    """

    kind: Literal["cl4srec"] = "cl4srec"
    loss: Literal["softmax", "bce", "bce_one"] = "bce_one"
    num_heads: int = 2
    contrast_weight: float = 0.1
    contrast_temperature: float = 1.0
    crop_keep: float = 0.6
    mask_rate: float = 0.5
    reorder_rate: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "contrast_weight", "crop_keep", "mask_rate", "reorder_rate")
        for name in ("crop_keep", "mask_rate", "reorder_rate"):
            if getattr(self, name) > 1:
                raise ValueError(f"`{name}` should be at most 1. Received: {getattr(self, name)}.")
        if self.contrast_temperature <= 0:
            raise ValueError(f"`contrast_temperature` should be above 0. Received: {self.contrast_temperature}.")


@keras.saving.register_keras_serializable(package="lcr_ser")
class Cl4SRec(SequenceRanker):
    """CL4SRec: the loss of next items and, beside it, a contrastive one of two augmented views of each history.

    "Contrastive Learning for Sequential Recommendation", section III: the augmentations crop, mask and reorder of a
    share eta, gamma and beta of the history, two drawn independently for each history, the same one twice included;
    the user representation encoder is that of SASRec; its last state is what next items are compared with and what
    the contrastive loss sees, NT-Xent over the 2B views of a batch by inner products; the sum of both losses. There is
    no code by the authors: where the paper is silent, the settings are those of the re-implementation that others use
    (JamZheng): embeddings normalised and dropped out before two blocks that normalise after each sum, GELU, two heads.

    Departures: a training row is one clicked item and its sampled negatives, so that a batch holds several rows of one
    user, which are negatives of each other here; of several replicas each contrasts its own rows; a history without a
    click has no views, and is nobody's negative; positions count from the newest click back; a view is the last state
    (the re-implementation's default joins the states of all places, most of them padding). Not reproduced of it are
    that a masked click becomes padding, and that a second view takes over its first one's products with the second
    views of other rows, instead of its own with their first ones; nor the label that the one in RecBole gave its
    contrastive loss by mistake (RecBole#1748).

    Args:
        config: the model's shape.
        tables: the layer of the item table to share with another model; None makes a new one.
    """

    config_class = Cl4SRecConfig
    config: Cl4SRecConfig

    def __init__(self, config: Cl4SRecConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(config, tables, **kwargs)
        dtype = self.dtype_policy
        # Not a row of the table: it is never ranked, drawn or unknown.
        self.mask_token = self.add_weight(
            name="mask_token",
            shape=(config.dim,),
            initializer=keras.initializers.RandomNormal(stddev=config.dim**-0.5),
            autocast=False,
        )
        self.positions = PositionEmbedding(config.rec_length, config.dim, dtype=dtype)
        self.norm = Normalization(EPSILON, dtype=dtype)
        self.norm.build((None, None, config.dim))
        self.drop = Dropout(config.dropout, dtype=dtype)
        self.encoder = TransformerEncoder(**config.encoder_options(), epsilon=EPSILON, dtype=dtype)
        self.augmentation_seeds = keras.random.SeedGenerator()
        self.build()

    def state(self, embedded: Embedded, training: bool = False) -> tf.Tensor:
        """The state of the newest click after all blocks, `[B, d]`."""
        return self.last_state(embedded.rec, embedded.rec_mask, training)

    def last_state(self, events: tf.Tensor, real: tf.Tensor, training: bool) -> tf.Tensor:
        """The newest state of events `[B, L, d]`, of which those are read that are real `[B, L]`."""
        states = tf.cast(self.norm(self.positions(events)), self.compute_dtype)
        return self.encoder(self.drop(states, training=training), causal(real), training=training)[:, -1]

    def augment(self, embedded: Embedded) -> Choice:
        """An augmentation drawn for each history."""
        rates = (self.config.crop_keep, self.config.mask_rate, self.config.reorder_rate)
        return one_of_three(embedded.rec_mask, rates, next_seed(self.augmentation_seeds))

    def views(self, embedded: Embedded) -> tuple[tf.Tensor, tf.Tensor]:
        """States of two augmentations of each history, `[B, d]` each, in training mode."""
        choices = [self.augment(embedded) for _ in range(2)]
        events = tf.concat([rearrange(embedded.rec, self.mask_token, choice) for choice in choices], 0)
        states = self.last_state(events, tf.concat([choice.real for choice in choices], 0), training=True)
        one, other = tf.split(tf.cast(states, self.variable_dtype), 2)
        return one, other

    def losses(self, embedded: Embedded, weights: tf.Tensor, settings: SupervisedConfig, share: Share = WHOLE) -> Logs:
        """The loss of next items and the contrastive one."""
        logs = super().losses(embedded, weights, settings, share)
        if not self.config.contrast_weight:
            return logs
        anybody = tf.reduce_any(embedded.rec_mask, 1)
        contrast = nt_xent_loss(*self.views(embedded), self.config.contrast_temperature, anybody)
        contrast = tf.reduce_mean(contrast) * share.rows
        return {**logs, "loss": logs["loss"] + self.config.contrast_weight * contrast, "contrast_loss": contrast}
