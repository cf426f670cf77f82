"""The files of a simulated log, open while it is written."""

import contextlib
import gzip
import io
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from synthetic_logs.simulator import tables
from synthetic_logs.simulator.block import Block
from synthetic_logs.simulator.catalogue import Catalogue
from synthetic_logs.simulator.clock import DAY_MS, START_MS
from synthetic_logs.simulator.draws import Ints

REC, SEARCH, ITEMS, USERS, FRIENDS = (
    "rec_inter.csv",
    "src_inter.csv",
    "item_features.csv",
    "user_features.csv",
    "social_network.csv",
)
RELEVANT: Final = "relevant_searches.csv"
KINDS: Final = "searches.csv"
TRUTH: Final = "truth"
ITEMS_A_BLOCK: Final = 1 << 16
_LEVEL: Final = 2
"""Of gzip: three times as fast as the usual 6 on such rows, for files a quarter larger."""


class Counts(NamedTuple):
    """What was written: users, rows of both interaction files, searches, items seen, and clicks with a search."""

    users: int
    rec_rows: int
    search_rows: int
    searches: int
    items: int
    clicks: int
    clicks_with_search: int


class LogFiles:
    """Open files of a log, the items seen so far, and counts of what was written."""

    def __init__(
        self, stack: contextlib.ExitStack, directory: Path, catalogue: Catalogue, spans: bool, compress: bool
    ) -> None:
        self._stack, self._directory, self._catalogue = stack, directory, catalogue
        self._spans, self._suffix = spans, ".gz" if compress else ""
        self._files: dict[tuple[str, str], IO[bytes]] = {}
        self._num_days = int(self._days(np.array([START_MS + catalogue.settings.days * DAY_MS]))[0]) + 1
        # Bit d of an item tells that it was shown on day d of the spans.
        self._seen: npt.NDArray[Any] = np.zeros(catalogue.num_items, np.min_scalar_type((1 << self._num_days) - 1))
        self.counts = Counts(*[0] * len(Counts._fields))

    def add(self, block: Block) -> None:
        """Write the rows of a block."""
        shown = tables.rec_rows(self._catalogue, block)
        found = tables.search_rows(self._catalogue, block)
        shown_day = self._days(block.times.batches)[block.feed.batch]
        found_day = self._days(block.times.searches)[block.results.search]
        self._see(block.feed.item, shown_day)
        self._see(block.results.item, found_day)
        users, friends = tables.user_rows(self._catalogue, block), tables.friend_rows(self._catalogue, block)
        for day in np.unique(np.r_[shown_day, found_day]):
            of_day = [
                frame.filter(pl.Series(days == day)) if self._spans else frame
                for frame, days in ((shown, shown_day), (found, found_day))
            ]
            there = pl.concat([frame["user_id"] for frame in of_day]).unique()
            for table, frame in (
                (REC, of_day[0]),
                (SEARCH, of_day[1]),
                (USERS, users.filter(pl.col("user_id").is_in(there.implode()))),
                (FRIENDS, friends.filter(pl.col("user_id").is_in(there.implode()))),
            ):
                self._append(self._folder(int(day)), table, frame)
        self._append(TRUTH, RELEVANT, tables.relevant_rows(self._catalogue, block))
        self._append(TRUTH, KINDS, tables.kind_rows(block))
        added = (
            len(users),
            len(shown),
            len(found),
            len(block.searches.row),
            0,
            int(block.feed.click.sum()),
            len(block.relevant.click),
        )
        self.counts = Counts(*np.add(self.counts, added).tolist())

    def add_items(self) -> None:
        """Write the features of the items seen."""
        for start in range(0, len(self._seen), ITEMS_A_BLOCK):
            seen = self._seen[start : start + ITEMS_A_BLOCK]
            items = start + np.flatnonzero(seen)
            self.counts = self.counts._replace(items=self.counts.items + len(items))
            items = items[self._catalogue.has_features(items)]
            frame, days = tables.item_rows(self._catalogue, items), self._seen[items]
            for day in range(self._num_days):
                self._append(self._folder(day), ITEMS, frame.filter(pl.Series((days >> day & 1) > 0)))

    def _days(self, timestamps: Ints) -> Ints:
        # Days of Beijing from that of the start; one day only where a log has no spans.
        first = (START_MS + tables.BEIJING_MS) // DAY_MS
        return (timestamps + tables.BEIJING_MS) // DAY_MS - first if self._spans else np.zeros_like(timestamps)

    def _folder(self, day: int) -> str:
        first = np.datetime64((START_MS + tables.BEIJING_MS) // DAY_MS, "D")
        return str(first + day) if self._spans else "."

    def _see(self, items: Ints, days: Ints) -> None:
        for day in np.unique(days):
            self._seen[items[days == day]] |= self._seen.dtype.type(1 << int(day))

    def _append(self, folder: str, table: str, frame: pl.DataFrame) -> None:
        file = self._files.get((folder, table))
        if file is None:
            path = self._directory / folder / (table + self._suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            file = self._files[folder, table] = self._open(path)
            file.write((",".join(frame.columns) + "\n").encode())
        text = io.BytesIO()
        frame.write_csv(text, include_header=False)
        file.write(text.getbuffer())

    def _open(self, path: Path) -> IO[bytes]:
        file = self._stack.enter_context(path.open("wb"))
        if not self._suffix:
            return file
        # Neither time nor name in the header: equal logs are equal bytes.
        packed = gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0)
        self._stack.callback(packed.close)
        return cast(IO[bytes], packed)
