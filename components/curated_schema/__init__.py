"""Hands the schema that people wrote to the pipeline."""
