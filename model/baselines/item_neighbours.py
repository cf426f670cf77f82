"""Item neighbours: what others clicked beside it, the floor that a model of sequences must be above."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.config import RankerConfig, at_least
from model.contract import FIRST_KNOWN_ID, REC_ITEMS
from model.layers.embeddings import EmbeddingTable
from model.ranker import Batch, Ranker, State

if TYPE_CHECKING:
    from model.data.timelines import Timelines

PAIRS_AT_ONCE = 1 << 24
"""Pairs of clicks that are counted together: some 600 MB."""


@dataclasses.dataclass(frozen=True)
class ItemNeighboursConfig(RankerConfig):
    """How neighbours are found and weighed.

    Attributes:
        neighbours: N, kept for each item; so many ids and weights of each are part of the model.
        shrinkage: added to the divisor of a similarity, so that few clicks say little; 0 is the cosine.
        recency: what a click of the history counts less for each place that it is further back; 1 counts all alike.
    """

    kind: Literal["item_neighbours"] = "item_neighbours"
    neighbours: int = 100
    shrinkage: float = 10.0
    recency: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "neighbours")
        at_least(self, 0, "shrinkage", "recency")
        if self.recency > 1:
            raise ValueError(f"`recency` should be at most 1. Received: {self.recency}.")


class Candidates(NamedTuple):
    """Ids of items, `[...]`."""

    ids: tf.Tensor


@keras.saving.register_keras_serializable(package="lcr_ser")
class ItemNeighbours(Ranker):
    """Ranks items by their similarity to the clicks of a user. Nothing is trained.

    Two items are as similar as the users who clicked both are many, in the training log:

        sim(i, j) = |U_i and U_j| / (sqrt(|U_i| |U_j|) + shrinkage)
        score(i) = sum over clicks h of recency^(places back) sim(i, h)

    The cosine of Sarwar et al. (WWW 2001, section 3.1.1) and its sum over a history as in Deshpande and Karypis (TOIS
    2004), of whose N most similar items to each click the rest count nothing. Departures: clicks are not rated;
    shrinkage, and the decay of older clicks, which the papers do not have. The defaults are ours. A click of the
    target itself before adds nothing; an unknown item has no neighbour, and ties with all others that have none.
    """

    inputs = (REC_ITEMS,)
    config_class = ItemNeighboursConfig
    config: ItemNeighboursConfig

    def __init__(
        self, config: ItemNeighboursConfig, tables: tuple[EmbeddingTable, ...] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(config, **kwargs)
        shape = (config.num_items, config.neighbours)
        # In the order of ids, for `score` to search; what is missing is padding, of weight 0, and comes first.
        self.neighbours = self.add_weight(
            name="neighbours", shape=shape, initializer="zeros", dtype="int32", trainable=False, autocast=False
        )
        self.similarities = self.add_weight(
            name="similarities", shape=shape, initializer="zeros", trainable=False, autocast=False
        )
        self.build()

    def fit_counts(self, timelines: "Timelines", total: Callable[[Any], Any] = lambda counts: counts) -> None:
        """Count who clicked two items.

        Raises:
            ValueError: if the log is divided: pairs of items are too many to be summed over workers.
        """
        parts = int(total(np.ones(1, np.int64))[0])
        if parts > 1:
            raise ValueError(f"`kind` item_neighbours should be counted by one worker. Received: {parts}.")
        neighbours, similarities = np.zeros(self.neighbours.shape, np.int32), np.zeros(self.neighbours.shape)
        for pairs in _similar(timelines, self.config.num_items, self.config.shrinkage):
            items, others, weights = _largest(*pairs, self.config.neighbours)
            behind = np.searchsorted(items, items, side="right") - np.arange(len(items))
            neighbours[items, -behind] = others
            similarities[items, -behind] = weights
        self.neighbours.assign(neighbours)
        self.similarities.assign(similarities)

    def encode(self, batch: Batch) -> State:
        """The clicks, `[B, L]`: what they lead to is looked up click by click, instead of `[B, L, N]` at once."""
        return {"clicks": batch[REC_ITEMS]}

    def prepare(self, items: tf.Tensor) -> Candidates:
        """The items as they are."""
        return Candidates(items)

    def score(self, state: State, items: Candidates) -> tf.Tensor:
        """Sums of similarities as logits `[B, C]`, one click after another: memory is B (C + N)."""
        clicks, table, similarities = state["clicks"], self.neighbours.value, self.similarities.value
        length = clicks.shape[1]
        ids = tf.broadcast_to(items.ids, [tf.shape(clicks)[0], tf.shape(items.ids)[1]])
        scores = tf.zeros(tf.shape(ids), similarities.dtype)
        for place in range(length):
            neighbours = tf.gather(table, clicks[:, place])
            weights = tf.gather(similarities, clicks[:, place]) * self.config.recency ** (length - 1 - place)
            found = tf.minimum(tf.searchsorted(neighbours, ids), self.config.neighbours - 1)
            same = tf.gather(neighbours, found, batch_dims=1) == ids
            scores += tf.where(same, tf.gather(weights, found, batch_dims=1), 0.0)
        return scores


Pairs = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
"""Items, others and their similarity, sorted by item, then by other; all of an item at once."""


def _similar(timelines: "Timelines", num_items: int, shrinkage: float) -> Iterator[Pairs]:
    """All pairs of known items that a user clicked both of, in parts."""
    users = np.repeat(np.arange(len(timelines.users)), np.diff(timelines.rec_offsets))
    known = timelines.rec_items >= FIRST_KNOWN_ID
    of_user, items = np.divmod(np.unique(users[known] * num_items + timelines.rec_items[known]), num_items)
    counts = np.bincount(items, minlength=num_items)
    ends = np.cumsum(np.bincount(of_user, minlength=len(timelines.users)))
    sizes = np.diff(ends, prepend=0)
    by_item = np.argsort(items, kind="stable")
    # One click after another, by item: as many pairs each as its user clicked items.
    bounds = np.cumsum(sizes[of_user[by_item]])
    last = np.cumsum(counts[counts > 0])  # behind the clicks of each item
    begin = 0
    while begin < len(by_item):
        before = bounds[begin - 1] if begin else 0
        fitting = np.searchsorted(bounds, before + PAIRS_AT_ONCE, side="right")
        # Whole items, one at the least.
        end = last[max(np.searchsorted(last, fitting, side="right") - 1, np.searchsorted(last, begin, side="right"))]
        clicks = by_item[begin:end]
        widths = sizes[of_user[clicks]]
        within = np.arange(widths.sum()) - np.repeat(np.cumsum(widths) - widths, widths)
        others = items[np.repeat((ends - sizes)[of_user[clicks]], widths) + within]
        pairs, both = np.unique(np.repeat(items[clicks], widths) * num_items + others, return_counts=True)
        one, other = np.divmod(pairs, num_items)
        apart = one != other
        one, other, both = one[apart], other[apart], both[apart]
        yield one, other, both / (np.sqrt(counts[one] * counts[other]) + shrinkage)
        begin = end


def _largest(items: npt.NDArray[Any], others: npt.NDArray[Any], weights: npt.NDArray[Any], count: int) -> Pairs:
    """The `count` most similar to each item, in the same order; of equally similar ones those of lower ids."""
    order = np.lexsort((others, -weights, items))
    ranks = np.arange(len(items)) - np.searchsorted(items, items)  # sorted by item before and after
    kept = np.sort(order[ranks < count])
    return items[kept], others[kept], weights[kept]
