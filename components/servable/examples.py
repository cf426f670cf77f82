"""Serialized Examples of a call, checked, as ragged features."""

import tensorflow as tf

from components.servable.tensors import right_rows
from model import contract
from model.data.timelines import Histories

Raw = dict[str, tf.RaggedTensor]
"""Features of Examples by name, `[B, (n)]`."""


def _dtype(feature: str) -> tf.DType:
    """Of a raw feature."""
    return tf.int64 if feature.endswith(("_counts", "_times")) or feature == contract.LABEL else tf.string


def _no_values(rows: tf.Tensor, dtype: tf.DType) -> tf.RaggedTensor:
    """A feature of `rows` rows that holds nothing."""
    return tf.RaggedTensor.from_row_splits(tf.zeros([0], dtype), tf.zeros([rows + 1], tf.int64), validate=False)


def parse(examples: tf.Tensor, features: tuple[str, ...]) -> tuple[Raw, tf.Tensor]:
    """Features of serialized Examples, `[B]`, and which of these can be read and agree with themselves, bool `[B]`.

    The others come as Examples without any feature. Whether they can be parsed is tried on the whole batch at first:
    looking at each row takes far longer, and is seldom needed.
    """
    with tf.control_dependencies([right_rows("examples", tf.shape(examples)[0])]):
        examples = tf.identity(examples)
    spec = {name: tf.io.RaggedFeature(_dtype(name), row_splits_dtype=tf.int64) for name in features}
    good = tf.cond(
        _all_parsable(examples, spec),
        lambda: tf.ones(tf.shape(examples), tf.bool),
        lambda: _parsable_rows(examples, spec),
    )
    raw = tf.io.parse_example(tf.where(good, examples, ""), spec)
    good &= _agree(raw)
    raw = tf.cond(tf.reduce_all(good), lambda: raw, lambda: tf.io.parse_example(tf.where(good, examples, ""), spec))
    return raw, good


_NO_REWRITING = tf.data.Options()
"""For datasets of a few elements: preparing one takes longer than it runs."""
_NO_REWRITING.autotune.enabled = False
_NO_REWRITING.experimental_optimization.apply_default_optimizations = False


def _all_parsable(examples: tf.Tensor, spec: dict[str, tf.io.RaggedFeature]) -> tf.Tensor:
    """Whether `tf.io.parse_example` takes all of a batch: `[B]` gives a bool.

    A dataset that ignores errors is the only place of a graph where an operation may fail and the rest goes on. This
    one holds no function of ours: TensorFlow would prepare and optimize it anew in each call, which took several times
    as long as the model. Features are read as sparse tensors: ragged ones take such a function, and dense ones are as
    wide as the longest list of the batch in every row, gigabytes for one long list beside many rows.
    """
    names = sorted(spec)
    none = {
        name: tf.SparseTensor(tf.zeros([0, 2], tf.int64), tf.zeros([0], spec[name].dtype), [0, 0]) for name in names
    }
    structure = {name: tf.SparseTensorSpec([None, None], spec[name].dtype) for name in names}
    parsed = tf.raw_ops.ParseExampleDatasetV2(
        input_dataset=tf.data.experimental.to_variant(tf.data.Dataset.from_tensors(examples)),
        num_parallel_calls=1,
        dense_defaults=[],
        sparse_keys=names,
        dense_keys=[],
        sparse_types=[spec[name].dtype for name in names],
        dense_shapes=[],
        output_types=[tf.variant] * len(names),
        output_shapes=[[3]] * len(names),
        ragged_keys=[],
        ragged_value_types=[],
        ragged_split_types=[],
    )
    whole = tf.data.experimental.from_variant(parsed, structure).ignore_errors()
    otherwise = tf.data.Dataset.from_tensors(none)
    found = whole.concatenate(otherwise).take(1).with_options(_NO_REWRITING).get_single_element()
    return found[names[0]].dense_shape[0] == tf.size(examples, tf.int64)


def _parsable_rows(examples: tf.Tensor, spec: dict[str, tf.io.RaggedFeature]) -> tf.Tensor:
    """Which Examples `tf.io.parse_example` takes: `[B]` gives bool `[B]`."""

    @tf.autograph.experimental.do_not_convert
    def parse(number: tf.Tensor, example: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        sizes = [tf.size(feature.flat_values) for feature in tf.io.parse_example(example[None], spec).values()]
        return number, tf.add_n(sizes)  # else it would not be parsed at all

    @tf.autograph.experimental.do_not_convert
    def note(found: tf.Tensor, parsed: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        return tf.tensor_scatter_nd_update(found, [[parsed[0]]], [True])

    numbers = tf.range(tf.shape(examples)[0])
    parsed = tf.data.Dataset.from_tensor_slices((numbers, examples)).map(parse).ignore_errors()
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


def histories_of(ids: Raw) -> Histories:
    """Histories of ids; of what the model does not read, empty ones."""
    rows = ids[contract.CANDIDATES].nrows()

    def integers(tensor: tf.Tensor) -> tf.Tensor:
        return tf.cast(tensor, tf.int32)

    def feature(name: str) -> tf.RaggedTensor:
        return ids[name] if name in ids else _no_values(rows, tf.int32)

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
