"""A server of TF Serving's interface that answers from NumPy, fails as it is told, and keeps what it was asked.

It reads and writes with TensorFlow's own messages, so that it knows nothing of the client's.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

HISTORY = ("user", "rec_items", "search_words", "search_items")
LOWEST = np.finfo(np.float32).min
VERSION = 3


def lengths(cells):
    """The score of an item here is the length of its id, in bytes."""
    return np.vectorize(len, otypes=[np.float32])(cells)


def rank(inputs):
    scores = np.where(inputs["candidates"] == b"", LOWEST, lengths(inputs["candidates"]))
    better = scores[:, None, :] > scores[:, :, None]
    ties = (scores[:, None, :] == scores[:, :, None]) & (
        np.arange(scores.shape[1]) < np.arange(scores.shape[1])[:, None]
    )
    return {"scores": scores, "ranks": (1 + (better | ties).sum(2)).astype(np.int32)}


def encode(inputs):
    rows = len(inputs["user"])
    clicks = (inputs["rec_items"] != b"").sum(1, dtype=np.float32)
    return {
        "fingerprint": np.full(rows, 77, np.int64),
        "clicks": np.stack([clicks, -clicks], 1),
    }


def score(inputs):
    ranked = rank(inputs)
    ranked["scores"] = np.where(
        inputs["fingerprint"][:, None] == 77, ranked["scores"] + inputs["clicks"][:, :1], np.float32(np.nan)
    )
    return ranked


def recommend(inputs):
    """A catalogue of four items, padded as for a neighbour in the batch that wants seven."""
    items = np.full((1, 7), b"", object)
    own = min(int(inputs["k"][0]), 4)
    items[0, :own] = [b"dddd", "ccü".encode(), b"bb", b"a"][:own]
    return {"items": items, "scores": np.where(items == b"", LOWEST, lengths(items)).astype(np.float32)}


def explain(inputs):
    """Weights tell their column, padded as for a neighbour with a longer history."""

    def columns(count):
        return np.arange(count + 2, dtype=np.float32)[None] / 100

    return {
        "score": lengths(inputs["item"]),
        "rec_weights": columns(inputs["rec_items"].shape[1]),
        "search_weights": columns(inputs["search_words"].shape[1]),
        "rec_steps": np.array([[0.25, 0.5]], np.float32),
        "search_steps": np.array([[-0.25, 0.75]], np.float32),
    }


ANSWERS = {"rank": rank, "encode": encode, "score": score, "recommend": recommend, "explain": explain}
READS = {
    "rank": (*HISTORY, "candidates"),
    "encode": HISTORY,
    "score": ("fingerprint", "clicks", "candidates"),
    "recommend": (*HISTORY, "k", "leave_out_clicked"),
    "explain": (*HISTORY, "item"),
}


class RecordingServer(
    prediction_service_pb2_grpc.PredictionServiceServicer, model_service_pb2_grpc.ModelServiceServicer
):
    """Use it as a context manager.

    `version`, `answers`, `reads` and `failures` may be changed while it runs. Each call takes the first of `failures`:
    a gRPC status that it ends with, or None. `calls` are the requests as they came; `asked` holds, for each Predict,
    its signature and its inputs as arrays; `headers` and `seconds` what came with each call: metadata, and the time
    left to answer; `peers` are the connections they came by.
    """

    def __init__(self, credentials=None, workers=4, address="127.0.0.1:0"):
        self.version, self.answers, self.reads = VERSION, dict(ANSWERS), dict(READS)
        self.failures, self.calls, self.asked, self.headers, self.seconds = [], [], [], [], []
        self.peers = set()
        self._lock = threading.Lock()
        self._server = grpc.server(
            ThreadPoolExecutor(workers), options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)]
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(self, self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(self, self._server)
        port = (
            self._server.add_insecure_port(address)
            if credentials is None
            else self._server.add_secure_port(address, credentials)
        )
        self.address = f"127.0.0.1:{port}"

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(None).wait()

    def Predict(self, request, context):
        self._begin(request, context)
        signature = request.model_spec.signature_name
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        self.asked.append((signature, inputs))
        if inputs.keys() != set(self.reads[signature]):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"reads {self.reads[signature]}, got {sorted(inputs)}")
        response = predict_pb2.PredictResponse()
        response.model_spec.version.value = self.version
        for name, array in self.answers[signature](inputs).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        return response

    def GetModelMetadata(self, request, context):
        self._begin(request, context)
        found = get_model_metadata_pb2.SignatureDefMap()
        for signature, inputs in self.reads.items():
            for name in inputs:
                found.signature_def[signature].inputs[name].name = f"{signature}_{name}:0"
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(found)
        return response

    def GetModelStatus(self, request, context):
        self._begin(request, context)
        response = get_model_status_pb2.GetModelStatusResponse()
        response.model_version_status.add(version=self.version, state="AVAILABLE")
        response.model_version_status.add(version=2, state="END").status.error_message = "gone"
        return response

    def _begin(self, request, context):
        with self._lock:
            self.calls.append(request)
            self.peers.add(context.peer())
            self.headers.append(dict(context.invocation_metadata()))
            self.seconds.append(context.time_remaining())
            failure = self.failures.pop(0) if self.failures else None
        spec = request.model_spec
        if failure is not None:
            context.abort(failure, "told to fail")
        if spec.HasField("version") and spec.version.value != self.version:
            context.abort(grpc.StatusCode.NOT_FOUND, f"version {spec.version.value} is not loaded")
