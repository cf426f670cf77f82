"""The state of a version, as GetModelStatus reports it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VersionState:
    """A version with its state in the words of TF Serving (LOADING, AVAILABLE, END), and why it is not served."""

    version: int
    state: str
    error: str = ""
