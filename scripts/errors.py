"""The one error that set-up reports to its user."""


class SetupError(Exception):
    """Set-up cannot go on; the message is one line that says what is wrong and what to do."""
