"""Plain tensors of a call, checked and cut to what the model reads.

`""` is padding, wherever it stands. TF Serving merges the calls of several clients: it pads tensors on the right, in
every dimension but the first, with their own first element, and fails them all where the graph fails. So what is wrong
with a row alone marks that row, and a check fails only where no row of a call is right: then its client sent nothing
else, or is in the company of others like it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from model import contract
from model.config import RankerConfig

TENSOR_RANKS = {
    contract.USER: 1,
    contract.REC_ITEMS: 2,
    contract.SEARCH_WORDS: 3,
    contract.SEARCH_ITEMS: 3,
    contract.REC_TIMES: 2,
    contract.SEARCH_TIMES: 2,
}
"""Rank of each history tensor of the signatures that take plain tensors."""

_CLICKS = (contract.REC_ITEMS, contract.REC_TIMES)
_SEARCHES = (contract.SEARCH_WORDS, contract.SEARCH_ITEMS, contract.SEARCH_TIMES)

Tensors = dict[str, tf.Tensor]


class Newest(NamedTuple):
    """The newest events of a call.

    Attributes:
        batch: as a model batch holds them, but for strings in the place of ids, `""` for padding; times, 0 for padding.
        good: which rows are within the limits and agree with themselves, bool `[B]`.
        rec_places, search_places: the columns of the call that they come from, as `newest` counts them, `[B, Lr]` and
            `[B, Ls]`; None where the model reads no such event.
    """

    batch: Tensors
    good: tf.Tensor
    rec_places: tf.Tensor | None
    search_places: tf.Tensor | None


def checked(tensors: Tensors, most: int = contract.MAX_REQUESTS) -> Tensors:
    """The same tensors, once it is known that they have equally many rows, at least 1 and at most `most`.

    A server that merges calls compares the rows of each call first, so that this is nobody else's failure.
    """
    first, *_ = tensors
    rows = tf.stack([tf.shape(tensor)[0] for tensor in tensors.values()])
    names = ", ".join(f"`{name}`" for name in tensors)
    equal = _assert(tf.reduce_all(rows == rows[0]), f"{names} should hold equally many rows. Received:", rows)
    with tf.control_dependencies([right_rows(first, rows[0], most), equal]):
        return {name: tf.identity(tensor) for name, tensor in tensors.items()}


def newest_of(history: Tensors, config: RankerConfig) -> Newest:
    """Cut a history to what the model reads of it.

    Args:
        history: what the model reads, of `model.contract`.
        config: Lr, Ls, W and M.
    """
    windows: Tensors = {}
    good = []
    rec_places = search_places = None
    clicks = {name: history[name] for name in _CLICKS if name in history}
    searches = {name: history[name] for name in _SEARCHES if name in history}
    if contract.USER in history:
        windows[contract.USER] = history[contract.USER]
    if clicks:
        clicks, fit = _cut(clicks)
        rec_places = newest(clicks[contract.REC_ITEMS] != "", config.rec_length)
        windows.update({name: at(tensor, rec_places) for name, tensor in clicks.items()})
        good += fit
    if searches:
        searches, fit = _cut(searches)
        named = [tensor for name, tensor in searches.items() if name not in contract.TIME_FEATURES]
        filled = [tf.reduce_any(tensor != "", 2) for tensor in named]
        search_places = newest(filled[0] if len(filled) == 1 else filled[0] | filled[1], config.search_length)
        lengths = {contract.SEARCH_WORDS: config.words_per_search, contract.SEARCH_ITEMS: config.items_per_search}
        for name, tensor in searches.items():
            found = at(tensor, search_places)
            windows[name] = at(found, first(found != "", lengths[name])) if name in lengths else found
        good += fit
    if not good:
        good = [tf.ones(tf.shape(history[contract.USER]), tf.bool)]
    fit = good[0] if len(good) == 1 else tf.reduce_all(tf.stack(good), 0)
    return Newest(windows, fit, rec_places, search_places)


def candidates_of(candidates: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The columns of candidates that are within the limit, and which rows have none beyond, bool `[B]`."""
    limit = contract.MAX_CANDIDATES + 1
    kept = candidates[:, :limit]
    good = _nothing_beyond(contract.CANDIDATES, candidates, (limit,), f"at most {contract.MAX_CANDIDATES} columns")
    pairs = tf.size(kept, tf.int64)
    message = f"`{contract.CANDIDATES}` should hold at most {contract.MAX_PAIRS} strings. Received:"
    with tf.control_dependencies([_assert(pairs <= contract.MAX_PAIRS, message, pairs)]):
        return tf.identity(kept), good


def sized(state: Tensors, shapes: Mapping[str, Any]) -> Tensors:
    """States of the size that `encode` gives.

    Another client's wider tensor makes a merged one wider, on the right. One that is too small is refused.
    """
    return {
        name: tf.slice(part, [0] * part.shape.rank, [-1, *shapes[name][1:]], name=f"{name}_as_encoded")
        if part.shape.rank > 1
        else part
        for name, part in state.items()
    }


def newest(real: tf.Tensor, length: int) -> tf.Tensor:
    """Columns of the newest `length` real events of each row, oldest first, padded on the left, counted from 1.

    Args:
        real: `[B, L]`, the newest last.

    Returns:
        int32 `[B, length]`; 0 where there is none.
    """
    columns = tf.cast(real, tf.int32) * tf.range(1, tf.shape(real)[1] + 1)
    return tf.reverse(tf.math.top_k(tf.pad(columns, [[0, 0], [0, length]]), length).values, [1])


def first(real: tf.Tensor, length: int) -> tf.Tensor:
    """Places of the first `length` real values of each list, padded on the right, counted from 1; 0 is none.

    Args:
        real: `[B, Ls, W]`.

    Returns:
        int32 `[B, Ls, length]`.
    """
    size = tf.shape(real)[2]
    from_the_end = tf.cast(real, tf.int32) * tf.range(size, 0, -1)
    found = tf.math.top_k(tf.pad(from_the_end, [[0, 0], [0, 0], [0, length]]), length).values
    return tf.where(found > 0, size + 1 - found, 0)


def at(values: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Values at places that `newest` or `first` gave, along the last axis of `places`; `""` or 0 for none."""
    axis = places.shape.rank - 1
    nothing_first = [[int(other == axis), 0] for other in range(values.shape.rank)]
    return tf.gather(tf.pad(values, nothing_first), places, batch_dims=axis)


def back(values: tf.Tensor, places: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Values of the newest events in the columns of the call that they come from, 0 in all others.

    Args:
        values: `[B, L]`.
        places: what `newest` gave, `[B, L]`.
        columns: of the call.
    """
    rows = tf.broadcast_to(tf.range(tf.shape(places)[0])[:, None], tf.shape(places))
    shape = tf.stack([tf.shape(places)[0], columns + 1])
    return tf.scatter_nd(tf.stack([rows, places], 2), values, shape)[:, 1:]


def _cut(tensors: Tensors) -> tuple[Tensors, list[tf.Tensor]]:
    """Tensors of the same events, cut to their common length and to the limits, and what holds nothing beyond."""
    lengths = [tf.shape(tensor)[1] for tensor in tensors.values()]
    common = tf.reduce_min(tf.stack([*lengths, contract.MAX_EVENTS + 1]))
    events = "clicks" if contract.REC_ITEMS in tensors else "searches"
    cut, good, checks = {}, [], []
    for name, tensor in tensors.items():
        wanted = f"at most {contract.MAX_EVENTS} {events}"
        if len(tensors) > 1:
            wanted += f", as many as {' and '.join(f'`{other}`' for other in tensors if other != name)}"
        if tensor.shape.rank == 2:
            cut[name] = tensor[:, :common]
            good.append(_nothing_beyond(name, tensor, (common,), wanted))
            continue
        limit = contract.MAX_SEARCH_STRINGS
        cut[name] = tensor[:, :common, :limit]
        good.append(_nothing_beyond(name, tensor, (common, limit), f"{wanted}, and at most {limit} strings in each"))
        strings = tf.size(cut[name], tf.int64)
        message = f"`{name}` should hold at most {contract.MAX_MERGED_STRINGS} strings. Received:"
        checks.append(_assert(strings <= contract.MAX_MERGED_STRINGS, message, strings))
    with tf.control_dependencies(checks):
        return {name: tf.identity(tensor) for name, tensor in cut.items()}, good


def _nothing_beyond(name: str, tensor: tf.Tensor, limits: tuple[int | tf.Tensor, ...], wanted: str) -> tf.Tensor:
    """Which rows hold nothing beyond the limits of each dimension, bool `[B]`; fails where none does."""
    beyond = [tensor[:, limits[0] :]]
    if len(limits) > 1:
        beyond.append(tensor[:, :, limits[1] :])
    empty = tf.zeros([], tensor.dtype)
    found = [tf.reduce_any(part != empty, list(range(1, part.shape.rank))) for part in beyond]
    good = tf.logical_not(found[0] if len(found) == 1 else found[0] | found[1])
    check = _assert(tf.reduce_any(good), f"`{name}` should hold {wanted}. Received:", tf.shape(tensor))
    with tf.control_dependencies([check]):
        return tf.identity(good)


def right_rows(name: str, rows: tf.Tensor, most: int = contract.MAX_REQUESTS) -> tf.Operation:
    """Refuses a call of no row, or of too many."""
    message = f"`{name}` should hold from 1 to {most} rows. Received:"
    return _assert((rows >= 1) & (rows <= most), message, rows)


def _assert(condition: tf.Tensor, *data: Any) -> tf.Operation:
    # `tf.debugging.Assert` in a graph is a branch of half a dozen operations, to compute the message only if needed.
    return tf.raw_ops.Assert(condition=condition, data=[tf.convert_to_tensor(part) for part in data], summarize=16)
