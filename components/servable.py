"""The SavedModel: Transform's graph and the model behind the signatures of `model.inputs`."""

import os
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

from model import inputs as contract
from model.lcr_ser import LcrSer
from model.metrics import pessimistic_rank
from model.training.timelines import Histories
from model.training.windows import Windows

_RAW_DTYPES = {name: tf.int64 if name.endswith("_counts") or name == contract.LABEL else tf.string
               for name in (*contract.REQUEST_FEATURES, contract.LABEL)}
_NO_RANK = tf.float32.min
"""Score of padding among the candidates: below every score of a real one."""

_TENSOR_RANKS = {contract.USER: 1, contract.REC_ITEMS: 2, contract.SEARCH_WORDS: 3, contract.SEARCH_ITEMS: 3}
"""Rank of each history tensor of the signatures that take plain tensors."""

Raw = dict[str, tf.RaggedTensor]


_RAW_SPECS, _ID_SPECS = (
    {name: tf.RaggedTensorSpec([None, None], dtype or _RAW_DTYPES[name], ragged_rank=1)
     for name in contract.REQUEST_FEATURES}
    for dtype in (None, tf.int32))


def _no_values(rows: tf.Tensor, dtype: tf.DType) -> tf.RaggedTensor:
    return tf.RaggedTensor.from_row_splits(tf.zeros([0], dtype), tf.zeros([rows + 1], tf.int64), validate=False)


class Servable(tf.Module):
    """Scores raw requests: ids and words as strings in, logits out.

    Ids that no vocabulary holds become the unknown id in the graph. All signatures share the three functions that
    do the work (strings to ids, histories to states, candidates to scores), so they give the same scores.

    Args:
        model: with the weights to serve.
        transform: whose graph maps strings to ids; its vocabulary files are copied into the SavedModel.
    """

    def __init__(self, model: LcrSer, transform: tft.TFTransformOutput) -> None:
        super().__init__()
        self.model = model
        # What `transform_features_layer` wraps: as a Keras 2 model that would be traced again while it is saved, for
        # many seconds. The attribute lets the tables and vocabulary files be saved with this module.
        self._transform = SavedModelLoader(transform.transform_savedmodel_dir)
        self.transform_resources = self._transform._imported

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by signature name, for `tf.saved_model.save`."""
        history = [tf.TensorSpec([None] * rank, tf.string, name=name) for name, rank in _TENSOR_RANKS.items()]
        candidates = tf.TensorSpec([None, None], tf.string, name=contract.CANDIDATES)
        encode = self._encode.get_concrete_function(*history)
        state = {name: tf.TensorSpec([None, *spec.shape[1:]], spec.dtype, name=name)
                 for name, spec in encode.structured_outputs.items()}
        return {
            contract.SIGNATURE_DEFAULT: self._score_examples,
            contract.SIGNATURE_RANK_EVAL: self._rank_eval,
            contract.SIGNATURE_RANK: self._rank.get_concrete_function(*history, candidates),
            contract.SIGNATURE_ENCODE: encode,
            contract.SIGNATURE_SCORE: self._score.get_concrete_function(candidates, **state),
        }

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def _score_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": self._scores_of_examples(_parse(examples, contract.REQUEST_FEATURES))}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def _rank_eval(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        raw = _parse(examples, (*contract.REQUEST_FEATURES, contract.LABEL))
        label = tf.cast(raw.pop(contract.LABEL).to_tensor(shape=[None, 1])[:, 0], tf.int32)
        return {"rank": pessimistic_rank(self._scores_of_examples(raw), label)[:, None]}

    @tf.function(autograph=False)
    def _rank(self, user: tf.Tensor, rec_items: tf.Tensor, search_words: tf.Tensor, search_items: tf.Tensor,
              candidates: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._score(candidates, **self._encode(user, rec_items, search_words, search_items))

    @tf.function(autograph=False)
    def _encode(self, user: tf.Tensor, rec_items: tf.Tensor, search_words: tf.Tensor,
                search_items: tf.Tensor) -> dict[str, tf.Tensor]:
        raw = _history_of_tensors(user, rec_items, search_words, search_items)
        raw[contract.CANDIDATES] = _no_values(tf.shape(user)[0], tf.string)
        return self._states(self._ids(raw))

    @tf.function(autograph=False)
    def _score(self, candidates: tf.Tensor, **state: tf.Tensor) -> dict[str, tf.Tensor]:
        real = candidates != ""
        raw = {name: _no_values(tf.shape(candidates)[0], _RAW_DTYPES[name]) for name in contract.REQUEST_FEATURES}
        ids = self._ids({**raw, contract.CANDIDATES: tf.RaggedTensor.from_tensor(candidates)})[contract.CANDIDATES]
        scores = self._scores(tf.where(real, ids.to_tensor(shape=[None, None]), contract.PADDING_ID), state)
        lower = tf.reduce_sum(tf.cast(scores[:, None, :] < scores[:, :, None], tf.int32), 2)
        ranks = tf.shape(scores)[1] - lower  # as `model.metrics.pessimistic_rank` counts
        return {"scores": scores, "ranks": ranks}

    def _scores_of_examples(self, raw: Raw) -> tf.Tensor:
        ids = self._ids(raw)
        return self._scores(ids[contract.CANDIDATES].to_tensor(), self._states(ids))

    @tf.function(autograph=False, input_signature=[_RAW_SPECS])
    def _ids(self, raw: Raw) -> Raw:
        """Strings to ids, int32, by Transform's own graph."""
        transformed = self._transform.apply_transform_model(raw)
        return {name: tf.cast(tf.RaggedTensor.from_sparse(transformed[name]), tf.int32) for name in raw}

    @tf.function(autograph=False, input_signature=[_ID_SPECS])
    def _states(self, ids: Raw) -> dict[str, tf.Tensor]:
        """Encoded histories, cut from the requests as training cuts them from timelines."""
        histories = _histories(ids)
        rows = tf.range(tf.size(histories.users))
        windows = Windows(histories, self.model.config)
        return self.model.encode(windows.gather(rows, histories.rec_offsets[1:], histories.search_offsets[1:]))

    @tf.function(autograph=False, reduce_retracing=True)
    def _scores(self, candidates: tf.Tensor, state: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.where(candidates == contract.PADDING_ID, _NO_RANK, self.model.score(state, candidates))


def save_weights(model: LcrSer, directory: str) -> None:
    """Save a SavedModel that holds the weights alone, for `restore`; a `Servable` costs many seconds of tracing."""
    module = tf.Module()
    module.model = model
    tf.saved_model.save(module, directory)


def restore(model: LcrSer, saved_model_dir: str) -> LcrSer:
    """Load into a model the weights of a SavedModel of a `Servable` or of `save_weights`."""
    variables = os.path.join(saved_model_dir, "variables", "variables")
    tf.train.Checkpoint(model=model).read(variables).assert_existing_objects_matched().expect_partial()
    return model


def _parse(examples: tf.Tensor, features: tuple[str, ...]) -> Raw:
    spec = {name: tf.io.RaggedFeature(_RAW_DTYPES[name], row_splits_dtype=tf.int64) for name in features}
    return tf.io.parse_example(examples, spec)


def _history_of_tensors(user: tf.Tensor, rec_items: tf.Tensor, search_words: tf.Tensor,
                        search_items: tf.Tensor) -> Raw:
    """The features of an Example, from padded tensors; "" is padding."""
    is_word, is_item = search_words != "", search_items != ""
    is_search = tf.reduce_any(is_word, 2) | tf.reduce_any(is_item, 2)

    def counts(present: tf.Tensor) -> tf.RaggedTensor:
        return tf.ragged.boolean_mask(tf.reduce_sum(tf.cast(present, tf.int64), 2), is_search)

    def flat(values: tf.Tensor, present: tf.Tensor) -> tf.RaggedTensor:
        rows = tf.shape(values)[0]
        return tf.ragged.boolean_mask(tf.reshape(values, [rows, -1]), tf.reshape(present, [rows, -1]))

    return {
        contract.USER: tf.RaggedTensor.from_tensor(user[:, None]),
        contract.REC_ITEMS: tf.ragged.boolean_mask(rec_items, rec_items != ""),
        contract.SEARCH_WORDS: flat(search_words, is_word),
        contract.SEARCH_WORD_COUNTS: counts(is_word),
        contract.SEARCH_ITEMS: flat(search_items, is_item),
        contract.SEARCH_ITEM_COUNTS: counts(is_item),
    }


def _histories(ids: Raw) -> Histories:
    def integers(tensor: tf.Tensor) -> tf.Tensor:
        return tf.cast(tensor, tf.int32)

    def begins(counts: tf.RaggedTensor) -> tf.Tensor:
        return integers(tf.concat([[0], tf.cumsum(counts.values)], 0))

    return Histories(
        users=integers(ids[contract.USER].values),
        rec_items=integers(ids[contract.REC_ITEMS].values),
        rec_offsets=integers(ids[contract.REC_ITEMS].row_splits),
        search_offsets=integers(ids[contract.SEARCH_WORD_COUNTS].row_splits),
        search_words=integers(ids[contract.SEARCH_WORDS].values),
        word_offsets=begins(ids[contract.SEARCH_WORD_COUNTS]),
        search_items=integers(ids[contract.SEARCH_ITEMS].values),
        item_offsets=begins(ids[contract.SEARCH_ITEM_COUNTS]),
    )
