"""What the TFX Evaluator takes from Examples: the ranks that the models give, a whole batch at a time.

TFMA's own extractors hand every feature of every request to Python, for slices and metrics that might ask for it. Ours
ask for the rank alone, and all that parsing and splitting took several times as long as the models.
"""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.extractors import extractor, slice_key_extractor
from tensorflow_model_analysis.utils import model_util

from components.evaluation.raw_requests import rows_a_call
from model.contract import SIGNATURE_RANK_EVAL

Extracts = dict[str, Any]


def custom_extractors(eval_shared_model: Any, eval_config: Any, tensor_adapter_config: Any) -> list[Any]:
    """Extractors in the order in which they are applied; the Evaluator finds this function by its name.

    Args:
        eval_shared_model: the candidate, or it and the baseline.
        eval_config: of the evaluation; it can have no slice but that of all requests.
        tensor_adapter_config: not needed, as no feature is read.
    """
    del tensor_adapter_config
    models = model_util.verify_and_update_eval_shared_models(eval_shared_model)
    rank = _Rank({one.model_name: one.model_loader for one in models})
    return [
        extractor.Extractor(stage_name="Rank", ptransform=rank),
        slice_key_extractor.SliceKeyExtractor(eval_config=eval_config),
    ]


class _Rank(beam.PTransform):
    def __init__(self, loaders: dict[str, Any]) -> None:
        super().__init__()
        self._loaders = loaders

    def expand(self, extracts: beam.PCollection) -> beam.PCollection:
        return extracts | beam.ParDo(_RankBatch(self._loaders))


class _RankBatch(model_util.DoFnWithModels):
    def process(self, element: Extracts) -> Iterator[Extracts]:
        batch = element[constants.ARROW_RECORD_BATCH_KEY]
        column = batch.column(batch.schema.get_field_index(constants.ARROW_INPUT_COLUMN))
        examples = np.asarray(column.flatten())
        size = rows_a_call(examples[0])
        parts = [tf.constant(examples[begin : begin + size]) for begin in range(0, len(examples), size)]
        # By name: TensorFlow takes it by position too, after writing all examples into the text of an error.
        ranks = {
            name: np.concatenate([model.signatures[SIGNATURE_RANK_EVAL](examples=part)["rank"] for part in parts])
            for name, model in self._loaded_models.items()
        }
        yield {constants.PREDICTIONS_KEY: ranks if len(ranks) > 1 else ranks.popitem()[1], constants.FEATURES_KEY: {}}
