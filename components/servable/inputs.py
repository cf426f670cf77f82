"""What signatures are given: Examples or plain tensors, checked, as the raw features that Transform's graph takes."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

from model import contract
from model.data.timelines import Histories

Raw = dict[str, tf.RaggedTensor]
"""Features of Examples by name, `[B, (n)]`."""
TENSOR_RANKS = {
    contract.USER: 1,
    contract.REC_ITEMS: 2,
    contract.SEARCH_WORDS: 3,
    contract.SEARCH_ITEMS: 3,
    contract.REC_TIMES: 2,
    contract.SEARCH_TIMES: 2,
}
"""Rank of each history tensor of the signatures that take plain tensors."""


def raw_dtype(feature: str) -> tf.DType:
    """Of a raw feature."""
    return tf.int64 if feature.endswith(("_counts", "_times")) or feature == contract.LABEL else tf.string


def id_dtype(feature: str) -> tf.DType:
    """Of a feature as the model reads it; a time in milliseconds does not fit into 32 bits."""
    return tf.int64 if feature in contract.TIME_FEATURES else tf.int32


def specs(features: Iterable[str], dtype: Callable[[str], tf.DType]) -> dict[str, tf.RaggedTensorSpec]:
    """Specs of features `[B, (n)]`, for the input signature of a function."""
    return {name: tf.RaggedTensorSpec([None, None], dtype(name), ragged_rank=1) for name in features}


def no_values(rows: tf.Tensor, dtype: tf.DType) -> tf.RaggedTensor:
    """A feature of `rows` rows that holds nothing."""
    return tf.RaggedTensor.from_row_splits(tf.zeros([0], dtype), tf.zeros([rows + 1], tf.int64), validate=False)


def parse(examples: tf.Tensor, features: tuple[str, ...]) -> tuple[Raw, tf.Tensor]:
    """Features of serialized Examples, `[B]`, and which of these can be read and agree with themselves, bool `[B]`.

    The others come as Examples without any feature. Whether they can be parsed is tried on the whole batch at first:
    looking at each row takes far longer, and is seldom needed.
    """
    with tf.control_dependencies([_right_rows("examples", examples)]):
        examples = tf.identity(examples)
    spec = {name: tf.io.RaggedFeature(raw_dtype(name), row_splits_dtype=tf.int64) for name in features}
    good = tf.cond(
        _parsable(examples[None], spec)[0],
        lambda: tf.ones(tf.shape(examples), tf.bool),
        lambda: _parsable(examples[:, None], spec),
    )
    raw = tf.io.parse_example(tf.where(good, examples, ""), spec)
    good &= _agree(raw)
    raw = tf.cond(tf.reduce_all(good), lambda: raw, lambda: tf.io.parse_example(tf.where(good, examples, ""), spec))
    return raw, good


_NO_REWRITING = tf.data.Options()
"""For datasets of a few elements: preparing one takes longer than it runs."""
_NO_REWRITING.autotune.enabled = False
_NO_REWRITING.experimental_optimization.apply_default_optimizations = False


def _parsable(batches: tf.Tensor, spec: dict[str, Any]) -> tf.Tensor:
    """Which batches of Examples `tf.io.parse_example` takes: `[N, n]` gives bool `[N]`.

    It fails for a single bad one, and a dataset that ignores errors is the only place of a graph where an operation
    may fail and the rest goes on.
    """

    @tf.autograph.experimental.do_not_convert
    def parse(number: tf.Tensor, batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        sizes = [tf.size(feature.flat_values) for feature in tf.io.parse_example(batch, spec).values()]
        return number, tf.add_n(sizes)  # else it would not be parsed at all

    @tf.autograph.experimental.do_not_convert
    def note(found: tf.Tensor, parsed: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        return tf.tensor_scatter_nd_update(found, [[parsed[0]]], [True])

    numbers = tf.range(tf.shape(batches)[0])
    parsed = tf.data.Dataset.from_tensor_slices((numbers, batches)).map(parse).ignore_errors()
    return parsed.with_options(_NO_REWRITING).reduce(tf.zeros_like(numbers, tf.bool), note)


def _agree(raw: Raw) -> tf.Tensor:
    """Which rows have one user, counts that fit what they count, a label that is a column, and keep the limits."""
    lengths = {name: feature.row_lengths() for name, feature in raw.items()}
    rows = tf.size(lengths[contract.CANDIDATES], tf.int64)
    columns = tf.minimum(contract.MAX_PAIRS // tf.maximum(rows, 1), contract.MAX_CANDIDATES)
    good = lengths[contract.CANDIDATES] <= columns
    if contract.USER in raw:
        good &= lengths[contract.USER] == 1
    if contract.REC_ITEMS in raw:
        good &= lengths[contract.REC_ITEMS] <= contract.MAX_EVENTS
    if contract.REC_TIMES in raw:
        good &= lengths[contract.REC_TIMES] == lengths[contract.REC_ITEMS]
    searches = [contract.INPUTS[name] for name in (contract.SEARCH_WORDS, contract.SEARCH_ITEMS) if name in raw]
    for counted, name in searches:
        counts = raw[name]
        good &= lengths[name] == lengths[searches[0][1]]
        good &= (lengths[name] <= contract.MAX_EVENTS) & (lengths[counted] <= contract.MAX_STRINGS)
        # With every count in its range their sum cannot wrap around.
        in_range = (counts.values >= 0) & (counts.values <= contract.MAX_EVENTS)
        good &= tf.reduce_all(counts.with_values(in_range), 1) & (tf.reduce_sum(counts, 1) == lengths[counted])
    if contract.SEARCH_TIMES in raw:
        good &= lengths[contract.SEARCH_TIMES] == lengths[searches[0][1]]
    if contract.LABEL in raw:
        label = raw[contract.LABEL].to_tensor(default_value=-1, shape=[None, 1])[:, 0]
        good &= (lengths[contract.LABEL] == 1) & (label >= 0) & (label < lengths[contract.CANDIDATES])
    return good


def _at_most(name: str, what: str, received: tf.Tensor, limit: int) -> tf.Operation:
    return tf.debugging.Assert(received <= limit, [f"`{name}` should hold at most {limit} {what}. Received:", received])


def _right_rows(name: str, tensor: tf.Tensor) -> tf.Operation:
    rows = tf.shape(tensor)[0]
    return tf.debugging.Assert(
        (rows >= 1) & (rows <= contract.MAX_REQUESTS),
        [f"`{name}` should hold from 1 to {contract.MAX_REQUESTS} rows. Received:", rows],
    )


def equal_sizes(name: str, other: str, tensor: tf.Tensor, of_other: tf.Tensor, axis: int = 0) -> tf.Operation:
    """Refuses a tensor that is not as long as another one; axis 0 counts rows, axis 1 the events."""
    size, wanted = tf.shape(tensor)[axis], tf.shape(of_other)[axis]
    what = ("rows", "clicks" if name == contract.REC_TIMES else "searches")[axis]
    return tf.debugging.Assert(
        size == wanted, [f"`{name}` should hold as many {what} as `{other}`. Received:", size, "and", wanted]
    )


def checks_of_history(history: dict[str, tf.Tensor]) -> list[tf.Operation]:
    """Refuse history tensors that do not fit together, or are above the limits of the contract."""
    first, *others = history
    checks = [_right_rows(first, history[first])]
    if {contract.SEARCH_WORDS, contract.SEARCH_ITEMS} <= history.keys():
        words, items = history[contract.SEARCH_WORDS], history[contract.SEARCH_ITEMS]
        checks.append(equal_sizes(contract.SEARCH_ITEMS, contract.SEARCH_WORDS, items, words, axis=1))
    for times, of in ((contract.REC_TIMES, contract.REC_ITEMS), (contract.SEARCH_TIMES, contract.SEARCH_ITEMS)):
        if times in history:
            checks.append(equal_sizes(times, of, history[times], history[of], axis=1))
    checks += [equal_sizes(name, first, history[name], history[first]) for name in others]
    for name, tensor in history.items():
        if name != contract.USER:
            checks += [
                _at_most(name, "strings", tf.size(tensor, tf.int64), contract.MAX_STRINGS),
                *(
                    _at_most(name, f"columns on axis {axis}", tf.shape(tensor)[axis], contract.MAX_EVENTS)
                    for axis in range(1, tensor.shape.rank)
                ),
            ]
    return checks


def checks_of_candidates(candidates: tf.Tensor) -> list[tf.Operation]:
    """Refuse candidates above the limits of the contract."""
    return [
        _right_rows(contract.CANDIDATES, candidates),
        _at_most(contract.CANDIDATES, "columns", tf.shape(candidates)[1], contract.MAX_CANDIDATES),
        _at_most(contract.CANDIDATES, "strings", tf.size(candidates, tf.int64), contract.MAX_PAIRS),
    ]


def checks_of_state(state: dict[str, tf.Tensor], candidates: tf.Tensor) -> list[tf.Operation]:
    """Refuse states that are not of as many requests as the candidates."""
    checks = []
    for name, part in state.items():
        wanted = tf.concat([tf.shape(candidates)[:1], part.shape[1:]], 0)
        checks.append(
            tf.debugging.Assert(
                tf.reduce_all(tf.shape(part) == wanted),
                [
                    f"`{name}` should be what `{contract.SIGNATURE_ENCODE}` gave, one row for each of "
                    f"`{contract.CANDIDATES}`, of shape",
                    wanted,
                    "Received:",
                    tf.shape(part),
                ],
            )
        )
    return checks


def history_of_tensors(history: dict[str, tf.Tensor]) -> Raw:
    """The features of an Example, from padded tensors; "" is padding."""
    raw = {}
    if contract.USER in history:
        raw[contract.USER] = tf.RaggedTensor.from_tensor(history[contract.USER][:, None])
    if contract.REC_ITEMS in history:
        clicks = history[contract.REC_ITEMS]
        raw[contract.REC_ITEMS] = tf.ragged.boolean_mask(clicks, clicks != "")
        if contract.REC_TIMES in history:
            raw[contract.REC_TIMES] = tf.ragged.boolean_mask(history[contract.REC_TIMES], clicks != "")
    present = {name: history[name] != "" for name in (contract.SEARCH_WORDS, contract.SEARCH_ITEMS) if name in history}
    if present:
        is_search = functools.reduce(tf.logical_or, (tf.reduce_any(mask, 2) for mask in present.values()))
        if contract.SEARCH_TIMES in history:
            raw[contract.SEARCH_TIMES] = tf.ragged.boolean_mask(history[contract.SEARCH_TIMES], is_search)
    for name, mask in present.items():
        _, counts = contract.INPUTS[name]
        rows = tf.shape(mask)[0]
        raw[counts] = tf.ragged.boolean_mask(tf.reduce_sum(tf.cast(mask, tf.int64), 2), is_search)
        raw[name] = tf.ragged.boolean_mask(tf.reshape(history[name], [rows, -1]), tf.reshape(mask, [rows, -1]))
    return raw


def histories_of(ids: Raw) -> Histories:
    """Histories of ids; of what the model does not read, empty ones."""
    rows = ids[contract.CANDIDATES].nrows()

    def integers(tensor: tf.Tensor) -> tf.Tensor:
        return tf.cast(tensor, tf.int32)

    def feature(name: str) -> tf.RaggedTensor:
        return ids[name] if name in ids else no_values(rows, tf.int32)

    counts = [feature(name) for name in (contract.SEARCH_WORD_COUNTS, contract.SEARCH_ITEM_COUNTS)]
    searches = counts[0] if contract.SEARCH_WORD_COUNTS in ids else counts[1]

    def begins(of_searches: tf.RaggedTensor) -> tf.Tensor:
        return integers(tf.concat([[0], tf.cumsum(of_searches.values)], 0))

    return Histories(
        users=integers(feature(contract.USER).to_tensor(contract.PADDING_ID, shape=[None, 1])[:, 0]),
        rec_items=integers(feature(contract.REC_ITEMS).values),
        rec_offsets=integers(feature(contract.REC_ITEMS).row_splits),
        search_offsets=integers(searches.row_splits),
        search_words=integers(feature(contract.SEARCH_WORDS).values),
        word_offsets=begins(counts[0]),
        search_items=integers(feature(contract.SEARCH_ITEMS).values),
        item_offsets=begins(counts[1]),
        **{name: ids[name].values for name in contract.TIME_FEATURES if name in ids},
    )
