"""Writes the demo log to a directory."""

import csv
import dataclasses
import gzip
import io
import json
import os
from pathlib import Path
from typing import Final

import numpy as np

from synthetic_logs.demo.behaviour import act
from synthetic_logs.demo.catalogue import make_catalogue
from synthetic_logs.demo.settings import VERSION, DemoLogSettings
from synthetic_logs.demo.tables import Table, friend_table, item_table, rec_table, search_table, user_table

STAMP: Final = "demo_log.json"


def write_demo_log(directory: str | Path, settings: DemoLogSettings | None = None) -> None:
    """Write a made-up log in the five-file form of KuaiSAR, gzip; equal settings give equal bytes.

    What holds as in KuaiSAR: columns and their order, lognormal activity, half of the recommended rows not clicked,
    batches of rows that share a timestamp, 60 % of the searches with clicks (1 + geometric), queries of 1 to 6 words
    from the vocabulary of the captions, a few repeated, late and broken rows, items without a feature row.

    What there is to learn: users have lasting interests and, for a few feed batches, a passing one that draws most
    clicks; a search announces most passing interests before the feed follows. Some searches are noise.

    What differs: it is small; items are clicked some 40 times each instead of once or twice; half of the results of
    searches are recommended too, instead of 2 to 6 %; topics, words and people are numbers. Results on it say that
    a pipeline works, nothing about a method.

    Args:
        directory: made where missing. A log of the same settings in it is left alone, another demo log replaced.
        settings: size and seed; default: `DemoLogSettings()`.

    Raises:
        FileExistsError: for a directory that holds a log which this function did not write.
    """
    settings = settings or DemoLogSettings()
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    wanted = {"version": VERSION, **dataclasses.asdict(settings)}
    stamp = directory / STAMP
    found = json.loads(stamp.read_text()) if stamp.exists() else None
    if found == {"complete": True, **wanted}:
        return
    foreign = sorted(path.name for path in directory.glob("*_inter.csv*"))
    if found is None and foreign:
        raise FileExistsError(
            f"{directory} holds {', '.join(foreign)}, which is no demo log. Choose another directory."
        )
    # The stamp says "incomplete" while files are being replaced: a run that dies leaves a log to be written anew.
    _write(stamp, json.dumps({"complete": False, **wanted}).encode())
    for name, table in _tables(settings).items():
        _write(directory / name, _packed(table))
    _write(stamp, json.dumps({"complete": True, **wanted}).encode())


def _tables(settings: DemoLogSettings) -> dict[str, Table]:
    rng = np.random.default_rng(settings.seed)
    catalogue = make_catalogue(settings, rng)
    feed, sessions = act(catalogue, rng)
    return {
        "rec_inter.csv.gz": rec_table(feed, rng),
        "src_inter.csv.gz": search_table(catalogue, sessions, rng),
        "item_features.csv.gz": item_table(catalogue, rng),
        "user_features.csv.gz": user_table(settings.num_users, rng),
        "social_network.csv.gz": friend_table(settings.num_users, rng),
    }


def _packed(table: Table) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.header)
    writer.writerows(table.rows)
    return gzip.compress(text.getvalue().encode(), compresslevel=6, mtime=0)


def _write(path: Path, content: bytes) -> None:
    # Of this process alone: runs of several names may write one demo log at once.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)
