"""What reading one file came to."""

import dataclasses
from typing import Any

EXAMPLES_KEPT = 5
VALUE_LENGTH = 200


@dataclasses.dataclass
class FileReport:
    """Counts of one file.

    Attributes:
        table: name of the file without `.gz`.
        file: name of the file as it was found.
        rows: data rows, those set aside included.
        clicks: rows that carry a click.
        first: earliest timestamp of a row with a click, unix milliseconds; None without one.
        last: latest such timestamp.
        bad: reason to rows set aside for it.
        examples: reason to the first of those rows: line and value.
        fatal: why reading stopped before the end; None where it did not.
    """

    table: str
    file: str
    rows: int = 0
    clicks: int = 0
    first: float | None = None
    last: float | None = None
    bad: dict[str, int] = dataclasses.field(default_factory=dict)
    examples: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    fatal: str | None = None

    def add_click(self, timestamp: float) -> None:
        """Count a row with a click."""
        self.clicks += 1
        self.first = timestamp if self.first is None else min(self.first, timestamp)
        self.last = timestamp if self.last is None else max(self.last, timestamp)

    def set_aside(self, line: int, reason: str, value: str) -> None:
        """Count a row that cannot be read, and keep the first few of a kind."""
        self.bad[reason] = self.bad.get(reason, 0) + 1
        kept = self.examples.setdefault(reason, [])
        if len(kept) < EXAMPLES_KEPT:
            kept.append({"line": line, "value": value[:VALUE_LENGTH]})
