"""The figures of a run, read from its artifacts and its model."""
