"""What the times of a log may look like, and the judgement of its columns of times.

Either all times of a log are dates, from 1990 to the year after the run, or all are ordinal numbers, which only count.
"""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

from components.example_gen.file_report import FileReport

UNITS = {"s": (1e11, 1e3), "ms": (1e14, 1.0), "us": (1e17, 1e-3), "ns": (2.0**63, 1e-6)}
"""Unit of a time to the largest number in it, and the milliseconds that it has; 1e11 seconds is the year 5138."""

EARLIEST = 631_152_000
"""1990-01-01 in unix seconds: smaller whole numbers are a date in no unit."""

ORDINAL = "ordinal numbers"
"""What stands for a unit where times are numbers that only count."""

CALENDAR = "calendar dates written as numbers"
"""What stands for a unit where the digits of a number are a date, such as 20240501 or 20240501063000."""

CALENDAR_PARTS = (1.0, 1e4, 1e6, 1e9)
"""Divisors that leave YYYYMMDD of a calendar date: of itself, with hhmm, with hhmmss, and with milliseconds."""

ISO, ISO_AS_UTC = "ISO 8601", "ISO 8601 without an offset, taken as UTC"

TIME_TEXT = (
    r"(?P<year>[1-9][0-9]{3})-(?P<month>0?[1-9]|1[0-2])-(?P<day>0?[1-9]|[12][0-9]|3[01])"
    r"(?:(?:[Tt]| +)(?P<hour>[01]?[0-9]|2[0-3])"
    r"(?::(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9])(?:[.,](?P<fraction>[0-9]+))?)?)?"
    r"(?: *(?P<offset>[Zz]|UTC|"
    r"(?P<sign>[+-])(?P<offset_hour>[01][0-9]|2[0-3])(?::?(?P<offset_minute>[0-5][0-9]))?))?)?"
)
"""The texts that are times, in a pattern that `re` and polars read alike."""

HALF_MICROSECOND = 5e-4
"""In milliseconds: added before the rest is cut off, for a number of nanoseconds may be a float a little below."""

OUTSIDE = "outside"
"""Counted in place of a unit: dates before 1990 or after the last year, and ordinal numbers among dates."""

STRAY = "stray"
"""Counted in place of a unit: dates among ordinal numbers."""

BAD = (CALENDAR, OUTSIDE, STRAY)
"""Counted in place of a unit where the rows are set aside."""

_EPOCH = date(1970, 1, 1)
_REMEDY = (
    "Write unix seconds, milliseconds, microseconds or nanoseconds, or ISO 8601 text such as 2024-05-01T06:30:00+08:00."
)


def iso_time(text: str) -> tuple[int, bool]:
    """Return the unix milliseconds of a text, in UTC where it has no offset, and whether it has one.

    Python's own reading differs from one version to the next; this one does not.

    Raises:
        ValueError: for text that `TIME_TEXT` does not describe, or a day that its month does not have.
    """
    match = re.fullmatch(TIME_TEXT, text.strip())
    if not match:
        raise ValueError(text)
    part = {
        name: int(match[name] or 0)
        for name in ("year", "month", "day", "hour", "minute", "second", "offset_hour", "offset_minute")
    }
    days = (date(part["year"], part["month"], part["day"]) - _EPOCH).days
    minutes = (days * 24 + part["hour"]) * 60 + part["minute"]
    ahead = part["offset_hour"] * 60 + part["offset_minute"]
    minutes -= -ahead if match["sign"] == "-" else ahead
    thousandths = int((match["fraction"] or "")[:3].ljust(3, "0"))
    return (minutes * 60 + part["second"]) * 1000 + thousandths, match["offset"] is not None


def is_date(digits: int) -> bool:
    """Whether the digits of a number are a date, YYYYMMDD."""
    return 19000101 <= digits <= 20991231 and 1 <= digits // 100 % 100 <= 12 and 1 <= digits % 100 <= 31


def judge_times(files: Sequence[FileReport], split: str) -> dict[str, Any]:
    """Judge the times of a log.

    Args:
        files: reports of all files of the log, in the order in which they are to be named.
        split: of the settings.

    Returns:
        `error`, why the times cannot be used, or None; and `notes`, what to know of them, a sentence each.
    """
    errors = [*map(_unusable, files), _disagreement(files), _unfit_split(files, split)]
    return {"error": next(filter(None, errors), None), "notes": _notes(files)}


def _unusable(file: FileReport) -> str | None:
    total = sum(entry["rows"] for entry in file.times.values())
    for unit in BAD:
        if unit not in file.times or 2 * file.times[unit]["rows"] <= total:
            continue
        rows, first = file.times[unit]["rows"], file.times[unit]["first"]
        column, where = f"{file.file}: {file.time_column}", f"({rows:,} of {total:,} rows, such as {first!r})"
        if unit == CALENDAR:
            return f"{column} holds {CALENDAR} {where}, which do not say in which time zone. {_REMEDY}"
        if unit == OUTSIDE:
            return f"{column} is outside 1990 to {file.last_year} {where}. {_REMEDY}"
        return (
            f"{column} begins with ordinal numbers such as {file.times[ORDINAL]['first']!r} and goes on with dates "
            f"{where}. Bring one of the two alone."
        )
    return None


def _disagreement(files: Sequence[FileReport]) -> str | None:
    ordinal, dates = _first(files, [ORDINAL]), _first(files, [*UNITS, ISO, ISO_AS_UTC])
    if not (ordinal and dates):
        return None
    return (
        f"{ordinal} is an ordinal number, {dates} a date: neither can be put before the other. Bring dates in all "
        "files, or ordinal numbers of one count in all."
    )


def _unfit_split(files: Sequence[FileReport], split: str) -> str | None:
    ordinal = _first(files, [ORDINAL])
    if not ordinal or split not in ("days", "time_points"):
        return None
    return (
        f"`split` should be leave_one_out or time where times are ordinal numbers, which have no days. "
        f"Received: {split}, and {ordinal}."
    )


def _notes(files: Sequence[FileReport]) -> list[str]:
    rows: dict[str, Counter[str]] = {}
    for file in files:
        rows.setdefault(f"{file.table}: {file.time_column}", Counter()).update(
            {unit: entry["rows"] for unit, entry in file.times.items() if unit not in BAD}
        )
    units = {column: sorted(found) for column, found in rows.items() if found}
    notes = []
    if ordinal := [column for column, found in units.items() if ORDINAL in found]:
        notes.append(f"Times are ordinal numbers, no dates ({'; '.join(ordinal)}): they say what came first, not when.")
    for column, found in units.items():
        if len(found) > 1:
            mix = ", ".join(f"{rows[column][unit]:,} rows in {unit}" for unit in found)
            notes.append(f"{column} mixes units ({mix}); each row was read in its own.")
    if len(set(map(tuple, units.values()))) > 1:
        columns = "; ".join(f"{column} in {' and '.join(found)}" for column, found in units.items())
        notes.append(f"Times are in different units, all read as unix milliseconds ({columns}).")
    return notes


def _first(files: Sequence[FileReport], units: Sequence[str]) -> str | None:
    """Name the first time in one of these units."""
    found = [
        f"{file.file}: {file.time_column} {entry['first']!r}"
        for file in files
        for unit, entry in file.times.items()
        if unit in units
    ]
    return found[0] if found else None
