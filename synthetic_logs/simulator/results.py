"""What searches show and what is clicked there, and their queries."""

from typing import Final, NamedTuple

import numpy as np

from synthetic_logs.simulator.activity import Activity
from synthetic_logs.simulator.catalogue import Catalogue
from synthetic_logs.simulator.draws import Bools, Ints, more
from synthetic_logs.simulator.interests import Searches, counted
from synthetic_logs.simulator.words import query_words

_FURTHER_DOWN: Final = 0.67
"""Chance that the first click is one result further down: a mean first rank of 3 [Qilin]."""

_MOST_SHOWN: Final = 1000
_PLACES: Final = 1024
"""Keys of results leave room for so many places a search."""


class Results(NamedTuple):
    """Results of the searches of a block, in the order shown. Arrays of `[rows]`.

    Attributes:
        search: place of the search in the block.
        place: in the list shown.
        item: number of the item.
        click: whether it was clicked.
    """

    search: Ints
    place: Ints
    item: Ints
    click: Bools


def results(catalogue: Catalogue, active: Activity, searches: Searches) -> Results:
    """Show the results of searches: of the subtopic, spread over its items so that few come twice in a search."""
    settings, draws = catalogue.settings, catalogue.draws
    user = active.user[searches.row]
    keys = user, searches.number
    clicked = draws.uniform("search/clicked", *keys) < settings.clicked_searches
    clicks = np.where(clicked, 1 + more(draws.uniform("search/clicks", *keys), settings.more_clicks), 0)
    spread = settings.results_spread
    shown = np.exp(spread * draws.normal("search/shown", *keys) - spread**2 / 2)
    mean = settings.search_rows / (1 + settings.repeated) / settings.searches
    drawn = np.floor(shown * mean + draws.uniform("search/rounding", *keys)).astype(np.int64)
    shown = np.clip(drawn, np.maximum(1, clicks), _MOST_SHOWN)
    first = np.minimum(more(draws.uniform("search/first", *keys), _FURTHER_DOWN), shown - clicks)
    search, place = counted(shown)
    click = (place >= first[search]) & (place < (first + clicks)[search])
    return Results(search, place, _items(catalogue, active, searches, shown), click)


def disorder(catalogue: Catalogue, active: Activity, searches: Searches, clean: Results) -> Results:
    """Let a few rows come twice, half of these without their click, and a few late, among rows of later searches."""
    settings, draws = catalogue.settings, catalogue.draws
    row = searches.row[clean.search]
    keys = active.user[row], searches.number[clean.search] * _PLACES + clean.place
    twice = np.flatnonzero(draws.uniform("dirt/repeated", *keys) < settings.repeated)
    late = draws.uniform("dirt/late", *keys) < settings.late
    delay = 2 + draws.integers("dirt/delay", 38, *keys)
    position = np.arange(len(row))
    source = np.r_[position, twice]
    order = np.lexsort((np.r_[position + late * delay, twice + delay[twice]], row[source]))
    conflict = draws.uniform("dirt/conflict", *keys)[twice] < 0.5
    click = np.r_[clean.click, clean.click[twice] & ~conflict]
    search, place, item = (column[source][order] for column in (clean.search, clean.place, clean.item))
    return Results(search, place, item, click[order])


def queries(catalogue: Catalogue, active: Activity, searches: Searches) -> tuple[Ints, Ints]:
    """Write the queries: later ones of a cluster vary its first.

    Returns:
        Words `[searches, W]`, and how many of them are typed, `[searches]`.
    """
    settings, draws = catalogue.settings, catalogue.draws
    most = len(settings.word_shares)
    user = active.user[searches.row]
    width = 1 + draws.choice("cluster/width", settings.word_shares, user, searches.cluster)
    change, longer = settings.same_query + settings.changed_query, settings.longer_query
    move = draws.uniform("search/query", user, searches.number)
    move[searches.opens] = 0
    changed = (move >= settings.same_query) & (move < change)
    step = np.select([move < change, move < change + longer], [0, 1], -1)
    place = np.arange(most)[None]
    shape = user[:, None], searches.cluster[:, None]
    subjects = searches.subject[:, None]
    words = query_words(catalogue, subjects, "query", *shape, place)
    other = query_words(catalogue, subjects, "query/changed", user[:, None], searches.number[:, None], place)
    which = draws.integers("search/changed word", width, user, searches.number)
    swap = changed[:, None] & (place == which[:, None])
    return np.where(swap, other, words), np.clip(width + step, 1, most)


def _items(catalogue: Catalogue, active: Activity, searches: Searches, shown: Ints) -> Ints:
    settings, draws = catalogue.settings, catalogue.draws
    search, place = counted(shown)
    user, number = active.user[searches.row[search]], searches.number[search]
    subject, shown = searches.subject[search], shown[search]
    keys = user, number * _PLACES + place
    # One draw from each of as many parts of the range as there are results, from a part that is drawn on.
    turn = draws.uniform("search/turn", user, number)
    part = (place + np.floor(turn * shown)) % shown
    uniform = (part + draws.uniform("result/item", *keys)) / shown
    recommended = (draws.uniform("result/recommended", *keys) < settings.recommended_results) & (
        subject < settings.recommended_subjects
    )
    items = catalogue.found_items(subject, uniform)
    items[recommended] = catalogue.recommended_items(subject[recommended], uniform[recommended])
    return items
