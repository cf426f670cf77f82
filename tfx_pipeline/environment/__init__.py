"""The environment that steps run in: whether it is whole, and as locked."""
