"""A training step of the plain model."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from model.config import SupervisedConfig
from model.contract import CANDIDATES, PADDING_ID, REC_ITEMS, SEARCH_ITEMS, SEARCH_WORDS, USER
from model.data.negatives import NegativeSampler
from model.data.timelines import Timelines
from model.data.windows import TargetWindows
from model.plain import PlainLcrSer
from model.training.unknown import with_unknown

Apply = Callable[[Sequence[tf.Tensor | tf.IndexedSlices], Sequence[keras.Variable]], None]


def make_plain_step(
    model: PlainLcrSer, config: SupervisedConfig, timelines: Timelines, apply: Apply | None = None
) -> Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]:
    """A training step of stock parts on the same batches as ours.

    Args:
        model: already called once, if `apply` is given.
        config, timelines: as for our step.
        apply: takes gradients and variables; None is stock Adam over everything, whole tables included.
    """
    windows = TargetWindows(timelines, model.config)
    sample = NegativeSampler(
        timelines, config.negative_sampling, config.negatives_avoid, config.num_negatives, config.seed
    )
    if apply is None:
        optimizer = keras.optimizers.Adam(config.learning_rate)

        def apply(gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable]) -> None:
            optimizer.apply_gradients(zip(gradients, variables, strict=True))

    bce = keras.losses.BinaryCrossentropy(from_logits=True, reduction="sum")

    @tf.function(autograph=False)
    def step(number: tf.Tensor, positions: tf.Tensor) -> dict[str, tf.Tensor]:
        batch, _ = windows(positions)
        candidates, valid = sample(number, positions)
        weights = tf.cast(valid, tf.float32)
        batch = with_unknown({**batch, CANDIDATES: candidates}, config.unknown_rate, config.seed, number)
        with tf.GradientTape() as tape:
            logits, target, crossed, without = model(batch, training=True)
            labels = tf.one_hot(tf.zeros(tf.shape(logits)[:1], tf.int32), tf.shape(logits)[1])
            loss = bce(labels[..., None], logits[..., None], weights) / tf.reduce_sum(weights)
            for with_cross, without_cross in zip(crossed, without, strict=True):
                near, far = (
                    1.0 + keras.losses.cosine_similarity(target, states) for states in (with_cross, without_cross)
                )
                loss += config.tcl_weight * tf.reduce_mean(tf.nn.relu(near - far + config.tcl_margin))
            loss += config.l2_weight * _l2(model, batch)
        variables = model.trainable_variables
        apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}

    return step


def _l2(model: PlainLcrSer, batch: dict[str, tf.Tensor]) -> tf.Tensor:
    """Squared norm of all kernels, and of each row looked up once."""
    used = {
        model.users: [batch[USER]],
        model.items: [batch[REC_ITEMS], batch[SEARCH_ITEMS], batch[CANDIDATES]],
        model.words: [batch[SEARCH_WORDS]],
    }
    tables = {id(layer.embeddings) for layer in used}
    total = tf.add_n(
        [
            tf.reduce_sum(tf.square(variable))
            for variable in model.trainable_variables
            if len(variable.shape) > 1 and id(variable) not in tables
        ]
    )
    for layer, ids in used.items():
        distinct, _ = tf.unique(tf.concat([tf.reshape(one, [-1]) for one in ids], 0))
        rows = tf.gather(layer.embeddings, tf.boolean_mask(distinct, distinct != PADDING_ID))
        total += tf.reduce_sum(tf.square(rows))
    return total
