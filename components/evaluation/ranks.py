"""Ranks that saved models give to the requests of a raw split, and the same requests as ids, in the same order."""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

from model import inputs as contract
from model.training.columns import Column
from model.training.requests import Requests, requests_of_columns

BATCH = 512
_INTEGERS = (contract.SEARCH_WORD_COUNTS, contract.SEARCH_ITEM_COUNTS, contract.LABEL)
_SPEC = {name: tf.io.RaggedFeature(tf.int64 if name in _INTEGERS else tf.string, row_splits_dtype=tf.int64)
         for name in (*contract.REQUEST_FEATURES, contract.LABEL)}


def saved_model_ranks(saved_model_dir: str, files: Sequence[str], batch_size: int = BATCH) -> np.ndarray:
    """Rank of each request's positive by a model's `rank_eval` signature, int32 `[R]`.

    Args:
        saved_model_dir: of a `Servable`.
        files: gzipped TFRecord files of raw request Examples with labels; requests keep their order.
        batch_size: requests a call.
    """
    model = tf.saved_model.load(saved_model_dir)
    rank = model.signatures[contract.SIGNATURE_RANK_EVAL]
    found = [rank(examples=examples)["rank"].numpy()[:, 0] for examples in _batches(files, batch_size)]
    return np.concatenate([np.zeros(0, np.int32), *found])


def raw_requests(transform_graph_dir: str, files: Sequence[str], batch_size: int = BATCH) -> Requests:
    """Requests of raw Examples through Transform's graph, in the order of `files`, which Transform does not keep.

    Args:
        transform_graph_dir: artifact of Transform.
        files: as `saved_model_ranks` takes them.
        batch_size: requests a call.

    Raises:
        ValueError: if requests differ in their number of candidates.
    """
    loader = SavedModelLoader(tft.TFTransformOutput(transform_graph_dir).transform_savedmodel_dir)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
    def transform(examples: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        raw = tf.io.parse_example(examples, _SPEC)
        label = raw.pop(contract.LABEL)
        transformed = loader.apply_transform_model(raw)
        ragged = {name: tf.RaggedTensor.from_sparse(transformed[name]) for name in raw} | {contract.LABEL: label}
        return {name: (tf.cast(one.flat_values, tf.int32), tf.cast(one.row_lengths(), tf.int32))
                for name, one in ragged.items()}

    parts = [transform(examples) for examples in _batches(files, batch_size)]
    return requests_of_columns({
        name: Column(*(np.concatenate([part[name][field].numpy() for part in parts]) for field in (0, 1)))
        for name in _SPEC})


def _batches(files: Sequence[str], batch_size: int) -> Iterator[tf.Tensor]:
    return iter(tf.data.TFRecordDataset(list(files), compression_type="GZIP").batch(batch_size).prefetch(1))
