"""The SavedModel: Transform's graph and the model behind the signatures of `model.contract`.

Rows of a call are independent, whatever is in them. A call whose tensors do not fit together, or that asks for more
than the limits of `model.contract`, is refused as a whole: its client sent no request. A row that cannot be read, or
does not agree with itself, gets scores of NaN and the last rank, and its neighbours never notice: TF Serving merges the
calls of many clients, so that an error for one row's sake would be everybody's (docs/servable.md).

A call of `rank` is some hundred operations of a microsecond each: what is computed counts less than how many
operations there are. So the strings of a table are looked up together, shapes are known while the graph is traced, and
the dense weights are constants, for TensorFlow to compute once what depends on them alone (docs/experiments/speed.md).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow.python.eager.wrap_function import VariableHolder, WrappedFunction
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader
from tensorflow_transform.tf2_utils import strip_and_get_tensors_and_control_dependencies

from components.servable.examples import Raw, histories_of, parse
from components.servable.first_stage import TableIndex
from components.servable.saving import fingerprint
from components.servable.tensors import TENSOR_RANKS, Tensors, back, candidates_of, checked, newest_of, sized
from components.transform.preprocessing import from_line
from model import contract
from model.data.windows import Windows
from model.objectives.metrics import pessimistic_rank, pessimistic_ranks
from model.ops.shapes import shaped, sizes
from model.ranker import Explainer, Ranker, Retriever, State

_NO_RANK = tf.float32.min
"""Score of padding among the candidates: below every score of a real one."""
_NOBODY = 0
"""Fingerprint of the state of a row that could not be read."""
_VOCABULARIES = {
    contract.USER_VOCABULARY: (contract.USER,),
    contract.ITEM_VOCABULARY: (contract.CANDIDATES, contract.REC_ITEMS, contract.SEARCH_ITEMS),
    contract.WORD_VOCABULARY: (contract.SEARCH_WORDS,),
}
"""The features whose strings each vocabulary holds; Transform's graph is entered by the first."""


class Servable(tf.Module):
    """Scores raw requests: ids and words as strings in, logits out.

    Ids that no vocabulary holds become the unknown id in the graph. All signatures share the functions that do the work
    (strings to ids, histories to states, candidates to scores), so they give the same scores. They take what the model
    reads, and nothing else.

    Args:
        model: with the weights to serve; a later change of a dense one is not seen.
        transform: whose graph maps strings to ids; its vocabulary files are copied into the SavedModel.

    Attributes:
        fingerprint: of the model, which its states carry.
    """

    def __init__(self, model: Ranker, transform: tft.TFTransformOutput) -> None:
        super().__init__()
        self.model = model
        # What `transform_features_layer` wraps: as a Keras 2 model that would be traced again while it is saved, for
        # many seconds. The attribute lets the tables and vocabulary files be saved with this module.
        self._transform = SavedModelLoader(transform.transform_savedmodel_dir)
        self.transform_resources = self._transform._imported
        self._features = (*(feature for name in model.inputs for feature in contract.INPUTS[name]), contract.CANDIDATES)
        self.fingerprint = fingerprint(model)
        self._dense = [(variable, variable.numpy()) for variable in model.dense_variables]
        vocabulary = transform.vocabulary_file_by_name(contract.ITEM_VOCABULARY)
        # Of a hash there is no way back to a string.
        self.retrieves = isinstance(model, Retriever) and model.item_vectors is not None and vocabulary is not None
        if self.retrieves:
            lines = tf.lookup.TextFileInitializer(
                vocabulary, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE
            )
            self._item_strings = tf.lookup.StaticHashTable(lines, "")
        strings = tf.TensorSpec([None], tf.string)
        self._ids = {name: tf.function(self._ids_of(name), [strings], autograph=False) for name in _VOCABULARIES}

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by signature name, for `tf.saved_model.save`."""
        history = {
            name: tf.TensorSpec(
                [None] * TENSOR_RANKS[name], tf.int64 if name in contract.TIME_FEATURES else tf.string, name=name
            )
            for name in self.model.inputs
        }
        candidates = tf.TensorSpec([None, None], tf.string, name=contract.CANDIDATES)
        encode = self._encode.get_concrete_function(**history)
        state = {
            name: tf.TensorSpec([None, *spec.shape[1:]], spec.dtype, name=name)
            for name, spec in encode.structured_outputs.items()
        }
        more = {}
        if self.retrieves:
            k = tf.TensorSpec([None], tf.int32, name=contract.K)
            leave_out = tf.TensorSpec([None], tf.bool, name=contract.LEAVE_OUT_CLICKED)
            more[contract.SIGNATURE_RECOMMEND] = self._recommend.get_concrete_function(k, leave_out, **history)
        if isinstance(self.model, Explainer):
            item = tf.TensorSpec([None], tf.string, name=contract.ITEM)
            more[contract.SIGNATURE_EXPLAIN] = self._explain.get_concrete_function(item, **history)
        return {
            **more,
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
        tensors = checked({**self._in_order(history), contract.CANDIDATES: candidates})
        columns = tf.shape(candidates)[1]
        strings, fit = candidates_of(tensors.pop(contract.CANDIDATES))
        newest = newest_of(tensors, self.model.config)
        ids = self._look_up({**newest.batch, contract.CANDIDATES: strings})
        candidates = ids.pop(contract.CANDIDATES)
        return self._ranked(candidates, self._states(ids, newest.good & fit), columns)

    @tf.function(autograph=False)
    def _encode(self, **history: tf.Tensor) -> dict[str, tf.Tensor]:
        newest = newest_of(checked(self._in_order(history)), self.model.config)
        return self._states(self._look_up(newest.batch), newest.good)

    @tf.function(autograph=False)
    def _score(self, candidates: tf.Tensor, **state: tf.Tensor) -> dict[str, tf.Tensor]:
        shapes = {name: part.shape for name, part in state.items()}
        state = checked({contract.CANDIDATES: candidates, **state})
        columns = tf.shape(candidates)[1]
        strings, fit = candidates_of(state.pop(contract.CANDIDATES))
        state = sized(state, shapes)
        state[contract.FINGERPRINT] = tf.where(fit, state[contract.FINGERPRINT], _NOBODY)
        return self._ranked(self._look_up({contract.CANDIDATES: strings})[contract.CANDIDATES], state, columns)

    @tf.function(autograph=False)
    def _recommend(self, k: tf.Tensor, leave_out_clicked: tf.Tensor, **history: tf.Tensor) -> dict[str, tf.Tensor]:
        tensors = {**self._in_order(history), contract.K: k, contract.LEAVE_OUT_CLICKED: leave_out_clicked}
        tensors = checked(tensors, contract.MAX_PAIRS // contract.FIRST_STAGE)
        k, leave_out = tensors.pop(contract.K), tensors.pop(contract.LEAVE_OUT_CLICKED)
        newest = newest_of(tensors, self.model.config)
        clicked = [tensors[contract.REC_ITEMS][:, : contract.MAX_EVENTS + 1]] if contract.REC_ITEMS in tensors else []
        if contract.SEARCH_ITEMS in newest.batch:
            _, searches, items = newest.batch[contract.SEARCH_ITEMS].shape
            clicked.append(tf.reshape(newest.batch[contract.SEARCH_ITEMS], [-1, searches * items]))
        ids = self._look_up({**newest.batch, contract.CANDIDATES: tf.concat(clicked, 1)})
        left_out = tf.where(leave_out[:, None], ids.pop(contract.CANDIDATES), contract.PADDING_ID)
        state = self._states(ids, newest.good & (k >= 1) & (k <= contract.MAX_RECOMMENDATIONS))
        found = self._candidates(state, left_out)
        columns = tf.clip_by_value(tf.reduce_max(k), 1, contract.MAX_RECOMMENDATIONS)
        scores, places = tf.math.top_k(self._scores(found, state), columns)
        best = tf.gather(found, places, batch_dims=1)
        beyond = (tf.range(columns) >= k[:, None]) | (best == contract.PADDING_ID) | tf.math.is_nan(scores)
        scores = tf.where(beyond & ~tf.math.is_nan(scores), _NO_RANK, scores)
        return {"items": tf.where(beyond, "", self._strings(best)), "scores": scores}

    @tf.function(autograph=False)
    def _explain(self, item: tf.Tensor, **history: tf.Tensor) -> dict[str, tf.Tensor]:
        tensors = checked({**self._in_order(history), contract.ITEM: item})
        columns = {name: tf.shape(tensor)[1] for name, tensor in tensors.items() if tensor.shape.rank > 1}
        ids_of = {contract.CANDIDATES: tensors.pop(contract.ITEM)[:, None]}
        newest = newest_of(tensors, self.model.config)
        ids = self._look_up({**newest.batch, **ids_of})
        items = ids.pop(contract.CANDIDATES)[:, 0]
        with self._constants():
            found = self.model.explain(ids, items)
        good = newest.good & (items != contract.PADDING_ID)
        rec = back(found.rec, newest.rec_places, columns[contract.REC_ITEMS])
        search = back(found.search, newest.search_places, columns[contract.SEARCH_WORDS])
        told = {
            "score": found.score,
            "rec_weights": rec,
            "search_weights": search,
            "rec_steps": found.rec_steps,
            "search_steps": found.search_steps,
        }
        return {
            name: tf.where(good if value.shape.rank == 1 else good[:, None], value, float("nan"))
            for name, value in told.items()
        }

    def _in_order(self, history: Tensors) -> Tensors:
        return {name: history[name] for name in self.model.inputs}

    def _ranked(self, candidates: tf.Tensor, state: State, columns: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores and ranks of candidates' ids; what was cut from the columns of a call were others' or too many."""
        scores = self._scores(candidates, state)
        scores = tf.pad(scores, [[0, 0], [0, columns - tf.shape(scores)[1]]], constant_values=_NO_RANK)
        return {"scores": scores, "ranks": pessimistic_ranks(scores)}

    def _scores_of_examples(self, raw: Raw, readable: tf.Tensor) -> tf.Tensor:
        """Scores `[B, C]`, C at least 1, so that a row of NaN shows."""
        strings = {name: raw[name].values for names in _VOCABULARIES.values() for name in names if name in raw}
        ids = {
            **raw,
            **{name: raw[name].with_values(found) for name, found in self._look_up(strings, padded=False).items()},
        }
        columns = tf.maximum(tf.reduce_max(ids[contract.CANDIDATES].row_lengths(), keepdims=True), 1)
        candidates = ids[contract.CANDIDATES].to_tensor(shape=tf.concat([[-1], columns], 0))
        histories = histories_of(ids)
        windows = Windows(histories, self.model.config, self.model.inputs)
        batch = windows.gather(
            tf.range(tf.size(histories.users)), histories.rec_offsets[1:], histories.search_offsets[1:]
        )
        return self._scores(candidates, self._states(batch, readable))

    def _look_up(self, strings: Mapping[str, tf.Tensor], padded: bool = True) -> Tensors:
        """Ids of strings of any shape, all of a table at once; of `""` that of padding if `padded`. Times pass by."""
        found = dict(strings)
        for vocabulary, features in _VOCABULARIES.items():
            names = [name for name in features if name in strings]
            if not names:
                continue
            flat = [tf.reshape(strings[name], [-1]) for name in names]
            all_of_them = flat[0] if len(flat) == 1 else tf.concat(flat, 0)
            ids = self._ids[vocabulary](all_of_them)
            if padded:
                ids = tf.where(all_of_them != "", ids, contract.PADDING_ID)
            parts = [ids] if len(flat) == 1 else tf.split(ids, [tf.size(one) for one in flat])
            found.update({name: shaped(part, sizes(strings[name])) for name, part in zip(names, parts, strict=True)})
        return found

    def _ids_of(self, vocabulary: str) -> Any:
        """A function from strings `[n]` to ids `[n]`, int32: of Transform's own graph what one feature needs.

        `apply_transform_model` would look up the strings of all features, of which the others would be empty.
        """
        feature, *_ = _VOCABULARIES[vocabulary]
        whole = WrappedFunction(self._transform._func_graph, variable_holder=VariableHolder(share_variables=True))
        given, found = self._transform._structured_inputs[feature], self._transform.structured_outputs[feature]
        # What each output waits for are the lookups of all others.
        [values], _ = strip_and_get_tensors_and_control_dependencies([found.values])
        part = whole.prune(feeds=[given.flat_values, given.row_splits], fetches=values)

        def ids(strings: tf.Tensor) -> tf.Tensor:
            return tf.cast(part(strings, tf.stack([0, tf.size(strings, tf.int64)])), tf.int32)

        return ids

    @tf.function(autograph=False, reduce_retracing=True)
    def _states(self, batch: Tensors, good: tf.Tensor) -> State:
        """Encoded histories of a model batch, and whose they are."""
        with self._constants():
            state = self.model.encode(batch)
        return {**state, contract.FINGERPRINT: tf.where(good, self.fingerprint, _NOBODY)}

    @tf.function(autograph=False, reduce_retracing=True)
    def _scores(self, candidates: tf.Tensor, state: State) -> tf.Tensor:
        """Logits `[B, C]`; NaN where the state is no state of this model."""
        own = state[contract.FINGERPRINT] == self.fingerprint
        state = {name: part for name, part in state.items() if name != contract.FINGERPRINT}
        with self._constants():
            scores = self.model.score(state, self.model.prepare(candidates))
        scores = tf.where(candidates == contract.PADDING_ID, _NO_RANK, scores)
        return tf.where(own[:, None], scores, float("nan"))

    @tf.function(autograph=False)
    def _candidates(self, state: State, left_out: tf.Tensor) -> tf.Tensor:
        """Ids of what the first stage finds, `[B, FIRST_STAGE]`."""
        own = {name: part for name, part in state.items() if name != contract.FINGERPRINT}
        with self._constants():
            queries = self.model.query(own)
        return TableIndex(self.model.item_vectors.value, contract.FIRST_STAGE).search(queries, left_out)

    def _strings(self, items: tf.Tensor) -> tf.Tensor:
        """The strings of known items' ids, as a log has them."""
        strings = self._item_strings.lookup(tf.cast(items, tf.int64) - contract.FIRST_KNOWN_ID)
        return from_line(strings)

    @contextmanager
    def _constants(self) -> Iterator[None]:
        """Dense weights as constants of the function that is being traced, those of tables as variables."""
        with keras.StatelessScope([(variable, tf.constant(value)) for variable, value in self._dense]):
            yield
