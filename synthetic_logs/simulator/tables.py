"""Turns what users did into frames with the columns of KuaiSAR's files, in file order."""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from synthetic_logs.simulator.block import Block
from synthetic_logs.simulator.catalogue import Catalogue
from synthetic_logs.simulator.draws import Ints
from synthetic_logs.simulator.interests import KINDS, counted
from synthetic_logs.simulator.words import caption_widths, caption_words

BEIJING_MS: Final = 8 * 3600 * 1000
SESSIONS_A_USER: Final = 4096
SOURCES: Final = ("USER_INPUT", "SUGGESTION", "HISTORY", "HOT_LIST", "RELATED", "SCAN")
"""Names of `search_source`; all but the first are made up."""
LEVELS: Final = ("first", "second", "third", "fourth")
_AUTHORS_A_SUBTOPIC: Final = 50
_FOLLOWS: Final = 0.022
"""Share of users who follow another one [KuaiSAR: 576 of 25,877]."""
_THIRD, _FOURTH = 0.7, 0.3
"""Shares of items with a category of the third and of the fourth level [assumption; that not all have: KuaiSAR]."""


def rec_rows(catalogue: Catalogue, block: Block) -> pl.DataFrame:
    """Rows of `rec_inter.csv`."""
    shown, batch = block.feed, block.feed.batch
    return pl.DataFrame(
        {
            "user_id": block.active.user[shown.row] + 1,
            "item_id": catalogue.ids(shown.item),
            "duration_ms": shown.duration * 1.0,
            "playing_time": shown.playing * 1.0,
            "timestamp": block.times.batches[batch] * 1.0,
            "forward": shown.forward.astype(np.int8),
            "like": shown.like.astype(np.int8),
            "follow": shown.follow.astype(np.int8),
            "search_item_related": np.zeros(len(batch), np.int8),
            "search": np.zeros(len(batch), np.int8),
            "click": shown.click.astype(np.int8),
            "time": _beijing(block.times.batches).gather(batch),
        }
    ).with_columns(_emptied(catalogue, "timestamp", "rec", block.active.user[shown.row]))


def search_rows(catalogue: Catalogue, block: Block) -> pl.DataFrame:
    """Rows of `src_inter.csv`."""
    found, searches = block.results, block.searches
    search, user = found.search, block.active.user[searches.row]
    draws, settings = catalogue.draws, catalogue.settings
    errand = searches.subject[search] >= settings.recommended_subjects
    item_type = np.where(errand, 1 + found.item % 3, 4 * (found.item % 20 == 0))
    source = draws.choice("search/source", settings.source_shares, user, searches.number)
    typed = np.arange(block.words.shape[1])[None] < block.widths[:, None]
    keywords = _lists(block.words[typed], block.widths)
    return pl.DataFrame(
        {
            "keyword": keywords.gather(search),
            "item_id": catalogue.ids(found.item),
            "click_cnt": found.click.astype(np.int8),
            "search_session_id": session_ids(block)[search],
            "item_type": pl.Series(["VIDEO", "USER", "LIVE", "COMMODITY", "IMAGE_ATLAS"]).gather(item_type),
            "user_id": user[search] + 1,
            "search_session_timestamp": block.times.searches[search],
            "search_source": pl.Series(SOURCES).gather(source).gather(search),
            "search_session_time": _beijing(block.times.searches).gather(search),
        }
    ).with_columns(_emptied(catalogue, "keyword", "search", user[search]))


def item_rows(catalogue: Catalogue, items: Ints) -> pl.DataFrame:
    """Rows of `item_features.csv`."""
    draws, subject = catalogue.draws, catalogue.subject_of(items)
    widths = caption_widths(catalogue, items)
    row, place = counted(widths)
    captions = _lists(caption_words(catalogue, items[row], place), widths)
    author = (
        subject * _AUTHORS_A_SUBTOPIC
        + (draws.uniform("item/author", items) ** 2 * _AUTHORS_A_SUBTOPIC).astype(np.int64)
        + 1
    )
    levels = _categories(catalogue, items)
    most = max(int(level.max(initial=0)) for level in levels)
    names = pl.Series(["empty", *(f"c{number}" for number in range(1, most + 1))])
    named = [names.gather(level) for level in levels]
    frame = pl.DataFrame({"item_id": catalogue.ids(items), "caption": captions, "author_id": author}).with_columns(
        item_type=pl.lit("NORMAL"),
        upload_time=pl.lit("2023-05-01"),
        upload_type=pl.lit("ShortImport"),
        music_id=pl.lit(0),
    )
    for level, ids, name in zip(LEVELS, levels, named, strict=True):
        frame = frame.with_columns(
            pl.Series(f"{level}_level_category_id", ids), name.alias(f"{level}_level_category_name")
        )
    return frame.with_columns(
        name.alias(f"{level}_level_category_name_en") for level, name in zip(LEVELS, named, strict=True)
    )


def user_rows(catalogue: Catalogue, block: Block) -> pl.DataFrame:
    """Rows of `user_features.csv`."""
    active, draws = block.active, catalogue.draws
    return pl.DataFrame(
        {
            "user_id": active.user + 1,
            "onehot_feat1": draws.integers("user/feat1", 8, active.user),
            "onehot_feat2": draws.integers("user/feat2", 3, active.user),
            "search_active_level": active.search_level,
            "reco_active_level": active.rec_level,
        }
    )


def friend_rows(catalogue: Catalogue, block: Block) -> pl.DataFrame:
    """Rows of `social_network.csv`: a few users follow an earlier one."""
    user, draws = block.active.user, catalogue.draws
    user = user[(draws.uniform("user/follows", user) < _FOLLOWS) & (user > 0)]
    return pl.DataFrame({"user_id": user + 1, "user_follow_id": draws.integers("user/friend", user, user) + 1})


def relevant_rows(catalogue: Catalogue, block: Block) -> pl.DataFrame:
    """Rows of `truth/relevant_searches.csv`: clicks of the feed and the searches that bear on them."""
    truth, shown = block.relevant, block.feed
    return pl.DataFrame(
        {
            "user_id": block.active.user[shown.row[truth.click]] + 1,
            "item_id": catalogue.ids(shown.item[truth.click]),
            "timestamp": block.times.batches[shown.batch[truth.click]],
            "search_session_ids": _lists(session_ids(block)[truth.search], truth.counts),
        }
    )


def kind_rows(block: Block) -> pl.DataFrame:
    """Rows of `truth/searches.csv`: what each search was for."""
    return pl.DataFrame(
        {
            "search_session_id": session_ids(block),
            "user_id": block.active.user[block.searches.row] + 1,
            "search_session_timestamp": block.times.searches,
            "kind": pl.Series(KINDS).gather(block.searches.kind),
            "subtopic": block.searches.subject,
        }
    )


def session_ids(block: Block) -> Ints:
    """Return the id of each search."""
    return (block.active.user[block.searches.row] + 1) * SESSIONS_A_USER + block.searches.number


def _lists(values: Ints, counts: Ints) -> pl.Series:
    # Lists of so many of the values each, as Python prints them.
    text = pl.Series(values).cast(pl.String).to_arrow()
    offsets = pa.array(np.r_[0, np.cumsum(counts)], pa.int64())
    lists = pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(offsets, text.cast(pa.large_string()))))
    return pl.select("[" + lists.list.join(", ") + "]").to_series()


def _beijing(timestamps: Ints) -> pl.Series:
    return pl.Series(timestamps + BEIJING_MS).cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%d %H:%M:%S")


def _categories(catalogue: Catalogue, items: Ints) -> list[Ints]:
    # Numbers of the categories of the four levels, one numbering; 0 where an item has none of a level.
    settings, subject = catalogue.settings, catalogue.subject_of(items)
    second = settings.topics + settings.errand_topics + 1
    third = second + settings.subjects
    fourth = third + 4 * settings.subjects
    fine = catalogue.draws.uniform("item/category", items)
    return [
        subject // settings.subtopics + 1,
        second + subject,
        np.where(fine < _THIRD, third + subject * 4 + items % 4, 0),
        np.where(fine < _FOURTH, fourth + subject * 16 + items % 16, 0),
    ]


def _emptied(catalogue: Catalogue, column: str, what: str, user: Ints) -> pl.Expr:
    # A field that cannot be read, in a few rows: chosen by the user and the place among the user's rows.
    place: npt.NDArray[np.int64] = np.arange(len(user)) - np.searchsorted(user, user)
    broken = catalogue.draws.uniform(f"dirt/{what}", user, place) < catalogue.settings.malformed
    return pl.when(pl.Series(broken)).then(None).otherwise(pl.col(column)).alias(column)
