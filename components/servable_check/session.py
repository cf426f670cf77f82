"""A SavedModel as TF Serving loads and runs it."""

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

Signature = Callable[..., dict[str, npt.NDArray[Any]]]


class SessionModel:
    """Signatures of a SavedModel, run in a session; use it as a context manager.

    TF Serving restores the variables that the saver of the graph names and runs the graph, in C++.
    `tf.saved_model.load` builds objects from another part of the same file, so that a model may load there, not here.

    Args:
        saved_model_dir: a local directory or a URI.

    Attributes:
        signatures: by name. Each takes arrays by the names of its inputs and gives arrays by those of its outputs.
        inputs: the names of each signature's inputs.

    Raises:
        Exception: whatever TensorFlow raises of a SavedModel that cannot be loaded.
    """

    def __init__(self, saved_model_dir: str) -> None:
        graph = tf.Graph()
        with graph.as_default():
            self._session = tf.compat.v1.Session()
            meta_graph = tf.compat.v1.saved_model.loader.load(self._session, [tf.saved_model.SERVING], saved_model_dir)
        definitions = {
            name: definition for name, definition in meta_graph.signature_def.items() if not name.startswith("__")
        }
        self.signatures: dict[str, Signature] = {
            name: functools.partial(self._run, definition) for name, definition in definitions.items()
        }
        self.inputs = {name: frozenset(definition.inputs) for name, definition in definitions.items()}

    def __enter__(self) -> "SessionModel":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def _run(self, definition: meta_graph_pb2.SignatureDef, **inputs: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        known = dict(definition.inputs)
        feeds = {known[name].name: values for name, values in inputs.items()}
        outputs = {name: tensor.name for name, tensor in definition.outputs.items()}
        found: dict[str, npt.NDArray[Any]] = self._session.run(outputs, feeds)
        return found
