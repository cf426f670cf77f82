"""The error of a log that cannot be used."""


class LogError(ValueError):
    """A log that cannot be used as it is; the message says what was found where, and what to do."""
