"""What reading one file came to."""

import dataclasses
from typing import Any

VALUE_LENGTH = 200


@dataclasses.dataclass
class FileReport:
    """Counts of one file.

    Attributes:
        table: of the `LogFile`.
        file: name of the file as it was found.
        rows: data rows, those set aside included.
        clicks: rows that carry a click on a recommended item.
        unclicked: rows of a recommended item without a click.
        first, last: earliest and latest timestamp of a row that carries a click of either kind, unix milliseconds;
            None without one.
        time_column: name of the column of times.
        times: unit of a time, or what stands for one in `time_columns`, to its `rows` and the `first` text of them.
        last_year: that a time may lie in, the year after the run's; 9998 where the run is not known.
        bad: reason to rows set aside for it.
        repaired: reason to rows that were read after all, such as times in seconds.
        samples: reason to the first rows of it, bad or repaired: line and value.
        max_samples: rows kept of a reason.
        kept_as: where the events are kept for later runs; "" where they are not.
        read_before: whether an earlier run read the file, and this one took its events.
        fatal: why reading stopped before the end; None where it did not.
    """

    table: str
    file: str
    rows: int = 0
    clicks: int = 0
    unclicked: int = 0
    first: int | None = None
    last: int | None = None
    time_column: str = ""
    times: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    last_year: int = 9998
    bad: dict[str, int] = dataclasses.field(default_factory=dict)
    repaired: dict[str, int] = dataclasses.field(default_factory=dict)
    samples: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    max_samples: int = 5
    kept_as: str = ""
    read_before: bool = False
    fatal: str | None = None

    def add_times(self, first: int | None, last: int | None) -> None:
        """Widen the period of rows with a click; None where a batch has none."""
        if first is not None and last is not None:
            self.first = first if self.first is None else min(self.first, first)
            self.last = last if self.last is None else max(self.last, last)

    def add_unit(self, column: str, unit: str, rows: int, first: str) -> None:
        """Count the rows whose times are in a unit, and keep the first text."""
        self.time_column = column
        self.times.setdefault(unit, {"rows": 0, "first": first[:VALUE_LENGTH]})["rows"] += rows

    def set_aside(self, line: int, reason: str, value: str, rows: int = 1) -> None:
        """Count rows that cannot be read, and keep the first few of a reason."""
        self.bad[reason] = self.bad.get(reason, 0) + rows
        self._keep(line, reason, value)

    def repair(self, line: int, reason: str, value: str, rows: int = 1) -> None:
        """Count rows that were read after all, and keep the first few of a reason."""
        self.repaired[reason] = self.repaired.get(reason, 0) + rows
        self._keep(line, reason, value)

    def _keep(self, line: int, reason: str, value: str) -> None:
        kept = self.samples.setdefault(reason, [])
        if len(kept) < self.max_samples:
            kept.append({"line": line, "value": value[:VALUE_LENGTH]})
