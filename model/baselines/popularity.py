"""Popularity: the floor that every other model must be above."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from model.config import RankerConfig
from model.contract import FIRST_KNOWN_ID, USER
from model.layers.embeddings import EmbeddingTable
from model.ranker import Batch, Ranker, State

if TYPE_CHECKING:
    from model.data.timelines import Timelines


@dataclasses.dataclass(frozen=True)
class PopularityConfig(RankerConfig):
    """Nothing beyond what all models have, of which only `num_items` counts."""

    kind: Literal["popularity"] = "popularity"


class CountedItems(NamedTuple):
    """The clicks of items, float32 `[...]`."""

    clicks: tf.Tensor


@keras.saving.register_keras_serializable(package="lcr_ser")
class Popularity(Ranker):
    """Ranks items by their clicks in the recommendations of the training log, whoever asks. Nothing is trained.

    An unknown item has no count of its own: it is ranked as one without a click.
    """

    # A request without any input would have no rows.
    inputs = (USER,)
    config_class = PopularityConfig

    def __init__(
        self, config: PopularityConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(config, **kwargs)
        self.clicks = self.add_weight(
            name="clicks", shape=(config.num_items,), initializer="zeros", trainable=False, autocast=False
        )
        self.build()

    def fit_counts(self, timelines: "Timelines", total: Callable[[Any], Any] = lambda counts: counts) -> None:
        """Count the clicks."""
        clicks = total(np.bincount(timelines.rec_items, minlength=self.config.num_items))
        clicks[:FIRST_KNOWN_ID] = 0
        self.clicks.assign(clicks)

    def encode(self, batch: Batch) -> State:
        """A zero for each request, `[B, 1]`: all are the same to it."""
        return {"request": tf.zeros_like(batch[USER], self.clicks.value.dtype)[:, None]}

    def prepare(self, items: tf.Tensor) -> CountedItems:
        """Clicks of items `[...]`."""
        return CountedItems(tf.gather(self.clicks.value, items))

    def score(self, state: State, items: CountedItems) -> tf.Tensor:
        """Clicks as logits `[B, C]`."""
        return state["request"] + items.clicks
