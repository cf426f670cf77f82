"""What stops a run after the log was read, and the cause that is named."""

import pytest

from components.example_gen.checks import require_usable
from components.example_gen.errors import LogError

DAY = 86_400_000


def _report(split="leave_one_out", settings=None, log=None, tables=None, rules=None, **splits):
    """Of a log of January 1970, all of whose requests have candidates."""
    return {
        "settings": {
            "split": split,
            "num_negatives": 99,
            "max_bad_share": 0.01,
            "candidates_file": "",
            "source": "events",
            "columns": {},
            "click_columns": ["click", "like"],
            "min_clicks": 0,
            "max_pool_items": 1000,
            "negatives_avoid": "whole_log",
            "negatives_existing": False,
            **(settings or {}),
        },
        "files": [],
        "log": {"items": 140, "clicks": 12, "users_with_clicks": 3, "recommended_without_click": 7, **(log or {})},
        "tables": {
            "click_times": [DAY, 5 * DAY],
            "clicks_of_a_user": [1, 4],
            "without_candidates": ["ann", "bob"],
            **(tables or {}),
        },
        "rules": {"clicks_left_out": 0, "users_left_out": 0, **(rules or {})},
        "cuts": None if split == "leave_one_out" else {"eval": 3 * DAY, "test": 4 * DAY},
        "splits": {
            "train_clicks": 6,
            "train_targets": 5,
            "clicks_after_another": 9,
            "eval_clicks": 6,
            "eval_requests": 4,
            "eval_without_history": 2,
            "test_clicks": 4,
            "test_requests": 4,
            "test_without_history": 0,
            "without_candidates": 0,
            "users_without_candidates": 0,
            "missing_candidates": 0,
            **splits,
        },
        "times": {"error": None, "notes": []},
    }


def _set_aside(count, **values):
    return _report(without_candidates=count, users_without_candidates=2, eval_requests=0, test_requests=1, **values)


NOBODY = {"clicks": 0, "items": 0}
ALONE = {"clicks_of_a_user": [1, 2]}


@pytest.mark.parametrize(
    ("report", "message"),
    [
        # Nothing is clicked.
        (
            _report(log=NOBODY),
            r"None of 7 recommended items was clicked: `clicked` is neither true nor above 0. Name the "
            r"column that tells a click under `columns`",
        ),
        (_report(log=NOBODY, settings={"columns": {"clicked": "bought"}}), "`bought` is neither"),
        (
            _report(log=NOBODY, settings={"columns": {"clicked": "x", "recommendations.clicked": "bought"}}),
            "`bought` is neit",
        ),
        (
            _report(log=NOBODY, settings={"source": "kuaisar"}),
            "`click` or `like` is nowhere above 0. .* in `click_columns`",
        ),
        (
            _report(log={**NOBODY, "recommended_without_click": 0}),
            "no file of recommendations has a row that can be read",
        ),
        (
            _report(log=NOBODY, rules={"clicks_left_out": 9, "users_left_out": 5}, settings={"min_clicks": 5}),
            "All 5 users have fewer clicks than `min_clicks` = 5: the most that one has is 4. Lower `min_clicks`",
        ),
        # Too few items beside the user's own.
        (
            _set_aside(10),
            r"^10 of 11 requests were set aside, those of 2 users \(such as 'ann', 'bob'\): fewer than "
            r"`num_negatives` = 99 of 140 items are left that the user never clicked. Bring a log with more "
            r"items, or lower `num_negatives`, or let in what the user clicked by `negatives_avoid` = past "
            r"or none",
        ),
        (
            _set_aside(10, settings={"num_negatives": 1}),
            "Bring a log with more items, or let in what the user clicked by",
        ),
        (
            _set_aside(10, settings={"negatives_avoid": "past"}),
            "had not clicked by then. .* by `negatives_avoid` = none",
        ),
        (
            _set_aside(10, settings={"negatives_avoid": "none", "negatives_existing": True}),
            "and that anybody had clicked by then .* or lower `num_negatives`, or set `negatives_existing` to false",
        ),
        (_set_aside(10, settings={"max_pool_items": 120}), "of 120 items are left"),
        (
            _set_aside(10, log={"items": 40}),
            "of 40 items are left that the user never clicked. Lower `num_negatives` to 39 or",
        ),
        (_set_aside(10, log={"items": 1}), "Bring a log with more than one item"),
        (
            _set_aside(10, settings={"candidates_file": "c.parquet"}),
            "c.parquet has no candidates for them. Draw them anew",
        ),
        (
            _report(missing_candidates=3, settings={"candidates_file": "c.parquet"}),
            "3 requests have no line in c.parquet",
        ),
        # Nothing to train on.
        (
            _report(train_targets=0),
            "The train split has nothing to predict: none of its 6 clicks has a click or a search "
            "of the same user before it. Bring a longer log",
        ),
        (_report(train_targets=0, clicks_after_another=0), "all clicks of a user have one and the same time"),
        (
            _report("time", train_targets=0, train_clicks=0),
            "no click is before 1970-01-04 00:00, where the eval split begins .clicks are from 1970-01-02 00:00 to "
            "1970-01-06 00:00.. Lower `eval_share` and `test_share`",
        ),
        (_report("days", train_targets=0, train_clicks=0), "Lower `eval_days` and `test_days`"),
        (_report("time_points", train_targets=0, train_clicks=0), "Move `eval_from` and `test_from`"),
        # Nothing to ask.
        (
            _report(test_requests=0, test_clicks=0, tables=ALONE),
            "The test split has no request: leave-one-out needs users with 3 clicks or more, and the most that one "
            "has is 2",
        ),
        (
            _report(test_requests=0, test_without_history=4),
            "none of its 4 clicks has a click or a search of the same user",
        ),
        (
            _report(test_requests=0, test_without_history=4, clicks_after_another=0),
            "all clicks of a user have one and the same",
        ),
        (
            _report(test_requests=0, without_candidates=4, users_without_candidates=2),
            "The test split has no request: 4 of 8 requests were set aside, .* Bring a log with more items",
        ),
        (_report("time", test_requests=0, test_without_history=4), "none of its 4 clicks .* Raise `test_share`"),
        (
            _report("days", eval_requests=0, eval_clicks=0, eval_without_history=0),
            "The eval split has no request: no click is from 1970-01-04 00:00 on and before 1970-01-05 00:00 .clicks "
            "are from 1970-01-02 00:00 to 1970-01-06 00:00.. Raise `eval_days`",
        ),
        (
            _report("time_points", test_requests=0, test_clicks=0),
            "no click is from 1970-01-05 00:00 on .clicks .* Move `eval_f",
        ),
    ],
)
def test_unusable(report, message):
    with pytest.raises(LogError, match=message):
        require_usable(report)


@pytest.mark.parametrize("report", [_report(), _report(without_candidates=72, users_without_candidates=9)])
def test_usable(report):
    """As long as a tenth of the requests is left, the others may be set aside: here 8 of 80."""
    require_usable(report)


@pytest.mark.parametrize(("bad_rows", "stops"), [(1, False), (2, True)])
def test_the_share_of_bad_rows_may_be_reached_not_passed(bad_rows, stops):
    bad = [{"reason": "click is no number", "rows": bad_rows, "samples": [{"line": 3, "value": "x"}]}]
    report = _report()
    report["files"] = [{"file": "rec_inter.csv", "rows": 100, "bad_rows": bad_rows, "bad": bad, "fatal": None}]
    if stops:
        with pytest.raises(
            LogError,
            match=r"rec_inter.csv: 2 of 100 rows cannot be read \(click is no number: 2, "
            r"first at line 3: 'x'\), more than `max_bad_share` = 0.01 allows",
        ):
            require_usable(report)
    else:
        require_usable(report)
