"""Judges a model by its ranking of the test split: slices, intervals, paired tests, thresholds."""
