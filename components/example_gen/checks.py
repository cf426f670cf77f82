"""Decides, from the report, whether what was read can be used."""

from typing import Any

from components.example_gen.errors import LogError
from components.example_gen.log_report import too_many_bad_rows

_LATER = {"time": "Raise `{split}_share`.", "days": "Raise `{split}_days`.",
          "time_points": "Move `eval_from` and `test_from` into the period of the log."}


def require_usable(report: dict[str, Any]) -> None:
    """Check a report.

    Raises:
        LogError: for a file that breaks off, times that cannot be compared, too many rows set aside, too few items for
            the negatives, or a split that came out empty.
    """
    settings, splits = report["settings"], report["splits"]
    if report["times"]["error"]:
        raise LogError(report["times"]["error"])
    for file in report["files"]:
        _require_readable(file, settings["max_bad_share"])
    if splits["without_candidates"] and settings["candidates_file"]:
        raise LogError(
            f"{splits['without_candidates']:,} requests have no line in {settings['candidates_file']}. Bring the "
            "candidates of the same log, split by the same settings, or clear `candidates_file`.")
    if splits["without_candidates"]:
        raise LogError(
            f"{splits['without_candidates']:,} requests have fewer than {settings['num_negatives']} items that their "
            f"user never clicked, among {report['log']['items']:,} items. Lower `num_negatives`.")
    if not splits["train_targets"]:
        raise LogError(
            f"{report['log']['clicks']:,} clicks of {report['log']['users_with_clicks']:,} users leave nothing to "
            "train on: no click in the train split has a click or a search before it. Bring a longer log or choose "
            "another `split`.")
    for split in ("eval", "test"):
        if not splits[f"{split}_requests"]:
            raise LogError(
                f"The {split} split has no request ({splits['without_history']:,} clicks have nothing before them). "
                + ("Leave-one-out needs users with 3 clicks or more." if settings["split"] == "leave_one_out"
                   else _LATER[settings["split"]].format(split=split)))


def _require_readable(file: dict[str, Any], max_bad_share: float) -> None:
    if file["fatal"]:
        raise LogError(file["fatal"])
    if reason := too_many_bad_rows(file, max_bad_share):
        raise LogError(f"{reason}. Mend the file or raise `max_bad_share`.")
