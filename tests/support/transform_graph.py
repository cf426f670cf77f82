"""A Transform graph over a few Examples, without the rest of the pipeline."""

import tempfile
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.public import tfxio

from components.curated_schema.component import SCHEMA_FILE
from components.transform.preprocessing import preprocessing_fn

BEAM_ARGUMENTS = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]


def write_transform_graph(directory: str, settings: dict[str, Any], examples: Sequence[bytes]) -> tft.TFTransformOutput:
    """Analyses serialized Examples on Beam's in-memory runner, and writes the graph as the Transform component does.

    Args:
        directory: to be made.
        settings: of `components.transform.preprocessing`; `items_per_search` is 5 where they do not say.
        examples: the raw train split.
    """
    schema = text_format.Parse(SCHEMA_FILE.read_text(), schema_pb2.Schema())
    source = tfxio.TFExampleBeamRecord(physical_format="memory", schema=schema, telemetry_descriptors=["benchmark"])
    with (
        tempfile.TemporaryDirectory() as temporary,
        beam.Pipeline(argv=BEAM_ARGUMENTS) as pipeline,
        tft_beam.Context(temp_dir=temporary),
    ):
        table = pipeline | beam.Create(list(examples)) | source.BeamSource()
        graph = (table, source.TensorAdapterConfig()) | tft_beam.AnalyzeDataset(
            lambda inputs: preprocessing_fn(inputs, {"items_per_search": 5, **settings})
        )
        _ = graph | tft_beam.WriteTransformFn(directory)
    return tft.TFTransformOutput(directory)


def example(**features: list[Any]) -> bytes:
    """A serialized tf.Example of lists of strings and integers."""
    made = tf.train.Example()
    for name, values in features.items():
        feature = made.features.feature[name]
        if values and isinstance(values[0], int):
            feature.int64_list.value.extend(values)
        else:
            feature.bytes_list.value.extend(value.encode() for value in values)
    return made.SerializeToString(deterministic=True)
