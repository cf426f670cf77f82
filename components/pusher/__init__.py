"""Puts a model where the servers read it, whole or not at all, and takes it back again."""
