"""Topics, their words and their items."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from synthetic_logs.demo.settings import DemoLogSettings

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

WORDS_A_TOPIC: Final = 3
WORDS_A_SUBTOPIC: Final = 5
COMMON_WORDS: Final = 60
ERRANDS: Final = 40
"""Errands are what noise searches are about ("Visa Apply"): words and items of their own, never recommended."""
ITEMS_AN_ERRAND: Final = 3
FIRST_ITEM: Final = 100_000
FIRST_WORD: Final = 1_000


class Catalogue(NamedTuple):
    """Everything that can be shown or typed. S subtopics, F recommended and G found-only items a subtopic.

    Attributes:
        feed_cumulative: `[S, F]` popularity within the subtopic, summed up to 1.
        subtopic_cumulative: `[S]` popularity of subtopics, summed up to 1.
        settings: sizes.
    """

    feed_cumulative: Floats
    subtopic_cumulative: Floats
    settings: DemoLogSettings

    @property
    def num_subtopics(self) -> int:
        """S."""
        return self.settings.num_topics * self.settings.subtopics

    @property
    def num_items(self) -> int:
        """All items, those of errands last."""
        return self.first_errand_item + ERRANDS * ITEMS_AN_ERRAND

    @property
    def first_errand_item(self) -> int:
        """Index of the first item that belongs to an errand."""
        return self.num_subtopics * (self.settings.feed_items + self.settings.search_items)

    def subtopic_of(self, items: Ints) -> Ints:
        """Return the subtopic of each item; -1 for those of errands."""
        recommended = self.num_subtopics * self.settings.feed_items
        found_only = (items - recommended) // self.settings.search_items
        subtopic = np.where(items < recommended, items // self.settings.feed_items, found_only)
        return np.where(items < self.first_errand_item, subtopic, -1)

    def feed(self, subtopics: Ints, rng: np.random.Generator) -> Ints:
        """Draw a recommended item of each subtopic by popularity."""
        return subtopics * self.settings.feed_items + pick(self.feed_cumulative[subtopics], rng)

    def found(self, subtopics: Ints, rng: np.random.Generator) -> Ints:
        """Draw a search result of each subtopic: half of them are never recommended."""
        only = self.num_subtopics * self.settings.feed_items + subtopics * self.settings.search_items
        only += rng.integers(self.settings.search_items, size=len(subtopics))
        return np.where(rng.random(len(subtopics)) < 0.5, self.feed(subtopics, rng), only)

    def errand_items(self, errands: Ints, rng: np.random.Generator) -> Ints:
        """Draw a search result of each errand."""
        return self.first_errand_item + errands * ITEMS_AN_ERRAND + rng.integers(ITEMS_AN_ERRAND, size=len(errands))

    def words(self, subtopics: Ints, width: int, rng: np.random.Generator) -> Ints:
        """Draw `[n, width]` words: the first of the subtopic, the others of it, its topic or any."""
        shape = (len(subtopics), width)
        kind = rng.random(shape)
        kind[:, 0] = 0
        topic_words = (subtopics // self.settings.subtopics)[:, None] * WORDS_A_TOPIC + rng.integers(
            WORDS_A_TOPIC, size=shape
        )
        own_words = (
            self.settings.num_topics * WORDS_A_TOPIC
            + subtopics[:, None] * WORDS_A_SUBTOPIC
            + rng.integers(WORDS_A_SUBTOPIC, size=shape)
        )
        return FIRST_WORD + np.select([kind < 0.5, kind < 0.75], [own_words, topic_words], self._common(shape, rng))

    def errand_words(self, errands: Ints, width: int, rng: np.random.Generator) -> Ints:
        """Draw `[n, width]` words of errands: one of two names, then common words."""
        words = FIRST_WORD + self._common((len(errands), width), rng)
        words[:, 0] = FIRST_WORD + self._first_errand_word + errands * 2 + rng.integers(2, size=len(errands))
        return words

    @property
    def _first_common(self) -> int:
        return self.settings.num_topics * WORDS_A_TOPIC + self.num_subtopics * WORDS_A_SUBTOPIC

    @property
    def _first_errand_word(self) -> int:
        return self._first_common + COMMON_WORDS

    def _common(self, shape: tuple[int, int], rng: np.random.Generator) -> Ints:
        return self._first_common + rng.integers(COMMON_WORDS, size=shape)


def make_catalogue(settings: DemoLogSettings, rng: np.random.Generator) -> Catalogue:
    """Draw the popularity of items and subtopics: lognormal, moderately flat."""
    subtopics = settings.num_topics * settings.subtopics
    return Catalogue(
        _cumulative(rng.lognormal(0.0, 0.7, (subtopics, settings.feed_items))),
        _cumulative(rng.lognormal(0.0, 0.4, subtopics)),
        settings,
    )


def pick(cumulative: Floats, rng: np.random.Generator) -> Ints:
    """Draw a column of each row of `[n, k]` probabilities that are summed up to 1."""
    return (cumulative < rng.random((len(cumulative), 1))).sum(axis=1)


def _cumulative(weights: Floats) -> Floats:
    return np.cumsum(weights / weights.sum(axis=-1, keepdims=True), axis=-1).clip(max=1.0)
