"""What can be shown: items by subtopic, a few hits and a long flat tail. Nothing is stored; all of it is computed."""

from typing import Final, NamedTuple

import numpy as np

from synthetic_logs.simulator.draws import Bools, Draws, Floats, Ints
from synthetic_logs.simulator.settings import SimulatorSettings

FIRST_ITEM: Final = 100_000
_SCATTER: Final = 2_654_435_761
"""A prime above any number of items: ids in file order then tell neither subtopic nor popularity."""
_SUBTOPIC_SKEW: Final = 1.3
_HIT_SKEW: Final = 1.5
"""Powers of a uniform draw: the most popular subtopic has 3.5 times its even share, the top hit of 33 has 3.2 times
[assumptions]."""
ROUNDS: Final = 4


class Catalogue(NamedTuple):
    """S recommended subtopics and E of errands; F recommended items a subtopic, G of each that are only found.

    Items are numbered: first the recommended ones, subtopic by subtopic with the hits first, then those only found.
    """

    settings: SimulatorSettings
    draws: Draws
    recommended: int
    found_only: int

    @classmethod
    def of(cls, events: float, settings: SimulatorSettings) -> "Catalogue":
        """Size a catalogue for a log of so many rows."""
        users = events / settings.rows
        recommended = users * settings.rec_rows / settings.rec_rows_an_item / settings.recommended_subjects
        found = users * settings.search_rows * (1 - settings.recommended_results) / settings.search_rows_an_item
        return cls(settings, Draws(settings.seed), max(2, round(recommended)), max(2, round(found / settings.subjects)))

    @property
    def num_recommended(self) -> int:
        """S times F."""
        return self.settings.recommended_subjects * self.recommended

    @property
    def num_items(self) -> int:
        """All items."""
        return self.num_recommended + self.settings.subjects * self.found_only

    def popular_subject(self, uniform: Floats) -> Ints:
        """Turn uniform draws into recommended subtopics by their popularity, popular ones of all topics."""
        rank = (uniform**_SUBTOPIC_SKEW * self.settings.recommended_subjects).astype(np.int64)
        return rank % self.settings.topics * self.settings.subtopics + rank // self.settings.topics

    def recommended_items(self, subjects: Ints, uniform: Floats) -> Ints:
        """Turn uniform draws into recommended items of subtopics by their popularity."""
        hits = self._hits
        share = self.settings.hit_share
        hit = (np.minimum(uniform / max(share, 1e-12), 1.0) ** _HIT_SKEW * hits).astype(np.int64)
        tail = hits + ((uniform - share) / max(1 - share, 1e-12) * (self.recommended - hits)).astype(np.int64)
        return subjects * self.recommended + np.where(uniform < share, hit, tail)

    def tail_items(self, subjects: Ints, uniform: Floats) -> Ints:
        """Turn uniform draws into recommended items of subtopics that are no hits."""
        tail = self._hits + (uniform * (self.recommended - self._hits)).astype(np.int64)
        return subjects * self.recommended + tail

    def found_items(self, subjects: Ints, uniform: Floats) -> Ints:
        """Turn uniform draws into items of subtopics that are only found."""
        return self.num_recommended + subjects * self.found_only + (uniform * self.found_only).astype(np.int64)

    def subject_of(self, items: Ints) -> Ints:
        """Return the subtopic of each item."""
        found = (items - self.num_recommended) // self.found_only
        return np.where(items < self.num_recommended, items // self.recommended, found)

    def ids(self, items: Ints) -> Ints:
        """Return the ids that stand in the files, a permutation."""
        return FIRST_ITEM + items * _SCATTER % self.num_items

    def has_features(self, items: Ints) -> Bools:
        """Tell which items have a row of features."""
        return self.draws.uniform("item/features", items) >= self.settings.without_features

    @property
    def _hits(self) -> int:
        return min(self.recommended - 1, max(1, round(self.settings.hits * self.recommended)))


def without_repeats(catalogue: Catalogue, user: Ints, items: Ints, subjects: Ints, keys: tuple[Ints, Ints]) -> Ints:
    """Draw recommended items of a user anew, from the tail, where the user was shown them before.

    A feed that shows an item twice would give the positives of an evaluation away: its negatives leave out all that
    the user has clicked. A few repeats remain where a catalogue is small.

    Args:
        catalogue: of the items.
        user: of each row, in blocks of equal users, `[rows]`.
        items, subjects: of each row, `[rows]`.
        keys: two keys of each row for the draws.
    """
    items = items.copy()
    for attempt in range(ROUNDS):
        pair = user * catalogue.num_items + items
        order = np.argsort(pair, kind="stable")
        again = order[1:][pair[order[1:]] == pair[order[:-1]]]
        if not len(again):
            break
        uniform = catalogue.draws.uniform(f"feed/again/{attempt}", *(key[again] for key in keys))
        items[again] = catalogue.tail_items(subjects[again], uniform)
    return items
