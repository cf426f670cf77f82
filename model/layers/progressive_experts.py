"""Experts that tasks share and experts of each task, gated: one level of PLE (Tang et al., RecSys 2020)."""

from typing import Any

import keras
import tensorflow as tf

from model.layers.mlp import Mlp
from model.ops.dropout import Dropout
from model.ops.linear import Linear
from model.ops.shapes import shaped, sizes
from model.ops.softmax_attention import softmax


@keras.saving.register_keras_serializable(package="lcr_ser")
class ProgressiveExperts(keras.layers.Layer):
    """Customized gate control of one level, and a tower for each task (section 4.1 of the paper).

    An expert is a dense layer with ReLU. A task's gate is a softmax of a linear map of the inputs; it weighs the
    task's own experts and the shared ones. The tower is an MLP over the weighted sum.

    Args:
        dim: width of the inputs.
        tasks: number of tasks.
        specific, shared: experts of each task, and experts of all.
        units: width of an expert.
        tower_units: widths of each tower's layers.
        dropout: rate after each dense layer.
    """

    def __init__(
        self,
        dim: int,
        tasks: int,
        *,
        specific: int,
        shared: int,
        units: int,
        tower_units: tuple[int, ...],
        dropout: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dim, self.tasks, self.specific, self.shared = dim, tasks, specific, shared
        self.units, self.tower_units, self.dropout = units, tuple(tower_units), dropout
        dtype = self.dtype_policy
        # The experts of a group side by side, as one product.
        self.shared_experts = Linear(shared * units, activation="relu", dtype=dtype)
        for task in range(tasks):  # TensorFlow does not save what is in a list of Keras
            setattr(self, f"experts_{task}", Linear(specific * units, activation="relu", dtype=dtype))
            setattr(self, f"gate_{task}", Linear(specific + shared, dtype=dtype))
            setattr(self, f"tower_{task}", Mlp(units, self.tower_units, dropout, dtype=dtype))
        self.drop = Dropout(dropout, dtype=dtype)

    def build(self, input_shape: Any = None) -> None:
        """Create all weights."""
        shape = (None, None, self.dim)
        self.shared_experts.build(shape)
        for task in range(self.tasks):
            for name in ("experts", "gate", "tower"):
                getattr(self, f"{name}_{task}").build(shape)

    def call(self, inputs: tf.Tensor, *, task: int, training: bool = False) -> tf.Tensor:
        """`[..., dim]` gives `[..., tower_units[-1]]` for one task; of the others nothing is computed."""
        experts = tf.concat([getattr(self, f"experts_{task}")(inputs), self.shared_experts(inputs)], -1)
        experts = self.drop(experts, training=training)
        experts = shaped(experts, [*sizes(inputs)[:-1], self.specific + self.shared, self.units])
        weights = softmax(getattr(self, f"gate_{task}")(inputs))
        mixed = tf.reduce_sum(tf.expand_dims(weights, -1) * experts, -2)
        return getattr(self, f"tower_{task}")(mixed, training=training)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        names = ("dim", "tasks", "specific", "shared", "units", "tower_units", "dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
