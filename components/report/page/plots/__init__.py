"""The pictures of a run page."""
