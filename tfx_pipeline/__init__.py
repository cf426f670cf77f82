"""Composition, configuration and command line of the pipeline."""
