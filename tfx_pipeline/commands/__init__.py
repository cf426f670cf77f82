"""The commands of `lcr-ser`, a module each."""
