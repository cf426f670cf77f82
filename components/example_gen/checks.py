"""Decides, from the report, whether what was read can be used."""

from typing import Any

from components.example_gen.errors import LogError
from components.example_gen.log_report import set_aside_requests, too_many_bad_rows
from components.example_gen.two_tables import moment

MIN_ASKED = 0.1
"""Of the requests, those that must have candidates."""
_LATER = {
    "time": "Raise `{split}_share`.",
    "days": "Raise `{split}_days`.",
    "time_points": "Move `eval_from` and `test_from` into the period of the log.",
}
_EARLIER = {
    "time": "Lower `eval_share` and `test_share`.",
    "days": "Lower `eval_days` and `test_days`.",
    "time_points": "Move `eval_from` and `test_from` into the period of the log.",
}
_LONGER = "Bring a longer log or choose another `split`."


def require_usable(report: dict[str, Any]) -> None:
    """Check a report.

    Raises:
        LogError: for a file that breaks off, times that cannot be compared, too many rows set aside, no click, requests
            without candidates, or a split that came out empty.
    """
    settings, splits = report["settings"], report["splits"]
    if report["times"]["error"]:
        raise LogError(report["times"]["error"])
    for file in report["files"]:
        _require_readable(file, settings["max_bad_share"])
    _require_clicks(report)
    if splits["missing_candidates"]:
        raise LogError(
            f"{splits['missing_candidates']:,} requests have no line in {settings['candidates_file']}. Bring the "
            "candidates of the same log, split by the same settings, or clear `candidates_file`."
        )
    asked = splits["eval_requests"] + splits["test_requests"]
    if asked < MIN_ASKED * (asked + splits["without_candidates"]):
        raise LogError(f"{set_aside_requests(report)} {_more_candidates(report)}")
    if not splits["train_targets"]:
        raise LogError(f"The train split has nothing to predict: {_why_untrained(report)}")
    for split in ("eval", "test"):
        if not splits[f"{split}_requests"]:
            raise LogError(f"The {split} split has no request: {_why_unasked(report, split)}")


def _require_readable(file: dict[str, Any], max_bad_share: float) -> None:
    if file["fatal"]:
        raise LogError(file["fatal"])
    if reason := too_many_bad_rows(file, max_bad_share):
        raise LogError(f"{reason}. Mend the file or raise `max_bad_share`.")


def _require_clicks(report: dict[str, Any]) -> None:
    settings, log = report["settings"], report["log"]
    if log["clicks"]:
        return
    if report["rules"]["clicks_left_out"]:
        _, most = report["tables"]["clicks_of_a_user"]
        raise LogError(
            f"All {report['rules']['users_left_out']:,} users have fewer clicks than `min_clicks` = "
            f"{settings['min_clicks']}: the most that one has is {most}. Lower `min_clicks`."
        )
    if not log["recommended_without_click"]:
        raise LogError(
            "The log has no recommended item: no file of recommendations has a row that can be read. Bring "
            "one that has."
        )
    if settings["source"] == "events":
        columns = settings["columns"]
        named = columns.get("recommendations.clicked", columns.get("clicked", "clicked"))
        told, remedy = f"`{named}` is neither true nor above 0", "Name the column that tells a click under `columns`."
    else:
        named = " or ".join(f"`{column}`" for column in settings["click_columns"])
        told, remedy = f"{named} is nowhere above 0", "Name the columns that tell a click in `click_columns`."
    raise LogError(f"None of {log['recommended_without_click']:,} recommended items was clicked: {told}. {remedy}")


def _more_candidates(report: dict[str, Any]) -> str:
    settings, items = report["settings"], report["log"]["items"]
    if settings["candidates_file"]:
        return "Draw them anew: clear `candidates_file`."
    if items <= settings["num_negatives"]:
        return f"Lower `num_negatives` to {items - 1} or less." if items > 1 else "Bring a log with more than one item."
    ways = []
    if settings["num_negatives"] > 1:
        ways.append("lower `num_negatives`")
    if settings["negatives_avoid"] != "none":
        ways.append(
            "let in what the user clicked by `negatives_avoid` = "
            + ("none" if settings["negatives_avoid"] == "past" else "past or none")
        )
    if settings["negatives_existing"]:
        ways.append("set `negatives_existing` to false")
    return f"Bring a log with more items, or {', or '.join(ways)}."


def _why_untrained(report: dict[str, Any]) -> str:
    settings, splits = report["settings"], report["splits"]
    if tied := _all_tied(report):
        return tied
    if not splits["train_clicks"]:
        first, last = map(moment, report["tables"]["click_times"])
        return (
            f"no click is before {moment(report['cuts']['eval'])}, where the eval split begins (clicks are from "
            f"{first} to {last}). {_EARLIER[settings['split']]}"
        )
    return (
        f"none of its {splits['train_clicks']:,} clicks has a click or a search of the same user before it. {_LONGER}"
    )


def _why_unasked(report: dict[str, Any], split: str) -> str:
    settings, splits = report["settings"], report["splits"]
    clicks, cuts = splits[f"{split}_clicks"], report["cuts"]
    if not clicks and settings["split"] == "leave_one_out":
        _, most = report["tables"]["clicks_of_a_user"]
        return f"leave-one-out needs users with 3 clicks or more, and the most that one has is {most}. {_LONGER}"
    if not clicks:
        first, last = map(moment, report["tables"]["click_times"])
        until = f" and before {moment(cuts['test'])}" if split == "eval" else ""
        return f"no click is from {moment(cuts[split])} on{until} (clicks are from {first} to {last}). " + _LATER[
            settings["split"]
        ].format(split=split)
    if splits[f"{split}_without_history"] < clicks:
        return f"{set_aside_requests(report)} {_more_candidates(report)}"
    if tied := _all_tied(report):
        return tied
    longer = _LONGER if settings["split"] == "leave_one_out" else _LATER[settings["split"]].format(split=split)
    return f"none of its {clicks:,} clicks has a click or a search of the same user before it. {longer}"


def _all_tied(report: dict[str, Any]) -> str | None:
    """Where users have several clicks, but none a click at an earlier time, the times are too coarse."""
    _, most = report["tables"]["clicks_of_a_user"]
    if most == 1 or report["splits"]["clicks_after_another"]:
        return None
    return (
        "all clicks of a user have one and the same time, so that none is before another. Bring times that tell "
        "the order, to the second or finer."
    )
