"""What ExampleGen reads and how it splits, cuts and samples."""

import dataclasses
import math
from typing import Any, Literal, get_args

from components.common.settings import ComponentSettings
from components.example_gen.times import iso_time

Source = Literal["kuaisar", "qilin", "events"]
Split = Literal["leave_one_out", "time", "days", "time_points"]
Sampling = Literal["uniform", "popularity"]
Unclicked = Literal["first_shown", "query", "drop"]
Avoid = Literal["whole_log", "past", "none"]
Repeated = Literal["one", "keep"]
QueryWords = Literal["auto", "list", "split", "jieba"]
_CHOICES = {
    "source": Source,
    "query_words": QueryWords,
    "split": Split,
    "negative_sampling": Sampling,
    "unclicked_search": Unclicked,
    "negatives_avoid": Avoid,
    "repeated_clicks": Repeated,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogSettings(ComponentSettings):
    """Settings of LogExampleGen. docs/data.md explains them with examples.

    Attributes:
        log_dir: directory of the log; a local path or a URI that Beam's filesystems read. Where it holds directories
            that each are a log, such as one a day, all are read.
        source: form of the log: "kuaisar", "qilin", or "events", a platform's own in our event form.
        columns: event form only: names of the log's columns by ours, where they differ; "searches.timestamp_ms" is
            ours in one table alone.
        click_columns: a recommended item counts as clicked where one of these columns is above 0; in the event form
            that is `clicked` alone.
        query_words: how the text of a query becomes words: "list", it is a printed list of them; "split", blanks stand
            between them; "jieba", it is Chinese text; "auto", as the source has it: a list in KuaiSAR, Chinese text in
            Qilin, a list or else blanks in the event form.
        unclicked_search: what stands for a search without a click: "first_shown", its first result, as if it had been
            clicked; "query", the query alone; "drop", nothing. Where no result is known the query stands alone.
        repeated_clicks: what rows of equal user, item and time are: "one" click, or each a click of its own ("keep").
        min_clicks: users with fewer clicks on recommended items are left out.
        words_per_search: words kept of a query, the first ones.
        items_per_search: clicked items that a request shows of a search, the first ones. Timelines hold all of them,
            so that training knows what a user clicked.
        split: "leave_one_out": a user's last click is tested and the one before it evaluated; the others cut the log
            in time, for all users alike: "time" by shares of its period, "days" by its last days, "time_points" where
            `eval_from` and `test_from` say.
        eval_share, test_share: of the period from the first to the last click, the test part at its end.
        eval_days, test_days: lengths of these parts, in days of 24 hours back from the last click.
        eval_from, test_from: ISO 8601 times at which these parts begin; UTC unless they say otherwise.
        rec_length: Lr, the clicks that a request looks back on.
        search_length: Ls, the searches that a request looks back on.
        num_negatives: sampled items beside the positive of a request.
        negative_sampling: "uniform" over clicked items, or "popularity": proportional to their clicks.
        negatives_avoid: items that are no negatives of a user: all that the user ever clicked ("whole_log"), what the
            user clicked up to the target's time ("past"), or the target alone ("none"); in searches too.
        negatives_existing: only items whose first click in the log is before the target's time.
        max_pool_items: items that negatives are drawn from at the most; of more, a sample that the seed fixes.
        candidates_file: candidates to use instead of drawing any: a file or pattern of what `candidates` of an earlier
            run holds, see `components.common.file_patterns`; "" draws them.
        export_candidates: also write the candidates of all requests as Parquet, for other systems and for
            `candidates_file`.
        seed: of the negatives and of the positive's column.
        max_bad_share: share of the rows of a file that may be set aside before the run stops.
        max_samples: rows set aside or repaired that the report shows of a file and reason.
        read_cache: directory that keeps the events of a log in spans, so that only new or changed files are read again;
            "" keeps nothing.
        shard_bytes: of a log on disk that one worker holds in memory at a time.

    Raises:
        ValueError: for a value out of range.
    """

    log_dir: str
    source: Source = "kuaisar"
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    click_columns: tuple[str, ...] = ("click",)
    query_words: QueryWords = "auto"
    unclicked_search: Unclicked = "first_shown"
    repeated_clicks: Repeated = "one"
    min_clicks: int = 0
    words_per_search: int = 50
    items_per_search: int = 5
    split: Split = "leave_one_out"
    eval_share: float = 0.1
    test_share: float = 0.1
    eval_days: float = 1.0
    test_days: float = 1.0
    eval_from: str = ""
    test_from: str = ""
    rec_length: int = 30
    search_length: int = 30
    num_negatives: int = 99
    negative_sampling: Sampling = "uniform"
    negatives_avoid: Avoid = "whole_log"
    negatives_existing: bool = False
    max_pool_items: int = 10_000_000
    candidates_file: str = ""
    export_candidates: bool = False
    seed: int = 2025
    max_bad_share: float = 0.01
    max_samples: int = 5
    read_cache: str = ""
    shard_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        object.__setattr__(self, "click_columns", tuple(self.click_columns))
        _require(bool(self.log_dir), "log_dir", "the directory of a log", self.log_dir)
        _require(bool(self.click_columns), "click_columns", "at least one column", self.click_columns)
        for name, choices in _CHOICES.items():
            allowed = get_args(choices)
            _require(getattr(self, name) in allowed, name, f"one of {', '.join(allowed)}", getattr(self, name))
        for name in (
            "rec_length",
            "search_length",
            "num_negatives",
            "words_per_search",
            "items_per_search",
            "shard_bytes",
        ):
            _require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        _require(
            self.max_pool_items > self.num_negatives, "max_pool_items", "above `num_negatives`", self.max_pool_items
        )
        for name in ("min_clicks", "max_samples"):
            _require(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        for name in ("eval_share", "test_share"):
            _require(0 < getattr(self, name) < 1, name, "between 0 and 1", getattr(self, name))
        for name in ("eval_days", "test_days"):
            _require(0 < getattr(self, name) < math.inf, name, "above 0", getattr(self, name))
        _require(
            self.eval_share + self.test_share < 1,
            "eval_share + test_share",
            "less than 1, so that some of the period is left to train on",
            self.eval_share + self.test_share,
        )
        _require(0 <= self.max_bad_share <= 1, "max_bad_share", "from 0 to 1", self.max_bad_share)
        self._require_times_of_the_split()

    def _require_times_of_the_split(self) -> None:
        begins = {name: getattr(self, name) for name in ("eval_from", "test_from")}
        if self.split == "time_points":
            times = [milliseconds(name, text) for name, text in begins.items()]
            if times[0] >= times[1]:
                raise ValueError(
                    f"`eval_from` should be before `test_from`. Received: {self.eval_from}, {self.test_from}."
                )
        else:
            for name, text in begins.items():
                _require(not text, name, f"empty, unless `split` is time_points; it is {self.split}", text)

    @classmethod
    def _from_plain(cls, fields: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(fields) - {field.name for field in dataclasses.fields(cls)})
        _require(not unknown, "settings", "an object with the fields of LogSettings alone", unknown)
        return fields


def milliseconds(name: str, text: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 time, UTC unless it says otherwise.

    Raises:
        ValueError: for another text; it names the setting.
    """
    try:
        return iso_time(text)[0]
    except ValueError:
        raise ValueError(
            f"`{name}` should be an ISO 8601 time such as 2023-05-30T00:00:00+08:00. Received: {text!r}."
        ) from None


def _require(holds: bool, name: str, rule: str, received: object) -> None:
    if not holds:
        raise ValueError(f"`{name}` should be {rule}. Received: {name} = {received!r}.")
