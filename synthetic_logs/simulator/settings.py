"""What a simulated log is calibrated to, and every assumption that it makes."""

import dataclasses
import math
from typing import Final

LARGEST_DAYS: Final = 31
"""Days of items seen are kept as bits of one integer an item."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulatorSettings:
    """Habits of the users and sizes of the catalogue. A row is one line of `rec_inter` or `src_inter`.

    Each value is marked with where it comes from: [KuaiSAR] counts and documentation of KuaiSAR-small, [Qilin] tables
    of arXiv 2503.00501, [trivago] the RecSys Challenge 2019 log, [derived] from published counts, [fitted] so that a
    written log shows a published figure, [assumption] no source.

    Attributes:
        seed: of everything.
        days: length of the log, from 2023-05-22 14:50 Beijing time [KuaiSAR].
        rec_rows: recommended rows a user, on average [KuaiSAR: 7,493,101 rows, 25,877 users].
        search_rows: result rows a user, on average [KuaiSAR: 3,171,231 rows].
        searches: search sessions a user, on average [assumption, 10 to 20].
        spread: standard deviation of the logarithm of a user's rows and of a user's searches within a level of
            activity [lognormal: derived; value: assumption]. The means of the levels are [KuaiSAR], read off a plot
            of its large version; their shares are [fitted] to the overall means (`activity.py`).
        clicked: share of recommended rows with a click [KuaiSAR: about 1 : 1].
        passing, lasting: shares of clicks drawn by the interest of the moment and by lasting interests; the others
            follow popularity [assumption].
        passing_unclicked, lasting_unclicked: the same of rows without a click [assumption].
        interests: lasting interests a user [assumption].
        near: share of passing interests that lie in the topic of a lasting one [assumption].
        announced: share of phases, runs of batches under one passing interest, that a search announces
            [assumption]; times `passing` it is the share of clicks on which a search bears.
        announcing, repeating: shares of clusters of searches that announce a phase or repeat its interest in the
            midst of it; the others are errands, which no click follows [assumption].
        cluster_start: chance that a search opens a new cluster [fitted to S>S 35 %; Qilin].
        visit_goes_on: chance that the next batch comes within 30 minutes [fitted to R>R 59 %; Qilin].
        switch: chance that a search comes within 30 minutes of the batch before or after its cluster [fitted to
            R>S 3 % and S>R 3 %; Qilin].
        clicked_searches: share of searches with a click [KuaiSAR: about 60 %].
        more_clicks: chance of one more click in a search with a click: 1 + geometric [fitted to 13 clicked results
            a user; derived].
        results_spread: standard deviation of the logarithm of the results a search [assumption].
        word_shares: shares of queries of 1, 2, ... words [assumption; mode 2 to 3 as trivago].
        same_query, changed_query, longer_query: shares of later searches of a cluster that repeat its query, change a
            word and add one; the others drop one [Qilin's reformulations: add 13.57 %, delete 2.53 %, change 47.16 %,
            others taken as repeats].
        topics, errand_topics, subtopics: topics that are recommended, topics that are only searched for, and
            subtopics of each: KuaiSAR has 37 and about 293 categories of its first two levels [KuaiSAR]; that
            interests are of this size, and the share of errands, are [assumptions].
        rec_rows_an_item, hits, hit_share: recommended rows for each item of the catalogue; share of its items that
            are hits, and share of rows that show them [fitted to 3.28 rows an item seen, and nine of ten clicked
            items clicked once or twice; derived].
        search_rows_an_item: result rows for each item that is only searched for [fitted to 1.58; derived].
        recommended_results: share of the results that are recommended items too [fitted to an overlap of 4.9 % of
            the items searched for; derived].
        subject_words, topic_words, common_words, rare_words: words of each subtopic, of each topic, of all, and rare
            ones for each item of the catalogue [assumption]. Queries and captions share them [KuaiSAR].
        source_shares: shares of the values of `search_source` [assumption; their number as SESRec].
        without_features: share of items without a row of features [KuaiSAR: "some"; value: assumption].
        repeated, late: shares of result rows that come twice, half of the time without their click, and that come
            after rows of later searches [KuaiSAR: "a few"; values: assumption].
        malformed: share of rows of both files that do not parse [assumption].

    Raises:
        ValueError: for a value out of range.
    """

    seed: int = 2025
    days: int = 9
    rec_rows: float = 289.6
    search_rows: float = 122.6
    searches: float = 15.0
    spread: float = 0.8
    clicked: float = 0.5
    passing: float = 0.6
    lasting: float = 0.25
    passing_unclicked: float = 0.25
    lasting_unclicked: float = 0.2
    interests: int = 3
    near: float = 0.5
    announced: float = 0.6
    announcing: float = 0.5
    repeating: float = 0.2
    cluster_start: float = 0.355
    visit_goes_on: float = 0.401
    switch: float = 0.181
    clicked_searches: float = 0.6
    more_clicks: float = 0.31
    results_spread: float = 0.6
    word_shares: tuple[float, ...] = (0.12, 0.3, 0.27, 0.16, 0.1, 0.05)
    same_query: float = 0.37
    changed_query: float = 0.47
    longer_query: float = 0.135
    topics: int = 28
    subtopics: int = 8
    errand_topics: int = 9
    rec_rows_an_item: float = 2.1
    hits: float = 0.022
    hit_share: float = 0.54
    search_rows_an_item: float = 0.92
    recommended_results: float = 0.078
    subject_words: int = 20
    topic_words: int = 24
    common_words: int = 2000
    rare_words: float = 0.15
    source_shares: tuple[float, ...] = (0.7, 0.15, 0.1, 0.05)
    without_features: float = 0.01
    repeated: float = 0.002
    late: float = 0.005
    malformed: float = 0.0

    def __post_init__(self) -> None:
        _require(1 <= self.days <= LARGEST_DAYS, "days", f"1 to {LARGEST_DAYS}", self.days)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float):
                _require(math.isfinite(value), field.name, "a finite number", value)
            if field.name in _POSITIVE:
                _require(value >= 1, field.name, "at least 1", value)
            elif field.name in _SHARES:
                _require(0 <= value <= 1, field.name, "from 0 to 1", value)
            elif isinstance(value, tuple):
                _require(len(value) > 0 and abs(sum(value) - 1) < 1e-6, field.name, "shares that add up to 1", value)
        for names in _PARTS:
            total = sum(getattr(self, name) for name in names)
            _require(total <= 1 + 1e-9, " + ".join(names), "at most 1", total)
        for name in ("rec_rows_an_item", "search_rows_an_item", "announced"):
            _require(getattr(self, name) > 0, name, "above 0", getattr(self, name))
        _require(self.subtopics >= 2, "subtopics", "at least 2, so that an interest has a neighbour", self.subtopics)

    @property
    def rows(self) -> float:
        """Rows a user, on average."""
        return self.rec_rows + self.search_rows

    @property
    def recommended_subjects(self) -> int:
        """Subtopics that are recommended."""
        return self.topics * self.subtopics

    @property
    def subjects(self) -> int:
        """All subtopics, those of errands last."""
        return (self.topics + self.errand_topics) * self.subtopics


_POSITIVE = frozenset(
    {
        "rec_rows",
        "search_rows",
        "searches",
        "interests",
        "topics",
        "errand_topics",
        "subject_words",
        "topic_words",
        "common_words",
    }
)
_SHARES = frozenset(
    {
        "clicked",
        "passing",
        "lasting",
        "passing_unclicked",
        "lasting_unclicked",
        "near",
        "announced",
        "announcing",
        "repeating",
        "cluster_start",
        "visit_goes_on",
        "switch",
        "clicked_searches",
        "same_query",
        "changed_query",
        "longer_query",
        "hits",
        "hit_share",
        "recommended_results",
        "without_features",
        "repeated",
        "late",
        "malformed",
    }
)
_PARTS = (
    ("passing", "lasting"),
    ("passing_unclicked", "lasting_unclicked"),
    ("announcing", "repeating"),
    ("same_query", "changed_query", "longer_query"),
)


def _require(holds: bool, name: str, rule: str, received: object) -> None:
    if not holds:
        raise ValueError(f"`{name}` should be {rule}. Received: {name} = {received!r}.")
