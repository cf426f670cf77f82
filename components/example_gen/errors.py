"""The error of a log that cannot be used, and how files are named in it."""

from collections.abc import Sequence


class LogError(ValueError):
    """A log that cannot be used as it is; the message says what was found where, and what to do."""


def name_some(names: Sequence[str], limit: int = 5) -> str:
    """Name the first few, and count the rest."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
