"""TF Serving's warm-up requests: synthetic ones of every served signature, so that no client waits for the graph."""

import json
import os
import random
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from model import contract

FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
SERVED = (
    contract.SIGNATURE_DEFAULT,
    contract.SIGNATURE_RANK,
    contract.SIGNATURE_ENCODE,
    contract.SIGNATURE_SCORE,
    contract.SIGNATURE_RECOMMEND,
    contract.SIGNATURE_EXPLAIN,
)
BATCH_SIZES = (1, contract.MAX_MERGED_ROWS)
"""A server that merges calls sends its warm-up requests through the same queue, which takes no larger ones."""
DESCRIPTION = os.path.join("assets.extra", "ranker.json")
"""What a SavedModel says of itself."""
_CANDIDATES = 100
_VALUES = {contract.K: 10, contract.LEAVE_OUT_CLICKED: True}
_EVENTS, _STRINGS_A_SEARCH = 10, 3


def write_warm_up(saved_model_dir: str, model_name: str = "lcr_ser") -> None:
    """Add `assets.extra/tf_serving_warmup_requests` to a SavedModel: one request a served signature and batch size.

    Ids and words are random, those of no user. TF Serving answers the requests before a version is available; so does
    the server of this package.

    Args:
        saved_model_dir: of a servable, a local directory or a URI; signatures that it lacks are left out.
        model_name: name that the model is served by.
    """
    with tf.io.gfile.GFile(os.path.join(saved_model_dir, "saved_model.pb"), "rb") as file:
        saved = saved_model_pb2.SavedModel.FromString(file.read())
    signatures = saved.meta_graphs[0].signature_def
    mark = _fingerprint(os.path.join(saved_model_dir, DESCRIPTION))
    path = os.path.join(saved_model_dir, FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.TFRecordWriter(path) as writer:
        for name in SERVED:
            for request in _requests(signatures[name], mark) if name in signatures else ():
                request.model_spec.name, request.model_spec.signature_name = model_name, name
                log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
                writer.write(log.SerializeToString(deterministic=True))


def _requests(signature: meta_graph_pb2.SignatureDef, mark: int) -> Iterator[predict_pb2.PredictRequest]:
    """One request for each batch size; the same ones every time, for equal models to be equal files."""
    strings = _strings(random.Random(contract.SIGNATURE_DEFAULT))  # noqa: S311 - nothing secret
    for size in BATCH_SIZES:
        request = predict_pb2.PredictRequest()
        for name, info in sorted(signature.inputs.items()):
            dtype = tf.dtypes.as_dtype(info.dtype)
            shape = (size, *_inner_shape(name, info))
            if name in _VALUES:
                values = np.full(shape, _VALUES[name], dtype.as_numpy_dtype)
            elif name == contract.FINGERPRINT:
                values = np.full(shape, mark, np.int64)
            elif name == "examples":
                values = np.array([_example(strings) for _ in range(size)], object)
            elif dtype == tf.string:
                values = np.array(strings(int(np.prod(shape))), object).reshape(shape)
            else:
                values = np.ones(shape, dtype.as_numpy_dtype)  # states; a mask of ones lets every event count
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values, dtype))
        yield request


def _fingerprint(path: str) -> int:
    """What the model's states carry; without its description they are those of no model, and scored as such."""
    if not tf.io.gfile.exists(path):
        return 0
    with tf.io.gfile.GFile(path, "r") as file:
        return int(json.load(file)[contract.FINGERPRINT])


def _inner_shape(name: str, info: meta_graph_pb2.TensorInfo) -> list[int]:
    """All dimensions but the batch, with sizes for those that the signature leaves open."""
    sizes = [dimension.size for dimension in info.tensor_shape.dim][1:]
    usual = (_CANDIDATES if name == contract.CANDIDATES else _EVENTS, _STRINGS_A_SEARCH)
    return [usual[place] if size < 0 else size for place, size in enumerate(sizes)]


def _strings(generator: random.Random) -> Callable[[int], list[bytes]]:
    return lambda count: [b"warm-up %d" % generator.randrange(10**9) for _ in range(count)]


def _example(strings: Callable[[int], list[bytes]]) -> bytes:
    """A request Example with full histories."""
    per_search = _EVENTS * _STRINGS_A_SEARCH
    example = tf.train.Example()
    for name, count in (
        (contract.USER, 1),
        (contract.REC_ITEMS, _EVENTS),
        (contract.SEARCH_WORDS, per_search),
        (contract.SEARCH_ITEMS, per_search),
        (contract.CANDIDATES, _CANDIDATES),
    ):
        example.features.feature[name].bytes_list.value.extend(strings(count))
    for name in (contract.SEARCH_WORD_COUNTS, contract.SEARCH_ITEM_COUNTS):
        example.features.feature[name].int64_list.value.extend([_STRINGS_A_SEARCH] * _EVENTS)
    for name in contract.TIME_FEATURES:
        example.features.feature[name].int64_list.value.extend(range(1, _EVENTS + 1))
    return example.SerializeToString(deterministic=True)
