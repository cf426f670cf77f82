"""The four stages of the pipeline: data, training, judging, publishing.

Each function makes the components of a stage from the settings and the stages before it, and gives them by name, in
their order.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from tfx.components import Evaluator, ExampleValidator, InfraValidator, StatisticsGen, Trainer, Transform
from tfx.orchestration.data_types import RuntimeParameter
from tfx.proto import trainer_pb2, transform_pb2
from tfx.types import BaseChannel

from components.baseline_finder.component import BaselineFinder, WarmStartFinder
from components.common.source_hash import code_hash
from components.curated_schema.component import SCHEMA_FILE, CuratedSchema
from components.data_check.component import DataCheck
from components.evaluator.eval_config import eval_config
from components.example_gen.component import LogExampleGen
from components.example_gen.fingerprint import fingerprint
from components.example_gen.settings import LogSettings
from components.pusher.component import Pusher
from components.ranking_check.component import RankingCheck
from components.report.component import RunReport
from components.servable_check.component import ServableCheck
from components.statistics_keeper.component import StatisticsKeeper
from model.config import Arithmetic
from model.registry import source_module
from tfx_pipeline.folders import Folders
from tfx_pipeline.infra_validation import infra_validator
from tfx_pipeline.settings import Settings

PREPROCESSING = "components.transform.preprocessing.preprocessing_fn"
SUPERVISED_RUN, GRPO_RUN = "components.trainer.run_fn.supervised_run_fn", "tfx_pipeline.export.grpo_run_fn"
EXTRACTORS, JUDGEMENT = "components.evaluator.rank_extractors", "components.evaluator.eval_config"


class Data(NamedTuple):
    """From a log to Examples, raw and transformed, and what speaks against them."""

    example_gen: LogExampleGen
    statistics: StatisticsGen
    schema: CuratedSchema
    validator: ExampleValidator
    data_check: DataCheck
    transform: Transform


class Training(NamedTuple):
    """The supervised stage and the reinforcement stage after it, whose model is the candidate."""

    warm_start: WarmStartFinder | None
    supervised: Trainer
    grpo: Trainer


class Judging(NamedTuple):
    """What measures the candidate, against the last pushed model where there is one."""

    baseline: BaselineFinder
    evaluator: Evaluator
    ranking_check: RankingCheck
    servable_check: ServableCheck
    infra_validator: InfraValidator | None


class Publishing(NamedTuple):
    """The push, and the page of the run."""

    pusher: Pusher
    keeper: StatisticsKeeper
    report: RunReport


def data(settings: Settings, folders: Folders, input_fingerprint: str | RuntimeParameter | None = None) -> Data:
    """Read the log, look at it, transform it.

    Args:
        settings: of the run.
        folders: of what is read and written.
        input_fingerprint: of the log; None: it is taken now.

    Raises:
        ValueError: for a log that cannot be used, where its fingerprint is taken now.
    """
    logs = logs_of(settings, folders)
    example_gen = LogExampleGen(
        settings=logs,
        input_fingerprint=fingerprint(logs) if input_fingerprint is None else input_fingerprint,
        code_hash=code_hash(LogExampleGen),
    )
    examples = example_gen.outputs["examples"]
    statistics = StatisticsGen(examples=examples)
    schema = CuratedSchema(text=SCHEMA_FILE.read_text(), code_hash=code_hash(CuratedSchema))
    validator = ExampleValidator(statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"])
    data_check = DataCheck(
        log_report=example_gen.outputs["log_report"],
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
        anomalies=validator.outputs["anomalies"],
        settings=settings.data_check,
        serving_dir=folders.serving,
        statistics_dir=folders.statistics,
        code_hash=code_hash(DataCheck),
    )
    transform = Transform(
        examples=examples,
        schema=schema.outputs["schema"],
        preprocessing_fn=PREPROCESSING,
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=["train", "eval", "test"]),
        disable_statistics=True,
        disable_analyzer_cache=True,  # it is for spans of growing logs, and costs a pass of its own
        custom_config={
            **settings.vocabulary.model_dump(),
            "items_per_search": settings.model.items_per_search,
            "code": code_hash(PREPROCESSING),
        },
    )
    return Data(example_gen, statistics, schema, validator, data_check, transform)


def training(settings: Settings, folders: Folders, before: Data) -> Training:
    """Train the model of the settings' kind, from scratch or from the last pushed one."""
    warm_start = None
    if settings.warm_start:
        warm_start = WarmStartFinder(
            examples=before.transform.outputs["transformed_examples"],
            serving_dir=folders.serving,
            code_hash=code_hash(WarmStartFinder),
        )
    supervised = _trainer(
        settings,
        folders,
        before.transform,
        SUPERVISED_RUN,
        base_model=warm_start.outputs["baseline"] if warm_start else None,
        supervised=dataclasses.asdict(settings.supervised),
    ).with_id("SupervisedTrainer")
    grpo = _trainer(
        settings,
        folders,
        before.transform,
        GRPO_RUN,
        base_model=supervised.outputs["model"],
        grpo=dataclasses.asdict(settings.grpo),
    ).with_id("GrpoTrainer")
    return Training(warm_start, supervised, grpo)


def judging(settings: Settings, folders: Folders, before: Data, trained: Training) -> Judging:
    """Measure the candidate, and judge whether it may be pushed."""
    ranker = source_module(settings.model.kind)
    examples, model = before.example_gen.outputs["examples"], trained.grpo.outputs["model"]
    baseline = BaselineFinder(candidate=model, serving_dir=folders.serving, code_hash=code_hash(BaselineFinder))
    evaluator = Evaluator(
        examples=examples,
        model=model,
        baseline_model=baseline.outputs["baseline"],
        example_splits=["test"],
        module_path=EXTRACTORS,
        eval_config=eval_config(
            settings.evaluation.min_ndcg_5,
            settings.evaluation.max_ndcg_5_drop,
            settings.evaluation.ks,
            code_hash(EXTRACTORS, JUDGEMENT),
        ),
    )
    ranking_check = RankingCheck(
        model=model,
        baseline_model=baseline.outputs["baseline"],
        examples=examples,
        transformed_examples=before.transform.outputs["transformed_examples"],
        transform_graph=before.transform.outputs["transform_graph"],
        settings=settings.evaluation.ranking_check,
        code_hash=code_hash(RankingCheck, ranker),
    )
    servable_check = ServableCheck(
        model=model,
        examples=examples,
        transform_graph=before.transform.outputs["transform_graph"],
        settings=settings.servable_check,
        code_hash=code_hash(ServableCheck, ranker),
    )
    infra = None
    if settings.infra_validation:
        infra = infra_validator(settings.infra_validation, model, examples, settings.name)
    return Judging(baseline, evaluator, ranking_check, servable_check, infra)


def gates(before: Data, judged: Judging) -> Mapping[str, BaseChannel]:
    """The verdicts that a push waits for, by the names of `components.common.gates.GATES`."""
    found = {
        "verdict": before.data_check.outputs["verdict"],
        "ranking_verdict": judged.ranking_check.outputs["verdict"],
        "servable_verdict": judged.servable_check.outputs["verdict"],
    }
    if judged.infra_validator:
        found["infra_blessing"] = judged.infra_validator.outputs["blessing"]
    return found


def publishing(settings: Settings, folders: Folders, before: Data, trained: Training, judged: Judging) -> Publishing:
    """Push the candidate where every gate lets it pass, and write down how the run went."""
    ranker = source_module(settings.model.kind)
    verdicts = gates(before, judged)
    model_code = code_hash(LogExampleGen, PREPROCESSING, SUPERVISED_RUN, GRPO_RUN, ranker)
    examples, model = before.example_gen.outputs["examples"], trained.grpo.outputs["model"]
    pusher = Pusher(
        model=model,
        model_blessing=judged.evaluator.outputs["blessing"],
        gates=verdicts,
        evaluation=judged.evaluator.outputs["evaluation"],
        examples=examples,
        serving_dir=folders.serving,
        keep_versions=settings.push.keep_versions,
        model_code=model_code,
        code_hash=code_hash(Pusher),
    )
    keeper = StatisticsKeeper(
        statistics=before.statistics.outputs["statistics"],
        pushed_model=pusher.outputs["pushed_model"],
        statistics_dir=folders.statistics,
        code_hash=code_hash(StatisticsKeeper),
    )
    report = RunReport(
        log_report=before.example_gen.outputs["log_report"],
        gates=verdicts,
        evaluation=judged.evaluator.outputs["evaluation"],
        blessing=judged.evaluator.outputs["blessing"],
        ranks=judged.ranking_check.outputs["ranks"],
        examples=examples,
        transformed_examples=before.transform.outputs["transformed_examples"],
        transform_graph=before.transform.outputs["transform_graph"],
        model=model,
        supervised_run=trained.supervised.outputs["model_run"],
        grpo_run=trained.grpo.outputs["model_run"],
        pushed_model=pusher.outputs["pushed_model"],
        run_name=settings.name,
        settings=_told(settings, folders),
        model_code=model_code,
        code_hash=code_hash(RunReport, ranker),
    )
    return Publishing(pusher, keeper, report)


def logs_of(settings: Settings, folders: Folders) -> LogSettings:
    """What ExampleGen reads, and where."""
    return dataclasses.replace(settings.logs, log_dir=folders.log, read_cache=folders.read_spans)


def _told(settings: Settings, folders: Folders) -> dict[str, Any]:
    """The settings that the page of a run shows: all that a result depends on."""
    told = {**settings.in_full(), "logs": dataclasses.asdict(logs_of(settings, folders))}
    for name in ("beam", "kubeflow"):
        del told[name]
    return told


def _trainer(
    settings: Settings,
    folders: Folders,
    transform: Transform,
    run_fn: str,
    base_model: BaseChannel | None,
    **stage: Any,
) -> Trainer:
    custom_config = {
        "model": dataclasses.asdict(settings.model),
        "vocabulary": settings.vocabulary.model_dump(),
        "checkpoints": folders.checkpoints,
        "code": code_hash(run_fn, source_module(settings.model.kind)),
        **stage,
    }
    one_device = settings.distribution.strategy == "none" and settings.distribution.device == "auto"
    if not one_device:  # a training on what there is keeps its place in the cache
        custom_config["distribution"] = dataclasses.asdict(settings.distribution)
    if settings.arithmetic != Arithmetic():
        custom_config["arithmetic"] = dataclasses.asdict(settings.arithmetic)
    return Trainer(
        run_fn=run_fn,
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        base_model=base_model,
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
        custom_config=json.loads(json.dumps(custom_config)),
    )
