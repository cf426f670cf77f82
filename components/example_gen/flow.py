"""The Beam steps from files to Examples; the thinking is done by the functions that they call."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import AsList, AsSingleton, PCollection, TaggedOutput
from apache_beam.transforms.window import GlobalWindows

from components.example_gen import negatives
from components.example_gen.events import CLICK, SHOWN, Row
from components.example_gen.examples import request_example, timeline_example
from components.example_gen.file_report import FileReport
from components.example_gen.log_report import make_report
from components.example_gen.negatives import ItemPool
from components.example_gen.readers import kuaisar
from components.example_gen.settings import LogSettings
from components.example_gen.splits import SPLITS, TRAIN, Cuts, Request, split_user, time_cuts
from components.example_gen.timeline import build_timeline

_FILES, _ROWS, _COUNTS = "files", "rows", "counts"


class Outputs(NamedTuple):
    """Collections of serialized Examples by split, and of one report as JSON."""

    examples: dict[str, PCollection]
    report: PCollection


def build(pipeline: beam.Pipeline, paths: dict[str, str], settings: LogSettings) -> Outputs:
    """Lay out the steps: read, gather each user's events, split, write Examples, count.

    Args:
        pipeline: to add to.
        paths: of the tables `kuaisar.REC` and `kuaisar.SEARCH`.
        settings: of the run.
    """
    # One element a file: quoted fields span lines, so a file cannot be cut into ranges.
    read = (pipeline | "Files" >> beam.Create([(table, paths[table]) for table in (kuaisar.REC, kuaisar.SEARCH)])
            | "OnePerWorker" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_ReadFile()).with_outputs(_FILES, main=_ROWS))
    items = (read[_ROWS] | "ClickedItem" >> beam.FlatMap(_clicked_item)
             | "CountClicks" >> beam.combiners.Count.PerElement()
             | "AllItems" >> beam.combiners.ToList())
    pool = AsSingleton(items | "Pool" >> beam.Map(_pool))
    cuts = AsSingleton(read[_FILES] | "RecFile" >> beam.Filter(lambda file: file.table == kuaisar.REC)
                       | "Cuts" >> beam.Map(_cuts, settings))
    users = (read[_ROWS] | "ByUser" >> beam.GroupByKey()
             | "ToExamples" >> beam.ParDo(_ToExamples(settings), pool, cuts).with_outputs(_COUNTS, *SPLITS))
    report = (pipeline | "One" >> beam.Create([settings])
              | "Report" >> beam.Map(_report, AsList(read[_FILES]), AsList(users[_COUNTS]), AsSingleton(items), cuts))
    return Outputs({split: users[split] for split in SPLITS}, report)


class _ReadFile(beam.DoFn):
    def process(self, element: tuple[str, str]) -> Iterator[Any]:
        table, path = element
        report = FileReport(table, kuaisar.file_name(path))
        yield from kuaisar.read(table, path, report)
        yield TaggedOutput(_FILES, report)


class _ToExamples(beam.DoFn):
    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings

    def start_bundle(self) -> None:
        self._counts: Counter[str] = Counter()

    def process(
        self, element: tuple[str, Iterable[Row]], pool: ItemPool, cuts: Cuts | None
    ) -> Iterator[Any]:
        user, rows = element
        everything = build_timeline(user, rows)
        timeline = everything.without_empty_searches()
        training, requests, without_history = split_user(timeline, self._settings, cuts)
        clicked_searches = sum(bool(search.items) for search in timeline.searches)
        self._counts.update(
            users=1, users_with_clicks=bool(timeline.clicks), users_with_searches=bool(timeline.searches),
            searches=len(timeline.searches), searches_with_click=clicked_searches,
            searches_without_click=len(timeline.searches) - clicked_searches,
            empty_searches=len(everything.searches) - len(timeline.searches), without_history=without_history)
        if training.clicks or training.searches:
            self._counts.update(train_users=1, train_targets=sum(training.is_target))
            yield TaggedOutput(TRAIN, timeline_example(user, training))
        excluded = pool.indices(timeline.items()) if requests else set()
        for request in requests:
            example = self._ask(user, request, pool, excluded)
            self._counts[f"{request.split}_requests" if example else "short_of_negatives"] += 1
            if example:
                yield TaggedOutput(request.split, example)

    def finish_bundle(self) -> Iterator[Any]:
        # Once a bundle: a count a user would be ten elements a user.
        yield TaggedOutput(_COUNTS, GlobalWindows.windowed_value(dict(self._counts)))

    def _ask(self, user: str, request: Request, pool: ItemPool, excluded: set[int]) -> bytes | None:
        settings = self._settings
        rng = negatives.request_rng(settings.seed, user, request)
        drawn = negatives.draw(
            pool, excluded, settings.num_negatives, settings.negative_sampling == "popularity", rng)
        if drawn is None:
            return None
        candidates = [*map(pool.items.__getitem__, drawn)]
        label = int(rng.integers(len(candidates) + 1))
        candidates.insert(label, request.target.item.encode())
        return request_example(user, request, candidates, label)


def _clicked_item(element: tuple[str, Row]) -> Iterator[tuple[str, int]]:
    _, row = element
    if row[0] == CLICK or row[-1]:
        yield row[-1], row[0]


def _pool(items: list[tuple[tuple[str, int], int]]) -> ItemPool:
    return ItemPool.of((item, count) for (item, kind), count in items if kind != SHOWN)


def _cuts(rec: FileReport, settings: LogSettings) -> Cuts | None:
    if settings.split == "leave_one_out" or rec.first is None or rec.last is None:
        return None
    return time_cuts(rec.first, rec.last, settings)


def _report(settings: LogSettings, *parts: Any) -> str:
    return json.dumps(make_report(settings, *parts), indent=1, ensure_ascii=False)
