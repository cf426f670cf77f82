"""The SavedModel: Transform's graph and the model behind the signatures of `model.contract`.

Rows of a call are independent, whatever is in them. A call whose tensors do not fit together, or that asks for more
than the limits of `model.contract`, is refused as a whole: its client sent no request. A row that cannot be read, or
does not agree with itself, gets scores of NaN and the last rank, and its neighbours never notice: TF Serving merges the
calls of many clients, so that an error for one row's sake would be everybody's (docs/servable.md).
"""

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

from components.servable.inputs import (
    TENSOR_RANKS,
    Raw,
    checks_of_candidates,
    checks_of_history,
    checks_of_state,
    equal_sizes,
    histories_of,
    history_of_tensors,
    id_dtype,
    no_values,
    parse,
    raw_dtype,
    specs,
)
from model import contract
from model.data.windows import Windows
from model.objectives.metrics import pessimistic_rank, pessimistic_ranks
from model.ranker import Ranker, State

_NO_RANK = tf.float32.min
"""Score of padding among the candidates: below every score of a real one."""


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
        self._ids = tf.function(self._ids_of_strings, [specs(self._features, raw_dtype)], autograph=False)
        self._states = tf.function(self._states_of_ids, [specs(self._features, id_dtype)], autograph=False)

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by signature name, for `tf.saved_model.save`."""
        history = {
            name: tf.TensorSpec([None] * TENSOR_RANKS[name], raw_dtype(name), name=name) for name in self.model.inputs
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
        return {"scores": self._scores_of_examples(*parse(examples, self._features))}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def _rank_eval(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        raw, readable = parse(examples, (*self._features, contract.LABEL))
        label = tf.cast(raw.pop(contract.LABEL).to_tensor(shape=[None, 1])[:, 0], tf.int32)
        return {"rank": pessimistic_rank(self._scores_of_examples(raw, readable), label)[:, None]}

    @tf.function(autograph=False)
    def _rank(self, candidates: tf.Tensor, **history: tf.Tensor) -> dict[str, tf.Tensor]:
        first, *_ = self.model.inputs
        checks = [
            *checks_of_candidates(candidates),
            equal_sizes(contract.CANDIDATES, first, candidates, history[first]),
        ]
        with tf.control_dependencies(checks):
            candidates = tf.identity(candidates)
        return self._ranked(candidates, self._encode(**history))

    @tf.function(autograph=False)
    def _encode(self, **history: tf.Tensor) -> dict[str, tf.Tensor]:
        history = {name: history[name] for name in self.model.inputs}
        with tf.control_dependencies(checks_of_history(history)):
            history = {name: tf.identity(tensor) for name, tensor in history.items()}
        raw = history_of_tensors(history)
        rows = tf.shape(history[self.model.inputs[0]])[0]
        return self._states(self._ids({**raw, contract.CANDIDATES: no_values(rows, tf.string)}))

    @tf.function(autograph=False)
    def _score(self, candidates: tf.Tensor, **state: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([*checks_of_candidates(candidates), *checks_of_state(state, candidates)]):
            candidates, state = tf.identity(candidates), {name: tf.identity(part) for name, part in state.items()}
        return self._ranked(candidates, state)

    def _ranked(self, candidates: tf.Tensor, state: State) -> dict[str, tf.Tensor]:
        real = candidates != ""
        raw = {name: no_values(tf.shape(candidates)[0], raw_dtype(name)) for name in self._features}
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
        histories = histories_of(ids)
        rows = tf.range(tf.size(histories.users))
        windows = Windows(histories, self.model.config, self.model.inputs)
        return self.model.encode(windows.gather(rows, histories.rec_offsets[1:], histories.search_offsets[1:]))

    @tf.function(autograph=False, reduce_retracing=True)
    def _scores(self, candidates: tf.Tensor, state: State) -> tf.Tensor:
        scores = self.model.score(state, self.model.prepare(candidates))
        return tf.where(candidates == contract.PADDING_ID, _NO_RANK, scores)
