"""Ranks of stored candidates and of the whole catalogue."""
