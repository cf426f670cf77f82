"""Models to compare with, each a Ranker of a kind in `model.registry`."""
