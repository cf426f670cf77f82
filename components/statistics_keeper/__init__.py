"""Remembers on which data a pushed model was trained."""
