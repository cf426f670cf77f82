"""SavedModels of Rankers: written so that every loader reads them, described, and loaded from their directory alone."""

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from model.config import Arithmetic, RankerConfig
from model.contract import FINGERPRINT
from model.ranker import Ranker
from model.registry import make_config, make_ranker

DESCRIPTION_FILE = os.path.join("assets.extra", "ranker.json")
"""What a SavedModel says of itself: see `describe`."""
FLOAT32 = Arithmetic()


def save(module: tf.Module, directory: str, signatures: dict[str, Any] | None = None) -> None:
    """`tf.saved_model.save` of a module that holds a Keras model, for loaders of graphs such as TF Serving's too.

    On export Keras makes a second variable of each of its own. The saver restores that one, while the functions read
    the first: `tf.saved_model.load` does not mind, but who runs the graph in a session finds variables that were never
    initialised. So each is mapped to the one that the functions read.

    Raises:
        ValueError: if the model has weights that TensorFlow would not save, such as those in a list of layers.
    """
    saved = {id(one) for one in tf.train.TrackableView(module).descendants()}
    if lost := [variable.path for variable in module.model.weights if not {id(variable), id(variable.value)} & saved]:
        raise ValueError(
            f"Every weight should lie below an attribute of `model`, for TensorFlow to save it. Received: {lost}."
        )
    # Nobody differentiates a servable: tracing the gradients that were written by hand took half of the time.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with _exported_once():
        tf.saved_model.save(module, directory, signatures=signatures, options=options)


@contextlib.contextmanager
def _exported_once() -> Iterator[None]:
    def export(variable: keras.Variable, object_map: Any, tensor_map: Any, options: Any, **kwargs: Any) -> Any:
        resources = variable.value._export_to_saved_model_graph(object_map, tensor_map, options, **kwargs)
        object_map[variable] = object_map[variable.value]
        return resources

    of_keras = keras.Variable._export_to_saved_model_graph
    keras.Variable._export_to_saved_model_graph = export
    try:
        yield
    finally:
        keras.Variable._export_to_saved_model_graph = of_keras


def save_weights(model: Ranker, directory: str) -> None:
    """Save a SavedModel that holds the weights alone, for `restore`; a `Servable` costs many seconds of tracing."""
    module = tf.Module()
    module.model = model
    save(module, directory)


def restore(model: Ranker, saved_model_dir: str) -> Ranker:
    """Load into a model the weights of a SavedModel of a `Servable` or of `save_weights`."""
    variables = os.path.join(saved_model_dir, "variables", "variables")
    tf.train.Checkpoint(model=model).read(variables).assert_existing_objects_matched().expect_partial()
    return model


def fingerprint(model: Ranker) -> int:
    """A number that tells models apart by their weights: states of one are nothing to another."""
    digest = hashlib.sha256()
    for variable in model.weights:
        digest.update(repr(tuple(variable.shape)).encode())
        digest.update(variable.numpy().tobytes())
    return int.from_bytes(digest.digest()[:8], "big") >> 1


def describe(
    saved_model_dir: str,
    config: RankerConfig,
    vocabulary: Mapping[str, Any],
    code: str,
    *,
    arithmetic: Arithmetic = FLOAT32,
    mark: int = 0,
) -> None:
    """Write beside a SavedModel what it is, for `load`.

    Args:
        saved_model_dir: a local directory or a URI.
        config: of its model, sizes of tables included.
        vocabulary: settings of `components.transform.preprocessing`.
        code: hash of the source that trained it.
        arithmetic: what it was trained in; it computes in float32 from now on.
        mark: its `fingerprint`, where it is a `Servable`.
    """
    path = os.path.join(saved_model_dir, DESCRIPTION_FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    description = {
        "model": dataclasses.asdict(config),
        "vocabulary": dict(vocabulary),
        "code": code,
        "arithmetic": dataclasses.asdict(arithmetic),
        FINGERPRINT: mark,
    }
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(json.dumps(description, indent=1, sort_keys=True) + "\n")


def load(saved_model_dir: str) -> Ranker:
    """The model of a SavedModel, pushed or not, from its directory alone.

    Raises:
        ValueError: if it does not say what it is, or the weights are those of another model.
    """
    path = os.path.join(saved_model_dir, DESCRIPTION_FILE)
    try:
        with tf.io.gfile.GFile(path, "r") as file:
            config = make_config(json.loads(file.read())["model"])
    except tf.errors.NotFoundError as error:
        raise ValueError(
            f"`saved_model_dir` should hold {DESCRIPTION_FILE}, which says what model it is. Received: "
            f"{saved_model_dir}, without it. Train the model again."
        ) from error
    try:
        return restore(make_ranker(config), saved_model_dir)
    except (AssertionError, ValueError) as error:
        raise ValueError(
            f"The weights in {saved_model_dir} are not those of its {DESCRIPTION_FILE}: {error}"
        ) from error
