"""What is typed and what captions say: one numbering of words for both, as in KuaiSAR."""

from typing import Final

import numpy as np

from synthetic_logs.simulator.catalogue import Catalogue
from synthetic_logs.simulator.draws import Floats, Ints

FIRST_WORD: Final = 1_000
CAPTION_WIDTHS: Final = (3, 8)
"""Words a caption, least and most, all equally likely [assumption]."""
_OWN, _TOPIC, _COMMON = 0.45, 0.2, 0.25
"""Shares of the words after the first; the others are rare. The first is a word of the subtopic [assumption]."""
_TYPED_ONLY: Final = 0.1
"""Rare words that occur in queries alone, for each rare word of the captions [assumption]."""


def query_words(catalogue: Catalogue, subjects: Ints, name: str, *keys: Ints) -> Ints:
    """Draw one word for each of `[n]` places in queries about `subjects`; `name` and `keys` are those of the draws."""
    return _words(catalogue, subjects, 1 + _TYPED_ONLY, name, *keys)


def caption_words(catalogue: Catalogue, items: Ints, place: Ints) -> Ints:
    """Return words of captions: of each item the one at `place`, `[n]`."""
    return _words(catalogue, catalogue.subject_of(items), 1.0, "caption", items, place)


def caption_widths(catalogue: Catalogue, items: Ints) -> Ints:
    """Return the number of words of the caption of each item, `[n]`."""
    least, most = CAPTION_WIDTHS
    return least + catalogue.draws.integers("caption/width", most - least + 1, items)


def _words(catalogue: Catalogue, subjects: Ints, rare: float, name: str, *keys: Ints) -> Ints:
    # The last key is the place; place 0 holds a word of the subtopic.
    settings, draws = catalogue.settings, catalogue.draws
    kind: Floats = np.where(keys[-1] == 0, 0.0, draws.uniform(f"{name}/kind", *keys))
    which = draws.uniform(f"{name}/word", *keys)
    first_topic = FIRST_WORD + settings.subjects * settings.subject_words
    first_common = first_topic + (settings.topics + settings.errand_topics) * settings.topic_words
    first_rare = first_common + settings.common_words
    count = max(1.0, settings.rare_words * catalogue.num_items * rare)
    topics = subjects // settings.subtopics
    return np.select(
        [kind < _OWN, kind < _OWN + _TOPIC, kind < _OWN + _TOPIC + _COMMON],
        [
            FIRST_WORD + subjects * settings.subject_words + (which * settings.subject_words).astype(np.int64),
            first_topic + topics * settings.topic_words + (which * settings.topic_words).astype(np.int64),
            first_common + (which**2 * settings.common_words).astype(np.int64),
        ],
        first_rare + (which * count).astype(np.int64),
    )
