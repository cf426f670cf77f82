"""What stops a run after the log was read."""

import pytest

from components.example_gen.checks import require_usable
from components.example_gen.errors import LogError


def _report(split="leave_one_out", **splits):
    return {
        "settings": {"split": split, "num_negatives": 99, "max_bad_share": 0.01, "candidates_file": ""},
        "files": [], "log": {"items": 40, "clicks": 12, "users_with_clicks": 3},
        "splits": {"train_targets": 5, "eval_requests": 4, "test_requests": 4, "without_history": 2,
                   "without_candidates": 0, **splits},
        "times": {"error": None, "notes": []}}


@pytest.mark.parametrize(("report", "message"), [
    (_report(without_candidates=3), "3 requests have fewer than 99 items .* among 40 items. Lower `num_negatives`"),
    (_report(train_targets=0), "12 clicks of 3 users leave nothing to train on"),
    (_report(test_requests=0), "The test split has no request .* users with 3 clicks or more"),
    (_report("time", test_requests=0), "The test split has no request .* Raise `test_share`"),
    (_report("days", eval_requests=0), "Raise `eval_days`"),
    (_report("time_points", eval_requests=0), "Move `eval_from` and `test_from` into the period"),
])
def test_unusable(report, message):
    with pytest.raises(LogError, match=message):
        require_usable(report)


def test_usable():
    require_usable(_report())


@pytest.mark.parametrize(("bad_rows", "stops"), [(1, False), (2, True)])
def test_the_share_of_bad_rows_may_be_reached_not_passed(bad_rows, stops):
    bad = [{"reason": "click is no number", "rows": bad_rows, "samples": [{"line": 3, "value": "x"}]}]
    report = _report()
    report["files"] = [{"file": "rec_inter.csv", "rows": 100, "bad_rows": bad_rows, "bad": bad, "fatal": None}]
    if stops:
        with pytest.raises(LogError, match=r"rec_inter.csv: 2 of 100 rows cannot be read \(click is no number: 2, "
                                           r"first at line 3: 'x'\), more than `max_bad_share` = 0.01 allows"):
            require_usable(report)
    else:
        require_usable(report)
