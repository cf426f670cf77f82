"""The SavedModel: Transform's graph and the model behind the signatures of `model.contract`.

Rows of a call are independent, whatever is in them. A call whose tensors do not fit together, or that asks for more
than the limits of `model.contract`, is refused as a whole: its client sent no request. A row that cannot be read, or
does not agree with itself, gets scores of NaN and the last rank, and its neighbours never notice: TF Serving merges the
calls of many clients, so that an error for one row's sake would be everybody's (docs/servable.md).
"""

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

from model import contract
from model.config import RankerConfig
from model.data.timelines import Histories
from model.data.windows import Windows
from model.objectives.metrics import pessimistic_rank, pessimistic_ranks
from model.ranker import Ranker, State
from model.registry import make_config, make_ranker

_NO_RANK = tf.float32.min
"""Score of padding among the candidates: below every score of a real one."""
DESCRIPTION_FILE = os.path.join("assets.extra", "ranker.json")
"""What a SavedModel says of itself: see `describe`."""

_TENSOR_RANKS = {
    contract.USER: 1,
    contract.REC_ITEMS: 2,
    contract.SEARCH_WORDS: 3,
    contract.SEARCH_ITEMS: 3,
    contract.REC_TIMES: 2,
    contract.SEARCH_TIMES: 2,
}
"""Rank of each history tensor of the signatures that take plain tensors."""

Raw = dict[str, tf.RaggedTensor]


def _dtype(feature: str) -> tf.DType:
    """Of a raw feature."""
    return tf.int64 if feature.endswith(("_counts", "_times")) or feature == contract.LABEL else tf.string


def _id_dtype(feature: str) -> tf.DType:
    """Of a feature as the model reads it; a time in milliseconds does not fit into 32 bits."""
    return tf.int64 if feature in contract.TIME_FEATURES else tf.int32


def _specs(features: Iterable[str], dtype: Callable[[str], tf.DType]) -> dict[str, tf.RaggedTensorSpec]:
    return {name: tf.RaggedTensorSpec([None, None], dtype(name), ragged_rank=1) for name in features}


def _no_values(rows: tf.Tensor, dtype: tf.DType) -> tf.RaggedTensor:
    return tf.RaggedTensor.from_row_splits(tf.zeros([0], dtype), tf.zeros([rows + 1], tf.int64), validate=False)


class Servable(tf.Module):
    """Scores raw requests: ids and words as strings in, logits out.

    Ids that no vocabulary holds become the unknown id in the graph. All signatures share the three functions that
    do the work (strings to ids, histories to states, candidates to scores), so they give the same scores. They take
    what the model reads, and nothing else.

    Args:
        model: with the weights to serve.
        transform: whose graph maps strings to ids; its vocabulary files are copied into the SavedModel.
    """

    def __init__(self, model: Ranker, transform: tft.TFTransformOutput) -> None:
        super().__init__()
        self.model = model
        # What `transform_features_layer` wraps: as a Keras 2 model that would be traced again while it is saved, for
        # many seconds. The attribute lets the tables and vocabulary files be saved with this module.
        self._transform = SavedModelLoader(transform.transform_savedmodel_dir)
        self.transform_resources = self._transform._imported
        self._features = (*(feature for name in model.inputs for feature in contract.INPUTS[name]), contract.CANDIDATES)
        self._ids = tf.function(self._ids_of_strings, [_specs(self._features, _dtype)], autograph=False)
        self._states = tf.function(self._states_of_ids, [_specs(self._features, _id_dtype)], autograph=False)

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by signature name, for `tf.saved_model.save`."""
        history = {
            name: tf.TensorSpec([None] * _TENSOR_RANKS[name], _dtype(name), name=name) for name in self.model.inputs
        }
        candidates = tf.TensorSpec([None, None], tf.string, name=contract.CANDIDATES)
        encode = self._encode.get_concrete_function(**history)
        state = {
            name: tf.TensorSpec([None, *spec.shape[1:]], spec.dtype, name=name)
            for name, spec in encode.structured_outputs.items()
        }
        return {
            contract.SIGNATURE_DEFAULT: self._score_examples,
            contract.SIGNATURE_RANK_EVAL: self._rank_eval,
            contract.SIGNATURE_RANK: self._rank.get_concrete_function(candidates, **history),
            contract.SIGNATURE_ENCODE: encode,
            contract.SIGNATURE_SCORE: self._score.get_concrete_function(candidates, **state),
        }

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def _score_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": self._scores_of_examples(*_parse(examples, self._features))}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def _rank_eval(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        raw, readable = _parse(examples, (*self._features, contract.LABEL))
        label = tf.cast(raw.pop(contract.LABEL).to_tensor(shape=[None, 1])[:, 0], tf.int32)
        return {"rank": pessimistic_rank(self._scores_of_examples(raw, readable), label)[:, None]}

    @tf.function(autograph=False)
    def _rank(self, candidates: tf.Tensor, **history: tf.Tensor) -> dict[str, tf.Tensor]:
        first, *_ = self.model.inputs
        checks = [*_checks_of_candidates(candidates), _equal(contract.CANDIDATES, first, candidates, history[first])]
        with tf.control_dependencies(checks):
            candidates = tf.identity(candidates)
        return self._ranked(candidates, self._encode(**history))

    @tf.function(autograph=False)
    def _encode(self, **history: tf.Tensor) -> dict[str, tf.Tensor]:
        history = {name: history[name] for name in self.model.inputs}
        with tf.control_dependencies(_checks_of_history(history)):
            history = {name: tf.identity(tensor) for name, tensor in history.items()}
        raw = _history_of_tensors(history)
        rows = tf.shape(history[self.model.inputs[0]])[0]
        return self._states(self._ids({**raw, contract.CANDIDATES: _no_values(rows, tf.string)}))

    @tf.function(autograph=False)
    def _score(self, candidates: tf.Tensor, **state: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([*_checks_of_candidates(candidates), *_checks_of_state(state, candidates)]):
            candidates, state = tf.identity(candidates), {name: tf.identity(part) for name, part in state.items()}
        return self._ranked(candidates, state)

    def _ranked(self, candidates: tf.Tensor, state: State) -> dict[str, tf.Tensor]:
        real = candidates != ""
        raw = {name: _no_values(tf.shape(candidates)[0], _dtype(name)) for name in self._features}
        ids = self._ids({**raw, contract.CANDIDATES: tf.RaggedTensor.from_tensor(candidates)})[contract.CANDIDATES]
        scores = self._scores(tf.where(real, ids.to_tensor(shape=[None, None]), contract.PADDING_ID), state)
        return {"scores": scores, "ranks": pessimistic_ranks(scores)}

    def _scores_of_examples(self, raw: Raw, readable: tf.Tensor) -> tf.Tensor:
        """Scores `[B, C]`, C at least 1, so that a row of NaN shows."""
        ids = self._ids(raw)
        columns = tf.maximum(tf.reduce_max(ids[contract.CANDIDATES].row_lengths(), keepdims=True), 1)
        candidates = ids[contract.CANDIDATES].to_tensor(shape=tf.concat([[-1], columns], 0))
        return tf.where(readable[:, None], self._scores(candidates, self._states(ids)), float("nan"))

    def _ids_of_strings(self, raw: Raw) -> Raw:
        """Strings to ids, int32, by Transform's own graph, which times pass by."""
        times: Raw = {name: raw[name] for name in contract.TIME_FEATURES if name in raw}
        transformed = self._transform.apply_transform_model({name: raw[name] for name in raw if name not in times})
        ids = {name: tf.RaggedTensor.from_sparse(transformed[name]) for name in raw if name not in times}
        return {**{name: tf.cast(values, tf.int32) for name, values in ids.items()}, **times}

    def _states_of_ids(self, ids: Raw) -> State:
        """Encoded histories, cut from the requests as training cuts them from timelines."""
        histories = _histories(ids)
        rows = tf.range(tf.size(histories.users))
        windows = Windows(histories, self.model.config, self.model.inputs)
        return self.model.encode(windows.gather(rows, histories.rec_offsets[1:], histories.search_offsets[1:]))

    @tf.function(autograph=False, reduce_retracing=True)
    def _scores(self, candidates: tf.Tensor, state: State) -> tf.Tensor:
        scores = self.model.score(state, self.model.prepare(candidates))
        return tf.where(candidates == contract.PADDING_ID, _NO_RANK, scores)


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
    with _exported_once():
        tf.saved_model.save(module, directory, signatures=signatures)


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


def describe(saved_model_dir: str, config: RankerConfig, vocabulary: Mapping[str, Any], code: str) -> None:
    """Write beside a SavedModel what it is, for `load`.

    Args:
        saved_model_dir: a local directory or a URI.
        config: of its model, sizes of tables included.
        vocabulary: settings of `components.preprocessing`.
        code: hash of the source that trained it.
    """
    path = os.path.join(saved_model_dir, DESCRIPTION_FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    description = {"model": dataclasses.asdict(config), "vocabulary": dict(vocabulary), "code": code}
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


def _parse(examples: tf.Tensor, features: tuple[str, ...]) -> tuple[Raw, tf.Tensor]:
    """Features of serialized Examples, `[B]`, and which of these can be read and agree with themselves, bool `[B]`.

    The others come as Examples without any feature. Whether they can be parsed is tried on the whole batch at first:
    looking at each row takes far longer, and is seldom needed.
    """
    with tf.control_dependencies([_right_rows("examples", examples)]):
        examples = tf.identity(examples)
    spec = {name: tf.io.RaggedFeature(_dtype(name), row_splits_dtype=tf.int64) for name in features}
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


def _equal(name: str, other: str, tensor: tf.Tensor, of_other: tf.Tensor, axis: int = 0) -> tf.Operation:
    size, wanted = tf.shape(tensor)[axis], tf.shape(of_other)[axis]
    what = ("rows", "clicks" if name == contract.REC_TIMES else "searches")[axis]
    return tf.debugging.Assert(
        size == wanted, [f"`{name}` should hold as many {what} as `{other}`. Received:", size, "and", wanted]
    )


def _checks_of_history(history: dict[str, tf.Tensor]) -> list[tf.Operation]:
    first, *others = history
    checks = [_right_rows(first, history[first])]
    if {contract.SEARCH_WORDS, contract.SEARCH_ITEMS} <= history.keys():
        words, items = history[contract.SEARCH_WORDS], history[contract.SEARCH_ITEMS]
        checks.append(_equal(contract.SEARCH_ITEMS, contract.SEARCH_WORDS, items, words, axis=1))
    for times, of in ((contract.REC_TIMES, contract.REC_ITEMS), (contract.SEARCH_TIMES, contract.SEARCH_ITEMS)):
        if times in history:
            checks.append(_equal(times, of, history[times], history[of], axis=1))
    checks += [_equal(name, first, history[name], history[first]) for name in others]
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


def _checks_of_candidates(candidates: tf.Tensor) -> list[tf.Operation]:
    return [
        _right_rows(contract.CANDIDATES, candidates),
        _at_most(contract.CANDIDATES, "columns", tf.shape(candidates)[1], contract.MAX_CANDIDATES),
        _at_most(contract.CANDIDATES, "strings", tf.size(candidates, tf.int64), contract.MAX_PAIRS),
    ]


def _checks_of_state(state: dict[str, tf.Tensor], candidates: tf.Tensor) -> list[tf.Operation]:
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


def _history_of_tensors(history: dict[str, tf.Tensor]) -> Raw:
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


def _histories(ids: Raw) -> Histories:
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
