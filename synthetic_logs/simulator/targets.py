"""The published figures that a log is held against, and where they come from."""

from typing import Final, NamedTuple

from synthetic_logs.simulator.marginals import Marginals

KUAISAR: Final = "KuaiSAR-small, counts"
KUAISAR_DOCS: Final = "KuaiSAR, documentation"
DERIVED: Final = "derived from KuaiSAR-small, counts"
QILIN: Final = "Qilin, arXiv 2503.00501"
ASSUMED: Final = "assumption"

TRANSITIONS: Final = {"R>R": 0.5932, "S>S": 0.3488, "R>S": 0.0295, "S>R": 0.0284}
"""Shares of pairs of requests within 30 minutes [Qilin]."""
WORD_SHARES: Final = {1: 0.03, 2: 0.59, 3: 0.27, 4: 0.07}
"""Shares of queries by words, of a hotel search [trivago, RecSys Challenge 2019]: KuaiSAR's are not published."""
BATCH: Final = (4, 8)
LARGE_MEANS: Final = (564.4, 195.5)
"""R and S rows a user of KuaiSAR-large, over which the documentation's levels of activity are taken."""


class Target(NamedTuple):
    """A figure of `Marginals.figures` and the range that it should be in.

    Attributes:
        name: key of the figure.
        low, high: the range; equal for a single published value, infinite where one end is open.
        source: of the range.
    """

    name: str
    low: float
    high: float
    source: str

    @property
    def text(self) -> str:
        """The range in words."""
        if self.low == self.high:
            return f"{self.low:,.4g}"
        return f"at least {self.low:g}" if self.high == float("inf") else f"{self.low:g} to {self.high:g}"


TARGETS: Final = (
    Target("R rows a user", 289.6, 289.6, KUAISAR),
    Target("S rows a user", 122.6, 122.6, KUAISAR),
    Target("S share of rows", 0.297, 0.297, KUAISAR),
    Target("R clicks a user", 135.0, 154.0, "derived from UniSAR's log: 154 for 22,700 of the 25,877 users"),
    Target("R rows without a click", 0.5, 0.5, KUAISAR_DOCS),
    Target("rows a distinct R item", 3.28, 3.28, KUAISAR),
    Target("rows a distinct S item", 1.58, 1.58, KUAISAR),
    Target("clicked R items clicked once or twice", 0.9, float("inf"), DERIVED),
    Target("items in R and S, of all", 0.023, 0.023, DERIVED),
    Target("items in R and S, of S", 0.049, 0.049, DERIVED),
    Target("searches a user", 10.0, 20.0, ASSUMED),
    Target("searches with a click", 0.6, 0.6, KUAISAR_DOCS),
    Target("clicks a search with one", 1.44, 1.44, "derived: 13 S clicks, 15 searches, 60 % with a click"),
    Target("S clicks a user", 13.0, 13.0, "derived from UniSAR's log"),
    Target("distinct queries a user", 10.3, 10.3, DERIVED),
    Target("words a query", 2.0, 3.5, "assumption: 1 to 6 words, most often 2 or 3"),
    Target("first-level categories", 37, 37, KUAISAR_DOCS),
    Target("second-level categories", 293, 296, KUAISAR_DOCS),
    *(Target(f"share of {pair}", share, share, QILIN) for pair, share in TRANSITIONS.items()),
    Target("timestamps of 4 to 8 R rows", 1.0, 1.0, "ties: KuaiSAR, documentation; size: assumption"),
    Target("items without features", 0.01, 0.01, ASSUMED),
)
"""What each figure should be; those of items hold at full scale, about 1e7 rows."""


def measured_targets(marginals: Marginals) -> list[tuple[Target, float]]:
    """Pair each target with what was measured."""
    batches = marginals.batch_rows
    within = int(batches.filter(batches["rows"].is_between(*BATCH))["batches"].sum())
    figures = {
        **marginals.figures,
        "timestamps of 4 to 8 R rows": within / int(batches["batches"].sum()),
        **{f"share of {pair}": share for pair, share in marginals.transitions.rows()},
    }
    return [(target, figures.get(target.name, 0.0)) for target in TARGETS]
