"""Turns what users did into the rows of the five files, with a little dirt."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from synthetic_logs.demo.behaviour import Bools, Feed, Sessions
from synthetic_logs.demo.catalogue import FIRST_ITEM, ITEMS_AN_ERRAND, Catalogue, Ints

BEIJING_MS: Final = 8 * 3600 * 1000
CLICKED_SESSIONS: Final = 0.6
LEVELS: Final = ("first", "second", "third", "fourth")
_WIDTHS: Final = (0.12, 0.3, 0.27, 0.16, 0.1, 0.05)
"""Shares of queries of 1 to 6 words."""

BROKEN_REC: Final = (
    ("7", "", "9000.0", "0.0", "1684800000000.0", "0", "0", "0", "0", "0", "1", "2023-05-23 08:00:00"),
    ("7", "100003", "9000.0", "0.0", "nan", "0", "0", "0", "0", "0", "1", ""),
    ("8", "100004", "9000.0", "0.0", "1684800000000.0", "0"),
)
BROKEN_SEARCH: Final = (
    ("visa apply", "100005", "1", "1", "VIDEO", "9", "1684800000000", "USER_INPUT", "2023-05-23 08:00:00"),
    ("[1001]", "100005", "", "2", "VIDEO", "9", "1684800000000", "USER_INPUT", "2023-05-23 08:00:00"),
)
"""Rows that do not parse, written into the middle of the files."""


class Table(NamedTuple):
    """A file: its header and rows."""

    header: tuple[str, ...]
    rows: Iterable[tuple[Any, ...]]


def rec_table(feed: Feed, rng: np.random.Generator) -> Table:
    """Write recommended rows in order of time, so that the users are mixed."""
    order = np.argsort(feed.timestamp, kind="stable")
    total = len(order)
    duration = rng.integers(5_000, 120_000, size=total) * 1.0
    playing = np.where(feed.click[order] > 0, duration * rng.uniform(0.7, 1.5, total), rng.uniform(0, 6_000, total))
    rare = (rng.random((3, total)) < np.array([[0.005], [0.03], [0.01]])) & (feed.click[order] > 0)
    columns = (
        feed.user[order] + 1,
        feed.item[order] + FIRST_ITEM,
        duration,
        np.round(playing),
        feed.timestamp[order] * 1.0,
        *rare.astype(int),
        np.zeros(total, int),
        np.zeros(total, int),
        feed.click[order],
        _beijing(feed.timestamp[order]),
    )
    return Table(
        (
            "user_id",
            "item_id",
            "duration_ms",
            "playing_time",
            "timestamp",
            "forward",
            "like",
            "follow",
            "search_item_related",
            "search",
            "click",
            "time",
        ),
        _with_broken(columns, BROKEN_REC),
    )


def search_table(catalogue: Catalogue, sessions: Sessions, rng: np.random.Generator) -> Table:
    """Write one row a result: 60 % of the sessions have clicks, 1 + geometric; a few rows repeated or out of place."""
    total = len(sessions.user)
    clicks = np.where(rng.random(total) < CLICKED_SESSIONS, rng.geometric(0.6, total), 0)
    shown = np.maximum(1, clicks + rng.poisson(1.2, total))
    row = np.repeat(np.arange(total), shown)
    clicked = (np.arange(len(row)) - np.repeat(np.cumsum(shown) - shown, shown) < clicks[row]).astype(np.int64)
    errand = sessions.errand[row] >= 0
    item = np.empty(len(row), np.int64)
    item[~errand] = catalogue.found(sessions.subtopic[row][~errand], rng)
    item[errand] = catalogue.errand_items(sessions.errand[row][errand], rng)
    kinds = np.where(errand, np.array(["USER", "LIVE", "COMMODITY"])[item % 3], "VIDEO")
    place, repeated = _dirty_order(len(row), rng)
    row, times = row[place], sessions.timestamp[row[place]]
    columns = (
        _keywords(catalogue, sessions, rng)[row],
        item[place] + FIRST_ITEM,
        np.where(repeated, 0, clicked[place]),
        row + 1,
        kinds[place],
        sessions.user[row] + 1,
        times,
        np.array(["USER_INPUT", "HISTORY"])[(row % 4) // 3],
        _beijing(times),
    )
    return Table(
        (
            "keyword",
            "item_id",
            "click_cnt",
            "search_session_id",
            "item_type",
            "user_id",
            "search_session_timestamp",
            "search_source",
            "search_session_time",
        ),
        _with_broken(columns, BROKEN_SEARCH),
    )


def item_table(catalogue: Catalogue, rng: np.random.Generator) -> Table:
    """Write captions and categories; one item in a hundred has no row."""
    items = np.flatnonzero(rng.random(catalogue.num_items) >= 0.01)
    subtopic = catalogue.subtopic_of(items)
    errand = np.maximum(items - catalogue.first_errand_item, 0) // ITEMS_AN_ERRAND
    words = np.where(
        (subtopic < 0)[:, None],
        catalogue.errand_words(errand, 6, rng),
        catalogue.words(np.maximum(subtopic, 0), 6, rng),
    )
    captions = _printed(words, rng.integers(3, 7, size=len(items)))
    topic = np.where(subtopic < 0, -1, subtopic // catalogue.settings.subtopics)
    levels = [topic + 1, np.where(subtopic < 0, 0, catalogue.settings.num_topics + subtopic + 1), topic * 0, topic * 0]
    names = [np.where(level > 0, np.char.add("category ", level.astype(str)), "empty") for level in levels]
    constant = [np.full(len(items), value) for value in ("NORMAL", "2023-05-01", "ShortImport", "0")]
    columns = (
        items + FIRST_ITEM,
        captions,
        topic * 10 + rng.integers(10, size=len(items)) + 11,
        *constant,
        *(column for pair in zip(levels, names, strict=True) for column in pair),
        *names,
    )
    return Table(
        (
            "item_id",
            "caption",
            "author_id",
            "item_type",
            "upload_time",
            "upload_type",
            "music_id",
            *(f"{level}_level_category_{part}" for level in LEVELS for part in ("id", "name")),
            *(f"{level}_level_category_name_en" for level in LEVELS),
        ),
        _rows(columns),
    )


def user_table(num_users: int, rng: np.random.Generator) -> Table:
    """Write levels of activity, which say nothing about the log."""
    columns = (np.arange(num_users) + 1, *(rng.integers(top, size=num_users) for top in (8, 3, 7, 4)))
    return Table(
        ("user_id", "onehot_feat1", "onehot_feat2", "search_active_level", "reco_active_level"), _rows(columns)
    )


def friend_table(num_users: int, rng: np.random.Generator) -> Table:
    """Write who follows whom: two users in a hundred follow one other."""
    user = np.flatnonzero(rng.random(num_users) < 0.02)
    return Table(("user_id", "user_follow_id"), _rows((user + 1, (user + 1) % num_users + 1)))


def _keywords(catalogue: Catalogue, sessions: Sessions, rng: np.random.Generator) -> npt.NDArray[np.object_]:
    words = np.where(
        (sessions.errand >= 0)[:, None],
        catalogue.errand_words(np.maximum(sessions.errand, 0), 6, rng),
        catalogue.words(np.maximum(sessions.subtopic, 0), 6, rng),
    )
    return _printed(words, rng.choice(6, p=_WIDTHS, size=len(words)) + 1)


def _printed(words: Ints, widths: Ints) -> npt.NDArray[np.object_]:
    # [n, 6] words, of which the first `widths` count, as Python prints lists.
    lists = (str(row[:width]) for row, width in zip(words.tolist(), widths.tolist(), strict=True))
    return np.fromiter(lists, dtype=object, count=len(words))


def _dirty_order(total: int, rng: np.random.Generator) -> tuple[Ints, Bools]:
    # One row in 200 comes again a little later, without its click, and one in 100 comes a little late.
    again = np.flatnonzero(rng.random(total) < 0.005)
    key = np.arange(total) + np.where(rng.random(total) < 0.01, rng.integers(2, 40, size=total), 0)
    key = np.r_[key, again + rng.integers(40, 80, size=len(again))]
    order = np.argsort(key, kind="stable")
    return np.r_[np.arange(total), again][order], (order >= total)


def _beijing(timestamps: Ints) -> npt.NDArray[np.str_]:
    text = np.datetime_as_string((timestamps + BEIJING_MS).astype("datetime64[ms]"), unit="s")
    return np.char.replace(text, "T", " ")


def _with_broken(columns: tuple[npt.NDArray[Any], ...], broken: tuple[tuple[str, ...], ...]) -> list[tuple[Any, ...]]:
    rows = _rows(columns)
    rows[len(rows) // 2 : len(rows) // 2] = broken
    return rows


def _rows(columns: Iterable[npt.NDArray[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*(column.tolist() for column in columns), strict=True))
