"""The Beam steps from files to Examples; the thinking is done by the functions that they call.

Rows travel in packed batches, not one by one: a row costs Beam more than it costs to read. Each user's rows meet in
one shard, and each shard writes its own files. What one worker holds is some batches of rows, a shard, and the pool of
items, which settings bound.

No element is None: some engines, Flink's among them, end a job over a null. What may be absent is a collection of one
element or none.
"""

import functools
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import polars as pl
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import AsList, AsSingleton, PCollection, TaggedOutput

from components.common.file_patterns import beam_pattern
from components.example_gen import candidates
from components.example_gen.errors import LogError
from components.example_gen.events import CLICKS_SCHEMA, SHOWN_SCHEMA
from components.example_gen.file_report import FileReport
from components.example_gen.item_pool import COUNTS_SCHEMA, ItemPool, merge_counts, sample_items
from components.example_gen.log_file import Beside, LogFile
from components.example_gen.log_report import make_report
from components.example_gen.read_cache import ReadCache
from components.example_gen.readers import READERS
from components.example_gen.settings import LogSettings
from components.example_gen.shard_examples import ShardRows, count_shard, make_examples
from components.example_gen.shard_files import ShardFiles
from components.example_gen.shards import deal, gather, number_of_shards, pack, place_in_log, unpack
from components.example_gen.splits import Cuts, time_cuts
from components.example_gen.tally import Tally, add

_ROWS, _ITEMS, _FILES, _COUNTS = "rows", "items", "files", "counts"
_CLICKS, _SHOWN, _CANDIDATES = range(3)
_SAMPLES = 8
"""Kept beside each other before they are sampled again, which takes a packing of them all."""
Part = tuple[int, tuple[int, bytes]]
Shard = tuple[int, Iterable[tuple[int, bytes]]]


class NumberedFile(NamedTuple):
    """A file of the log, its number in the order of the log, and the span that it belongs to."""

    number: int
    span: str
    file: LogFile


def build(
    pipeline: beam.Pipeline,
    spans: list[tuple[str, list[LogFile]]],
    settings: LogSettings,
    output: ShardFiles,
    cache: ReadCache,
    *,
    beside: Beside,
    last_year: int,
) -> PCollection:
    """Lay out the steps: read, gather each user's events, split, write Examples, count.

    Args:
        pipeline: to add to.
        spans: what `find_logs` found.
        settings: of the run.
        output: where shards write.
        cache: of the events of spans.
        beside: what `find_beside` found, for the report.
        last_year: in which a time may lie.

    Returns:
        The report, as one JSON text.
    """
    found = [(span, file) for span, files in spans for file in files]
    files = [NumberedFile(number, span, file) for number, (span, file) in enumerate(found)]
    shards = number_of_shards([file.file for file in files], settings.shard_bytes)
    read = (
        pipeline
        | "Files" >> beam.Create(files)
        | "OnePerWorker" >> beam.Reshuffle()
        | "Read" >> beam.ParDo(_ReadFile(settings, shards, cache, last_year)).with_outputs(_FILES, main=_ROWS)
    )
    rows = [read[_ROWS]]
    if settings.candidates_file:
        rows.append(
            pipeline
            | "CandidateFiles" >> beam.Create(_candidate_files(settings.candidates_file))
            | "ReadCandidates" >> beam.FlatMap(_read_candidates, shards)
        )
    users = rows | "AllRows" >> beam.Flatten() | "ByUser" >> beam.GroupByKey()
    # Counted by shards of users, not by files: what one file repeats of another is known there alone.
    items = (
        users
        | "CountShards" >> beam.FlatMap(_count_shard, settings, shards)
        | "ByItem" >> beam.GroupByKey()
        | "CountItems" >> beam.ParDo(_CountItems(settings)).with_outputs(_COUNTS, main=_ITEMS)
    )
    pool = items[_ITEMS] | "Pool" >> beam.CombineGlobally(_Sample(settings))
    cuts = AsList(
        read[_FILES]
        | "Periods" >> beam.FlatMap(_periods)
        | "Period" >> beam.CombineGlobally(_widest).without_defaults()
        | "Cuts" >> beam.FlatMap(_cuts, settings)
    )
    tallies = users | "ToExamples" >> beam.ParDo(_ToExamples(settings, shards, output), AsSingleton(pool), cuts)
    total = (
        tallies | "CountUsers" >> beam.CombineGlobally(add),
        items[_COUNTS] | "CountAllItems" >> beam.CombineGlobally(_add),
    )
    return (
        pipeline
        | "One" >> beam.Create([settings])
        | "Report" >> beam.Map(_report, AsList(read[_FILES]), *map(AsSingleton, total), cuts, beside=beside)
    )


def write_text(text: str, path: str) -> str:
    """Write a file; not `WriteToText`, which takes the path for a pattern when it moves the file into place."""
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(text.encode())
    return path


class _ReadFile(beam.DoFn):
    def __init__(self, settings: LogSettings, shards: int, cache: ReadCache, last_year: int) -> None:
        self._settings, self._shards, self._cache, self._last_year = settings, shards, cache, last_year

    def process(self, element: NumberedFile) -> Iterator[Any]:
        number, span, file = element
        report = FileReport(
            file.table,
            f"{span}/{file.name}" if span else file.name,
            last_year=self._last_year,
            max_samples=self._settings.max_samples,
        )
        read = self._cache.read if span and self._cache.directory else READERS[self._settings.source].read
        batches = gather(read(file, self._settings, report), self._shards, self._settings.shard_bytes)
        for clicks, shown in batches:
            for kind, events in ((_CLICKS, clicks), (_SHOWN, shown)):
                if events.height:
                    for shard, part in deal(place_in_log(events, number), "user", self._shards):
                        yield shard, (kind, part)
        yield TaggedOutput(_FILES, report)


class _CountItems(beam.DoFn):
    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        _, parts = element
        counted = merge_counts([unpack(parts, COUNTS_SCHEMA)])
        clicked, found = counted["clicks"] > 0, counted["found"] > 0
        yield TaggedOutput(
            _COUNTS,
            Counter(items=int(clicked.sum()), items_found=int(found.sum()), items_in_both=int((clicked & found).sum())),
        )
        yield pack(sample_items(counted, self._settings.max_pool_items, self._settings.seed))


class _Sample(beam.CombineFn):
    """Samples of parts to the sample of all; no process holds more than `_SAMPLES` of them and one more."""

    def __init__(self, settings: LogSettings) -> None:
        self._size, self._seed = settings.max_pool_items, settings.seed

    def create_accumulator(self) -> list[bytes]:
        return []

    def add_input(self, mutable_accumulator: list[bytes], element: bytes) -> list[bytes]:
        parts = [*mutable_accumulator, element]
        return self.compact(parts) if len(parts) > _SAMPLES else parts

    def merge_accumulators(self, accumulators: Iterable[list[bytes]]) -> list[bytes]:
        return functools.reduce(self.add_input, itertools.chain.from_iterable(accumulators), self.create_accumulator())

    def compact(self, accumulator: list[bytes]) -> list[bytes]:
        return [pack(sample_items(unpack(accumulator, COUNTS_SCHEMA), self._size, self._seed))]

    def extract_output(self, accumulator: list[bytes]) -> bytes:
        return self.compact(accumulator)[0]


class _ToExamples(beam.DoFn):
    def __init__(self, settings: LogSettings, shards: int, output: ShardFiles) -> None:
        self._settings, self._shards, self._output = settings, shards, output
        self._pool: ItemPool | None = None

    def process(self, element: Shard, pool: bytes, cuts: Sequence[Cuts]) -> Any:
        shard, rows = element[0], _rows_of(element)
        if self._pool is None:  # the same for all shards of a run
            self._pool = ItemPool.of(unpack([pool], COUNTS_SCHEMA))
        made = make_examples(rows, self._pool, _only(cuts), self._settings)
        bytes_written = self._output.write(shard, self._shards, made)
        yield made.tally
        yield Tally({"example_bytes": bytes_written}, {}, {})


def _count_shard(element: Shard, settings: LogSettings, shards: int) -> Iterator[tuple[int, bytes]]:
    return deal(count_shard(_rows_of(element), settings), "item", shards)


def _rows_of(element: Shard) -> ShardRows:
    by_kind: dict[int, list[bytes]] = {_CLICKS: [], _SHOWN: [], _CANDIDATES: []}
    for kind, part in element[1]:
        by_kind[kind].append(part)
    return ShardRows(
        *(
            unpack(by_kind[kind], schema)
            for kind, schema in ((_CLICKS, CLICKS_SCHEMA), (_SHOWN, SHOWN_SCHEMA), (_CANDIDATES, candidates.SCHEMA))
        )
    )


def _candidate_files(pattern: str) -> list[str]:
    paths = [file.path for match in FileSystems.match([beam_pattern(pattern)]) for file in match.metadata_list]
    if not paths:
        raise LogError(
            f"`candidates_file` should name a file or a pattern of files. Received: {pattern}, without a match."
        )
    return paths


def _read_candidates(path: str, shards: int) -> Iterator[Part]:
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        lines = pl.read_parquet(file.read()).select(*candidates.SCHEMA)
    for shard, part in deal(lines, "user", shards):
        yield shard, (_CANDIDATES, part)


def _periods(report: FileReport) -> Iterator[tuple[int, int]]:
    if report.clicks and report.first is not None and report.last is not None:
        yield report.first, report.last


def _widest(periods: Iterable[tuple[int, int]]) -> tuple[int, int]:
    first, last = zip(*periods, strict=True)
    return min(first), max(last)


def _cuts(period: tuple[int, int], settings: LogSettings) -> Iterator[Cuts]:
    if settings.split != "leave_one_out":
        yield time_cuts(*period, settings)


def _only(found: Sequence[Cuts]) -> Cuts | None:
    return found[0] if found else None


def _add(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    # Beam's coder makes plain dictionaries of counters.
    return sum(map(Counter, counts), Counter())


def _report(
    settings: LogSettings, files: Any, users: Tally, items: dict[str, int], cuts: Sequence[Cuts], *, beside: Beside
) -> str:
    return json.dumps(
        make_report(settings, files, users, items, _only(cuts), beside=beside), indent=1, ensure_ascii=False
    )
