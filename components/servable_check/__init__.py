"""Stops a push where the SavedModel cannot be served: it does not load, answers wrongly, or does what it must not."""
