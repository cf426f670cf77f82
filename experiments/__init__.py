"""Measurements of quality; those of speed are in `benchmarks`."""
