"""Finds the model that a new candidate is compared with."""
