"""Experiments on a log that the pipeline has transformed: `python -m benchmarks.NAME`, settings as for a run."""
