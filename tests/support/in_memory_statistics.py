"""TFDV's statistics of a few serialized Examples, without Beam."""

from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder


def statistics(examples):
    return generate_statistics_in_memory(ExamplesToRecordBatchDecoder().DecodeBatch(list(examples)))
