"""Experiments on a log that the pipeline has transformed, and measurements of speed: `python -m benchmarks.NAME`."""

from tfx_pipeline.console import quiet

# As the pipeline runs, and before TensorFlow is imported.
quiet.set_environment()
