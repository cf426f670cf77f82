"""The size and the habits of the demo log."""

import dataclasses
from typing import Final

VERSION: Final = 2
"""Goes up with every change of what is written, so that an old log is written anew."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoLogSettings:
    """Settings of the demo log.

    Attributes:
        num_users: users.
        num_topics: topics; each has `subtopics` of its own words and items.
        subtopics: subtopics a topic.
        feed_items: items a subtopic that are recommended (and found).
        search_items: items a subtopic that are only found.
        clicks: recommendation clicks a user, on average; as many rows are not clicked.
        interests: subtopics that a user likes throughout.
        batches_a_phase: feed batches for which a passing interest lasts, on average.
        announced: share of phases that a search announces.
        noise_searches: searches a user, on average, that have nothing to do with what is recommended.
        days: length of the log.
        seed: of everything.

    Raises:
        ValueError: for a size below one.
    """

    num_users: int = 2000
    num_topics: int = 12
    subtopics: int = 4
    feed_items: int = 16
    search_items: int = 4
    clicks: float = 25.0
    interests: int = 3
    batches_a_phase: float = 2.0
    announced: float = 0.85
    noise_searches: float = 2.0
    days: int = 9
    seed: int = 2025

    def __post_init__(self) -> None:
        for name in (
            "num_users",
            "num_topics",
            "subtopics",
            "feed_items",
            "search_items",
            "clicks",
            "interests",
            "batches_a_phase",
            "days",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` should be at least 1. Received: {name} = {getattr(self, name)}.")
