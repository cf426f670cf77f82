"""What is recommended to users and what they click."""

from typing import NamedTuple

import numpy as np

from synthetic_logs.simulator.activity import Activity, batch_sizes
from synthetic_logs.simulator.catalogue import Catalogue, without_repeats
from synthetic_logs.simulator.draws import Bools, Floats, Ints
from synthetic_logs.simulator.interests import Batches, counted

PASSING, LASTING, POPULAR = 0, 1, 2
"""Why an item is shown: the passing interest of the phase, a lasting one, or popularity."""


class Feed(NamedTuple):
    """Recommended rows of a block, by user and in order of time. Arrays of `[rows]`.

    Attributes:
        row: place of the user in the block.
        batch: place of the batch in the block; its rows share a timestamp.
        item: number of the item.
        subject: subtopic of the item.
        cause: `PASSING`, `LASTING` or `POPULAR`.
        click: whether it was clicked.
        duration, playing: length of the item and time played, milliseconds.
        forward, like, follow: what a few clicks lead to.
    """

    row: Ints
    batch: Ints
    item: Ints
    subject: Ints
    cause: Ints
    click: Bools
    duration: Ints
    playing: Ints
    forward: Bools
    like: Bools
    follow: Bools


def feed(catalogue: Catalogue, active: Activity, batches: Batches, lasting: Ints) -> Feed:
    """Fill the batches with items.

    Args:
        catalogue: of items.
        active: users of the block.
        batches: of them.
        lasting: their lasting interests, `[n, interests]`.
    """
    settings, draws = catalogue.settings, catalogue.draws
    batch, place = counted(batch_sizes(catalogue, active.user[batches.row], batches.number))
    row = batches.row[batch]
    keys = active.user[row], batches.number[batch] * 16 + place
    click = draws.uniform("feed/click", *keys) < settings.clicked
    cause_draw = draws.uniform("feed/cause", *keys)
    passing = np.where(click, settings.passing, settings.passing_unclicked)
    follows = passing + np.where(click, settings.lasting, settings.lasting_unclicked)
    cause = (cause_draw >= passing).astype(np.int64) + (cause_draw >= follows)
    liked = lasting[row, draws.integers("feed/liked", settings.interests, *keys)]
    anything = catalogue.popular_subject(draws.uniform("feed/subject", *keys))
    subject = np.select([cause == PASSING, cause == LASTING], [batches.interest[batch], liked], anything)
    item = catalogue.recommended_items(subject, draws.uniform("feed/item", *keys))
    item = without_repeats(catalogue, row, item, subject, keys)
    duration, playing = _played(catalogue, item, click, keys)
    reaction = draws.uniform("feed/reaction", *keys)
    return Feed(
        row,
        batch,
        item,
        subject,
        cause,
        click,
        duration,
        playing,
        *(click & (reaction >= least) & (reaction < most) for least, most in _REACTIONS),
    )


_REACTIONS = ((0.0, 0.0063), (0.0063, 0.0770), (0.0770, 0.0869))
"""Forward and like as Qilin's share and like of a clicked row; follow as its comment, for want of a figure."""


def _played(catalogue: Catalogue, item: Ints, click: Bools, keys: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    # A click is a valid play [KuaiSAR]: the whole of at most 7 s, else more than 7 s.
    duration = 5_000 + catalogue.draws.integers("item/duration", 115_000, item)
    played: Floats = catalogue.draws.uniform("feed/played", *keys)
    least = np.minimum(duration, 7_000)
    whole = least + played * (1.5 * duration - least)
    return duration, np.where(click, whole + 1, played * least).astype(np.int64)
