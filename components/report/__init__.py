"""The run page: what went in, what came out, and whether it was pushed."""
