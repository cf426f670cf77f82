"""What each event of a history was worth: how far the score falls when it is taken out."""

import tensorflow as tf

from model.contract import CANDIDATES
from model.lcr_ser import LcrSer
from model.ranker import Batch


def leave_one_out(model: LcrSer, batch: Batch, items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The logit of an item, less what it is when the history is read anew without one event.

    Args:
        model: the model.
        batch: the model batch.
        items: ids, `[B]`.

    Returns:
        Of each click and of each search, `[B, Lr]` and `[B, Ls]`; below 0 where the event spoke against the item, and
        0 for padding.
    """
    embedded = model.embed({**{name: batch[name] for name in model.inputs}, CANDIDATES: items[:, None]})
    searches = model.config.search_length
    events = searches + model.config.rec_length
    # The whole history, and it without each of its events.
    kept = tf.concat([tf.ones([1, events], tf.bool), ~tf.eye(events, dtype=tf.bool)], 0)
    real = tf.concat([embedded.search_mask, embedded.rec_mask], 1)
    masks = tf.reshape(real[:, None] & kept, [-1, events])
    every = tf.nest.map_structure(lambda part: tf.repeat(part, 1 + events, 0), embedded._replace(rows=()))
    every = every._replace(search_mask=masks[:, :searches], rec_mask=masks[:, searches:])
    histories = model.read(every)
    logits = tf.reshape(model.rank(every, histories, model.reason(histories)), [-1, 1 + events])
    worth = logits[:, :1] - logits[:, 1:]
    return worth[:, searches:], worth[:, :searches]
