"""Dense layers one after another, as heads of baselines."""

from typing import Any

import keras
import tensorflow as tf

from model.ops.dropout import Dropout
from model.ops.linear import Linear


@keras.saving.register_keras_serializable(package="lcr_ser")
class Mlp(keras.layers.Layer):
    """Dense layers with ReLU, each followed by dropout.

    Args:
        dim: width of the inputs.
        units: widths of the layers.
        dropout: rate.
        logit: whether one more layer gives a single number, without ReLU, in the dtype of the weights.
    """

    def __init__(self, dim: int, units: tuple[int, ...], dropout: float, *, logit: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim, self.units, self.dropout, self.logit = dim, tuple(units), dropout, logit
        for number, width in enumerate(self.units):  # TensorFlow does not save what is in a list of Keras
            setattr(self, f"dense_{number}", Linear(width, activation="relu", dtype=self.dtype_policy))
        # As precise as the weights: rounded logits would tie.
        self.last = Linear(1, dtype=self.variable_dtype) if logit else None
        self.drop = Dropout(dropout, dtype=self.dtype_policy)

    @property
    def hidden(self) -> list[Linear]:
        """The layers with ReLU, the first one first."""
        return [getattr(self, f"dense_{number}") for number in range(len(self.units))]

    def build(self, input_shape: Any = None) -> None:
        """Create all weights."""
        layers = [*self.hidden, *([] if self.last is None else [self.last])]
        for layer, width in zip(layers, (self.dim, *self.units), strict=False):
            layer.build((None, None, width))

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """`[..., dim]` gives `[..., units[-1]]`, or logits `[...]`."""
        values = inputs
        for layer in self.hidden:
            values = self.drop(layer(values), training=training)
        return values if self.last is None else tf.squeeze(self.last(values), -1)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        names = ("dim", "units", "dropout", "logit")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
