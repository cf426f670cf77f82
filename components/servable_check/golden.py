"""What a servable should answer, computed without it: by the trained weights and Transform's graph, each apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_transform as tft

from components.servable.saving import load
from components.servable_check.requests import rank_inputs, rank_times
from model import contract
from model.config import RankerConfig


def golden_scores(
    saved_model_dir: str, transform: tft.TFTransformOutput, records: Sequence[bytes]
) -> list[npt.NDArray[Any]]:
    """Scores of the candidates of each request, float32 `[C]` each.

    Of the SavedModel only the weights are read, into a new model. Transform's own graph gives the ids, and NumPy cuts
    and pads the histories: neither the servable's graph nor the windows of training are used.

    Args:
        saved_model_dir: where the weights are, and what the model is.
        transform: what Transform put out.
        records: serialized request Examples that plain tensors can hold.

    Raises:
        tf.errors.OpError, ValueError: if the weights cannot be read or are those of another model, or if the SavedModel
            does not say what it is.
    """
    plain, times = rank_inputs(records), rank_times(records)
    with tf.device("CPU"):  # a GPU may round products to fewer digits
        model = load(saved_model_dir)
        batch = {
            name: tf.constant(ids) for name, ids in _cut({**_ids(plain, transform), **times}, model.config).items()
        }
        scores = model.score(model.encode(batch), model.prepare(batch[contract.CANDIDATES])).numpy()
    counts = (plain[contract.CANDIDATES] != b"").sum(1)
    return [row[:count] for row, count in zip(scores, counts, strict=True)]


def _ids(plain: dict[str, npt.NDArray[Any]], transform: tft.TFTransformOutput) -> dict[str, npt.NDArray[Any]]:
    """Ids of strings of any shape, 0 for padding, by Transform's graph on all strings of a feature as one row."""
    present = {name: values != b"" for name, values in plain.items()}
    raw = {
        name: tf.RaggedTensor.from_tensor(tf.constant([plain[name][present[name]].tolist()], tf.string))
        for name in plain
    }
    for name in (contract.SEARCH_WORD_COUNTS, contract.SEARCH_ITEM_COUNTS):
        raw[name] = tf.RaggedTensor.from_tensor(tf.zeros([1, 0], tf.int64))
    transformed = transform.transform_raw_features(raw, drop_unused_features=True)
    ids = {}
    for name, mask in present.items():
        ids[name] = np.full(mask.shape, contract.PADDING_ID, np.int32)
        ids[name][mask] = transformed[name].values.numpy()
    return ids


def _cut(ids: dict[str, npt.NDArray[Any]], shape: RankerConfig) -> dict[str, npt.NDArray[Any]]:
    """The newest events and the first words and clicks of each search, as many as the model looks at."""
    limits = {
        contract.REC_ITEMS: np.s_[:, -shape.rec_length :],
        contract.SEARCH_WORDS: np.s_[:, -shape.search_length :, : shape.words_per_search],
        contract.SEARCH_ITEMS: np.s_[:, -shape.search_length :, : shape.items_per_search],
        contract.REC_TIMES: np.s_[:, -shape.rec_length :],
        contract.SEARCH_TIMES: np.s_[:, -shape.search_length :],
    }
    wanted = {
        contract.REC_ITEMS: (shape.rec_length,),
        contract.SEARCH_WORDS: (shape.search_length, shape.words_per_search),
        contract.SEARCH_ITEMS: (shape.search_length, shape.items_per_search),
        contract.REC_TIMES: (shape.rec_length,),
        contract.SEARCH_TIMES: (shape.search_length,),
    }
    out = dict(ids)
    for name, limit in limits.items():
        kept = ids[name][limit]
        missing = [want - have for want, have in zip(wanted[name], kept.shape[1:], strict=True)]
        out[name] = np.pad(kept, [(0, 0), (missing[0], 0), *((0, more) for more in missing[1:])])
    return out
