"""What ExampleGen reads and how it splits, cuts and samples."""

import dataclasses
import json
from typing import Literal, get_args

Split = Literal["leave_one_out", "time"]
Sampling = Literal["uniform", "popularity"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogSettings:
    """Settings of LogExampleGen.

    Attributes:
        log_dir: directory of the log; a local path or a URI that Beam's filesystems read.
        split: "leave_one_out": a user's last click is tested and the one before it evaluated; "time": the end of
            the log's period is tested and the part before it evaluated.
        eval_share: time split only: share of the period, from the first to the last recommendation click.
        test_share: time split only: share at the end of the period.
        rec_length: Lr, the clicks that a request looks back on.
        search_length: Ls, the searches that a request looks back on.
        num_negatives: sampled items beside the positive of a request.
        negative_sampling: "uniform" over clicked items, or "popularity": proportional to their clicks.
        seed: of the negatives and of the positive's column.
        max_bad_share: share of the rows of a file that may be set aside before the run stops.

    Raises:
        ValueError: for a value out of range.
    """

    log_dir: str
    split: Split = "leave_one_out"
    eval_share: float = 0.1
    test_share: float = 0.1
    rec_length: int = 30
    search_length: int = 30
    num_negatives: int = 99
    negative_sampling: Sampling = "uniform"
    seed: int = 2025
    max_bad_share: float = 0.01

    def __post_init__(self) -> None:
        _require(bool(self.log_dir), "log_dir", "the directory of a log", self.log_dir)
        for name, choices in (("split", get_args(Split)), ("negative_sampling", get_args(Sampling))):
            _require(getattr(self, name) in choices, name, f"one of {', '.join(choices)}", getattr(self, name))
        for name in ("rec_length", "search_length", "num_negatives"):
            _require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        for name in ("eval_share", "test_share"):
            _require(0 < getattr(self, name) < 1, name, "between 0 and 1", getattr(self, name))
        _require(self.eval_share + self.test_share < 1, "eval_share + test_share", "less than 1, so that some of the "
                 "period is left to train on", self.eval_share + self.test_share)
        _require(0 <= self.max_bad_share <= 1, "max_bad_share", "from 0 to 1", self.max_bad_share)

    def to_json(self) -> str:
        """Write the settings as an execution parameter; equal settings give equal text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "LogSettings":
        """Read the settings back.

        Raises:
            ValueError: for text that is no JSON, an unknown field or a value out of range.
        """
        values = json.loads(text)
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        _require(not unknown, "settings", "an object with the fields of LogSettings alone", unknown)
        return cls(**values)


def _require(holds: bool, name: str, rule: str, received: object) -> None:
    if not holds:
        raise ValueError(f"`{name}` should be {rule}. Received: {name} = {received!r}.")
