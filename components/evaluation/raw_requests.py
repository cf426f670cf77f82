"""Raw request Examples as ids, in their own order."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

from model import contract
from model.data.columns import Column, column_of
from model.data.requests import Requests, requests_of_columns

_INTEGERS = (contract.SEARCH_WORD_COUNTS, contract.SEARCH_ITEM_COUNTS, *contract.TIME_FEATURES, contract.LABEL)
_SPEC = {
    name: tf.io.RaggedFeature(tf.int64 if name in _INTEGERS else tf.string, row_splits_dtype=tf.int64)
    for name in (*contract.REQUEST_FEATURES, *contract.TIME_FEATURES, contract.LABEL)
}

Part = dict[str, tuple[tf.Tensor, tf.Tensor]]
"""Values and row lengths by feature."""


def raw_requests(transform_graph_dir: str, records: Sequence[bytes]) -> Requests:
    """A few requests as ids.

    Args:
        transform_graph_dir: artifact of Transform.
        records: serialized request Examples with labels, all with equally many candidates.

    Raises:
        ValueError: if requests differ in their number of candidates.
    """
    return requests_of_parts([transform_function(transform_graph_dir)(tf.constant(records))])


def transform_function(transform_graph_dir: str) -> Callable[[tf.Tensor], Part]:
    """A function from serialized request Examples with labels, `[B]`, to their ids, in the same order.

    Args:
        transform_graph_dir: artifact of Transform. Its own outputs do not keep the order of the files.
    """
    loader = SavedModelLoader(tft.TFTransformOutput(transform_graph_dir).transform_savedmodel_dir)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
    def transform(examples: tf.Tensor) -> Part:
        parsed = tf.io.parse_example(examples, _SPEC)
        transformed = loader.apply_transform_model({name: parsed[name] for name in contract.REQUEST_FEATURES})
        ids = {name: tf.RaggedTensor.from_sparse(transformed[name]) for name in contract.REQUEST_FEATURES}
        return {name: column_of(name, feature) for name, feature in {**parsed, **ids}.items()}

    return transform


def rows_a_call(record: bytes) -> int:
    """How many requests with as many candidates as this one a signature takes in one call.

    Args:
        record: a serialized request Example.
    """
    feature = tf.train.Example.FromString(record).features.feature[contract.CANDIDATES]
    return min(contract.MAX_REQUESTS, contract.MAX_PAIRS // max(1, len(feature.bytes_list.value)))


def requests_of_parts(parts: Sequence[Part]) -> Requests:
    """Requests from what `transform_function` gave for each batch.

    Raises:
        ValueError: if requests differ in their number of candidates.
    """
    return requests_of_columns(
        {
            name: Column(*(np.concatenate([part[name][field].numpy() for part in parts]) for field in (0, 1)))
            for name in _SPEC
        }
    )
