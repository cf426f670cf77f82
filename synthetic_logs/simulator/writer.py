"""Writes a simulated log, block by block."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from synthetic_logs.simulator.block import Block, make_block
from synthetic_logs.simulator.catalogue import Catalogue
from synthetic_logs.simulator.log_files import Counts, LogFiles
from synthetic_logs.simulator.settings import SimulatorSettings

STAMP: Final = "simulated.json"
USERS_A_BLOCK: Final = 256


def simulate(
    directory: str | Path,
    events: float,
    settings: SimulatorSettings | None = None,
    *,
    spans: bool = False,
    compress: bool = True,
    users_a_block: int = USERS_A_BLOCK,
    progress: Callable[[int], object] | None = None,
) -> Counts:
    """Write a log in the five-file form of KuaiSAR and, in `truth/`, which searches bear on which clicks.

    Users act one after the other until the rows of both interaction files are `events` or a few hundred more, so that
    memory holds one block of users and a few bytes an item. Rows are grouped by user, in order of time but for some
    dirt. Equal settings and `events` give equal bytes, whatever the size of a block.

    Args:
        directory: made where missing; should hold no log.
        events: rows of `rec_inter` and `src_inter` together. The catalogue grows with it.
        settings: seed, habits and sizes; default: `SimulatorSettings()`.
        spans: whether each day has a directory of its own, such as `2023-05-22`, with five files; the features of
            users and items are those of that day.
        compress: whether files are gzipped.
        users_a_block: users in memory at a time.
        progress: called after each block with the rows written so far.

    Raises:
        FileExistsError: for a directory that holds a log.
        ValueError: for fewer than one event.
    """
    settings = settings or SimulatorSettings()
    if events < 1:
        raise ValueError(f"`events` should be at least 1. Received: events = {events}.")
    directory = Path(directory)
    found = sorted(str(path.relative_to(directory)) for path in directory.glob("**/*_inter.csv*"))
    if found:
        raise FileExistsError(f"{directory} should hold no log. Received: {', '.join(found[:3])}.")
    catalogue = Catalogue.of(events, settings)
    with contextlib.ExitStack() as stack:
        log = LogFiles(stack, directory, catalogue, spans, compress)
        for block in _blocks(catalogue, events, users_a_block):
            log.add(block)
            if progress:
                progress(log.counts.rec_rows + log.counts.search_rows)
        log.add_items()
    stamp = {"events": events, "spans": spans, **dataclasses.asdict(settings), **log.counts._asdict()}
    (directory / STAMP).write_text(json.dumps(stamp, indent=1) + "\n")
    return log.counts


def _blocks(catalogue: Catalogue, events: float, users_a_block: int) -> Iterator[Block]:
    first, written = 0, 0
    while written < events:
        block = make_block(catalogue, first, users_a_block)
        total = written + np.cumsum(block.rows)
        needed = int(np.searchsorted(total, events)) + 1
        if needed < users_a_block:
            block = make_block(catalogue, first, needed)
        yield block
        first, written = first + users_a_block, int(total[-1])
