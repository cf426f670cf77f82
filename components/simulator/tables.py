"""Turns what users did into frames with the columns of KuaiSAR's files, in file order."""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from components.simulator.block import Block
from components.simulator.catalogue import Catalogue
from components.simulator.draws import Bools, Ints
from components.simulator.interests import KINDS
from components.simulator.words import caption_widths, caption_words

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
    return pl.DataFrame({
        "user_id": block.active.user[shown.row] + 1, "item_id": catalogue.ids(shown.item),
        "duration_ms": shown.duration * 1.0, "playing_time": shown.playing * 1.0,
        "timestamp": block.times.batches[batch] * 1.0,
        "forward": shown.forward.astype(np.int8), "like": shown.like.astype(np.int8),
        "follow": shown.follow.astype(np.int8),
        "search_item_related": np.zeros(len(batch), np.int8), "search": np.zeros(len(batch), np.int8),
        "click": shown.click.astype(np.int8), "time": _beijing(block.times.batches).gather(batch),
    }).with_columns(_emptied(catalogue, "timestamp", "rec", block.active.user[shown.row]))


def search_rows(catalogue: Catalogue, block: Block) -> pl.DataFrame:
    """Rows of `src_inter.csv`."""
    found, searches = block.results, block.searches
    search, user = found.search, block.active.user[searches.row]
    draws, settings = catalogue.draws, catalogue.settings
    errand = searches.subject[search] >= settings.recommended_subjects
    item_type = np.where(errand, 1 + found.item % 3, 4 * (found.item % 20 == 0))
    source = draws.choice("search/source", settings.source_shares, user, searches.number)
    return pl.DataFrame({
        "keyword": _printed(block.words, block.widths).gather(search), "item_id": catalogue.ids(found.item),
        "click_cnt": found.click.astype(np.int8), "search_session_id": session_ids(block)[search],
        "item_type": pl.Series(["VIDEO", "USER", "LIVE", "COMMODITY", "IMAGE_ATLAS"]).gather(item_type),
        "user_id": user[search] + 1, "search_session_timestamp": block.times.searches[search],
        "search_source": pl.Series(SOURCES).gather(source).gather(search),
        "search_session_time": _beijing(block.times.searches).gather(search),
    }).with_columns(_emptied(catalogue, "keyword", "search", user[search]))


def item_rows(catalogue: Catalogue, items: Ints) -> pl.DataFrame:
    """Rows of `item_features.csv`."""
    draws, subject = catalogue.draws, catalogue.subject_of(items)
    widths = caption_widths(catalogue, items)
    words = caption_words(catalogue, items[:, None], np.arange(int(widths.max(initial=1)))[None])
    topics = catalogue.settings.topics + catalogue.settings.errand_topics
    fine = draws.uniform("item/category", items)
    third = topics + catalogue.settings.subjects + subject * 4 + items % 4 + 1
    levels = (subject // catalogue.settings.subtopics + 1, topics + subject + 1, np.where(fine < _THIRD, third, 0),
              np.where(fine < _FOURTH, topics + 5 * catalogue.settings.subjects + subject * 16 + items % 16 + 1, 0))
    author = subject * _AUTHORS_A_SUBTOPIC + (
        draws.uniform("item/author", items) ** 2 * _AUTHORS_A_SUBTOPIC).astype(np.int64) + 1
    frame = pl.DataFrame({"item_id": catalogue.ids(items), "caption": _printed(words, widths), "author_id": author})
    ids = [pl.Series(f"{level}_level_category_id", values) for level, values in zip(LEVELS, levels, strict=True)]
    names = [_category(level).alias(f"{level}_level_category_name") for level in LEVELS]
    columns = [f"{level}_level_category_{part}" for level in LEVELS for part in ("id", "name")]
    return frame.with_columns(
        item_type=pl.lit("NORMAL"), upload_time=pl.lit("2023-05-01"), upload_type=pl.lit("ShortImport"),
        music_id=pl.lit(0)).with_columns(*ids).with_columns(*names).select(
        "item_id", "caption", "author_id", "item_type", "upload_time", "upload_type", "music_id", *columns,
        *(pl.col(f"{level}_level_category_name").alias(f"{level}_level_category_name_en") for level in LEVELS))


def user_rows(catalogue: Catalogue, block: Block) -> pl.DataFrame:
    """Rows of `user_features.csv`."""
    active, draws = block.active, catalogue.draws
    return pl.DataFrame({
        "user_id": active.user + 1, "onehot_feat1": draws.integers("user/feat1", 8, active.user),
        "onehot_feat2": draws.integers("user/feat2", 3, active.user),
        "search_active_level": active.search_level, "reco_active_level": active.rec_level})


def friend_rows(catalogue: Catalogue, block: Block) -> pl.DataFrame:
    """Rows of `social_network.csv`: a few users follow an earlier one."""
    user, draws = block.active.user, catalogue.draws
    user = user[(draws.uniform("user/follows", user) < _FOLLOWS) & (user > 0)]
    return pl.DataFrame({"user_id": user + 1, "user_follow_id": draws.integers("user/friend", user, user) + 1})


def relevant_rows(catalogue: Catalogue, block: Block) -> pl.DataFrame:
    """Rows of `truth/relevant_searches.csv`: clicks of the feed and the searches that bear on them."""
    truth, shown = block.relevant, block.feed
    return pl.DataFrame({
        "user_id": block.active.user[shown.row[truth.click]] + 1, "item_id": catalogue.ids(shown.item[truth.click]),
        "timestamp": block.times.batches[shown.batch[truth.click]],
        "search_session_ids": _lists(session_ids(block)[truth.search], truth.counts)})


def kind_rows(block: Block) -> pl.DataFrame:
    """Rows of `truth/searches.csv`: what each search was for."""
    return pl.DataFrame({
        "search_session_id": session_ids(block), "user_id": block.active.user[block.searches.row] + 1,
        "search_session_timestamp": block.times.searches,
        "kind": pl.Series(KINDS).gather(block.searches.kind), "subtopic": block.searches.subject})


def session_ids(block: Block) -> Ints:
    """Return the id of each search."""
    return (block.active.user[block.searches.row] + 1) * SESSIONS_A_USER + block.searches.number


def _printed(words: Ints, widths: Ints) -> pl.Series:
    # [n, W] words, of which the first `widths` count, as Python prints lists.
    typed: Bools = np.arange(words.shape[1])[None] < widths[:, None]
    return _lists(words[typed], widths)


def _lists(values: Ints, counts: Ints) -> pl.Series:
    # The values as text, `counts` of them in each list.
    text = pl.Series(values).cast(pl.String).to_arrow()
    offsets = pa.array(np.r_[0, np.cumsum(counts)], pa.int64())
    lists = pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(offsets, text.cast(pa.large_string()))))
    return pl.select("[" + lists.list.join(", ") + "]").to_series()


def _beijing(timestamps: Ints) -> pl.Series:
    return pl.Series(timestamps + BEIJING_MS).cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%d %H:%M:%S")


def _category(level: str) -> pl.Expr:
    number = pl.col(f"{level}_level_category_id")
    return pl.when(number == 0).then(pl.lit("empty")).otherwise("category " + number.cast(pl.String))


def _emptied(catalogue: Catalogue, column: str, what: str, user: Ints) -> pl.Expr:
    # A field that cannot be read, in a few rows: chosen by the user and the place among the user's rows.
    place: npt.NDArray[np.int64] = np.arange(len(user)) - np.searchsorted(user, user)
    broken = catalogue.draws.uniform(f"dirt/{what}", user, place) < catalogue.settings.malformed
    return pl.when(pl.Series(broken)).then(None).otherwise(pl.col(column)).alias(column)
