"""What a system is shown of each history: all of it, or a part, or in another order."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from model.contract import PADDING_ID, REC_ITEMS, SEARCH_ITEMS, SEARCH_TIMES, SEARCH_WORDS
from model.ranker import Batch, Ranker

ALL_SEARCHES, NO_SEARCHES = -1.0, 1.0


@dataclasses.dataclass(frozen=True)
class View:
    """How the histories of a batch are changed, in training and when ranking alike.

    Attributes:
        shuffled: clicks change places with clicks, and searches with searches; times stay where they are. Each row has
            an order of its own.
        searches_above: searches are kept whose cosine with the mean of the clicks is above this: -1 keeps all, 1 none.
            This is the filter of the paper's Fig. 2.
    """

    shuffled: bool = False
    searches_above: float = ALL_SEARCHES

    def __post_init__(self) -> None:
        if not ALL_SEARCHES <= self.searches_above <= NO_SEARCHES:
            raise ValueError(f"`searches_above` should be from -1 to 1. Received: {self.searches_above}.")

    @property
    def needs_vectors(self) -> bool:
        """Whether a trained model must say what is similar."""
        return ALL_SEARCHES < self.searches_above < NO_SEARCHES


EVERYTHING = View()


def look_through(model: Ranker, view: View, reference: Ranker | None = None) -> None:
    """Show a model every batch through a view from now on.

    Args:
        model: one whose `embed` reads the histories.
        view: what it sees.
        reference: whose vectors say what is similar, where the view `needs_vectors`: a model that sums up what was
            searched for and what was clicked, as UniSAR does.
    """
    changes: list[Callable[[Batch], Batch]] = []
    if view.searches_above > ALL_SEARCHES:
        changes.append(lambda batch: keep_searches(batch, _similar(batch, view.searches_above, reference)))
    if view.shuffled:
        changes.append(shuffle)
    embed = model.embed

    def embed_view(batch: Batch) -> Any:
        for change in changes:
            batch = {**batch, **change(batch)}
        return embed(batch)

    model.embed = embed_view  # type: ignore[method-assign]


def shuffle(batch: Batch) -> Batch:
    """Clicks and searches of each row in an order drawn for its place in the batch; padding stays on the left.

    Rows come to other places of a batch in each epoch, so that no order can be learned.
    """
    clicks, searches = batch[REC_ITEMS], _is_search(batch) if SEARCH_WORDS in batch else None
    changed = {REC_ITEMS: tf.gather(clicks, _drawn_order(clicks != PADDING_ID, 1), batch_dims=1)}
    if searches is not None:
        order = _drawn_order(searches, 2)
        changed |= {name: tf.gather(batch[name], order, batch_dims=1) for name in (SEARCH_WORDS, SEARCH_ITEMS)}
    return changed


def keep_searches(batch: Batch, kept: tf.Tensor) -> Batch:
    """Searches where `kept` `[B, Ls]`, moved to the right, with their times; padding in the others' stead."""
    order = tf.argsort(tf.cast(kept, tf.int32), axis=1, stable=True)
    kept = tf.gather(kept, order, batch_dims=1)

    def keep(name: str) -> tf.Tensor:
        moved = tf.gather(batch[name], order, batch_dims=1)
        return tf.where(kept[..., None] if len(moved.shape) > 2 else kept, moved, tf.zeros_like(moved))

    return {name: keep(name) for name in (SEARCH_WORDS, SEARCH_ITEMS, SEARCH_TIMES) if name in batch}


def _similar(batch: Batch, threshold: float, reference: Ranker | None) -> tf.Tensor:
    searches = _is_search(batch)
    if reference is None:  # nothing is above 1
        return tf.zeros_like(searches)
    found = reference.embed(batch)
    clicks = tf.reduce_sum(tf.where(found.rec_mask[..., None], found.rec, 0.0), 1, keepdims=True)
    cosine = tf.reduce_sum(
        tf.math.l2_normalize(found.queries + found.clicked, -1) * tf.math.l2_normalize(clicks, -1), -1
    )
    return searches & (cosine > threshold)


def _is_search(batch: Batch) -> tf.Tensor:
    """Where there is one, `[B, Ls]`."""
    return tf.reduce_any(batch[SEARCH_WORDS] != PADDING_ID, 2) | tf.reduce_any(batch[SEARCH_ITEMS] != PADDING_ID, 2)


def _drawn_order(events: tf.Tensor, seed: int) -> tf.Tensor:
    keys = tf.random.stateless_uniform(tf.shape(events), [seed, seed])
    return tf.argsort(tf.where(events, keys, -1.0), axis=1, stable=True)
