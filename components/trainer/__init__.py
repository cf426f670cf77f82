"""The `run_fn` of both training stages."""
