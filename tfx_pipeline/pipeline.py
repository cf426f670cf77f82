"""The pipeline: which components, in which order, with which settings.

TFX is imported module by module: `tfx.v1` brings the clients of Google Cloud's AI platform with it, a third of the time
that a run takes to start.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from apache_beam.io.filesystems import FileSystems
from tfx.components import Evaluator, ExampleValidator, StatisticsGen, Trainer, Transform
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2, transform_pb2

import components
from components.baseline_finder.component import BaselineFinder, WarmStartFinder
from components.curated_schema.component import CuratedSchema
from components.data_check.component import DataCheck
from components.example_gen.component import LogExampleGen
from components.example_gen.fingerprint import fingerprint
from components.judgement import eval_config
from components.pusher.component import Pusher
from components.ranking_check.component import RankingCheck
from components.report.component import RunReport
from components.servable_check.component import ServableCheck
from components.source_hash import code_hash
from components.statistics_keeper.component import StatisticsKeeper
from model.registry import source_module
from tfx_pipeline.infra_validation import infra_validator
from tfx_pipeline.metadata_file import ARTIFACTS
from tfx_pipeline.settings import Settings

SCHEMA_FILE = Path(components.__file__).with_name("schema") / "schema.pbtxt"
PREPROCESSING = "components.preprocessing.preprocessing_fn"
SUPERVISED_RUN, GRPO_RUN = "components.trainer.supervised_run_fn", "tfx_pipeline.export.grpo_run_fn"
EXTRACTORS, JUDGEMENT = "components.rank_extractors", "components.judgement"


def create_pipeline(
    settings: Settings,
    metadata_connection_config: Any = None,
    beam_pipeline_args: list[str] | None = None,
) -> Pipeline:
    """Compose the way from raw logs to a pushed model.

    Args:
        settings: of this run.
        metadata_connection_config: where a local runner keeps its metadata; None where the orchestrator does.
        beam_pipeline_args: flags of the Beam runner.

    Raises:
        ValueError: for a log that cannot be used, or files that a setting names and that are not there.
    """
    _require_files(settings)
    return Pipeline(
        pipeline_name=settings.name,
        pipeline_root=str(settings.run_dir / ARTIFACTS),
        components=_components(settings),
        enable_cache=True,
        metadata_connection_config=metadata_connection_config,
        beam_pipeline_args=beam_pipeline_args,
    )


def _require_files(settings: Settings) -> None:
    """Look for the files that settings name beside the log, before that is read."""
    named = {
        "logs.candidates_file": settings.logs.candidates_file,
        "data_check.serving_requests": settings.data_check.serving_requests,
    }
    for name, pattern in named.items():
        if pattern and not FileSystems.match([pattern])[0].metadata_list:
            raise ValueError(f"`{name}` should match files. Received: {pattern}, without a match.")


def _components(settings: Settings) -> list[BaseComponent]:
    ranker = source_module(settings.model.kind)
    example_gen = LogExampleGen(
        settings=settings.logs,
        input_fingerprint=fingerprint(settings.logs),
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
        serving_dir=str(settings.serving_dir),
        statistics_dir=str(settings.statistics_dir),
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
    finders = []
    if settings.warm_start:
        finders.append(
            WarmStartFinder(
                examples=transform.outputs["transformed_examples"],
                serving_dir=str(settings.serving_dir),
                code_hash=code_hash(WarmStartFinder),
            )
        )
    start = finders[0].outputs["baseline"] if finders else None
    supervised = _trainer(
        settings,
        transform,
        SUPERVISED_RUN,
        base_model=start,
        supervised=dataclasses.asdict(settings.supervised),
    ).with_id("SupervisedTrainer")
    grpo = _trainer(
        settings,
        transform,
        GRPO_RUN,
        base_model=supervised.outputs["model"],
        grpo=dataclasses.asdict(settings.grpo),
    ).with_id("GrpoTrainer")
    baseline = BaselineFinder(
        candidate=grpo.outputs["model"], serving_dir=str(settings.serving_dir), code_hash=code_hash(BaselineFinder)
    )
    evaluator = Evaluator(
        examples=examples,
        model=grpo.outputs["model"],
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
        model=grpo.outputs["model"],
        baseline_model=baseline.outputs["baseline"],
        examples=examples,
        transformed_examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        settings=settings.evaluation.ranking_check,
        code_hash=code_hash(RankingCheck, ranker),
    )
    servable_check = ServableCheck(
        model=grpo.outputs["model"],
        examples=examples,
        transform_graph=transform.outputs["transform_graph"],
        settings=settings.servable_check,
        code_hash=code_hash(ServableCheck, ranker),
    )
    infra = []
    if settings.infra_validation:
        infra.append(infra_validator(settings.infra_validation, grpo.outputs["model"], examples, settings.name))
    gates = {
        "verdict": data_check.outputs["verdict"],
        "ranking_verdict": ranking_check.outputs["verdict"],
        "servable_verdict": servable_check.outputs["verdict"],
        "infra_blessing": infra[0].outputs["blessing"] if infra else None,
    }
    model_code = code_hash(LogExampleGen, PREPROCESSING, SUPERVISED_RUN, GRPO_RUN, ranker)
    pusher = Pusher(
        model=grpo.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        **gates,
        evaluation=evaluator.outputs["evaluation"],
        examples=examples,
        serving_dir=str(settings.serving_dir),
        keep_versions=settings.push.keep_versions,
        model_code=model_code,
        code_hash=code_hash(Pusher),
    )
    keeper = StatisticsKeeper(
        statistics=statistics.outputs["statistics"],
        pushed_model=pusher.outputs["pushed_model"],
        statistics_dir=str(settings.statistics_dir),
        code_hash=code_hash(StatisticsKeeper),
    )
    report = RunReport(
        log_report=example_gen.outputs["log_report"],
        **gates,
        evaluation=evaluator.outputs["evaluation"],
        blessing=evaluator.outputs["blessing"],
        ranks=ranking_check.outputs["ranks"],
        examples=examples,
        transformed_examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        model=grpo.outputs["model"],
        supervised_run=supervised.outputs["model_run"],
        grpo_run=grpo.outputs["model_run"],
        pushed_model=pusher.outputs["pushed_model"],
        run_name=settings.name,
        settings=settings.in_full(),
        model_code=model_code,
        code_hash=code_hash(RunReport, ranker),
    )
    return [
        example_gen,
        statistics,
        schema,
        validator,
        data_check,
        transform,
        *finders,
        supervised,
        grpo,
        baseline,
        evaluator,
        ranking_check,
        servable_check,
        *infra,
        pusher,
        keeper,
        report,
    ]


def _trainer(
    settings: Settings, transform: BaseComponent, run_fn: str, base_model: Any = None, **stage: Any
) -> BaseComponent:
    shape = settings.model
    custom_config = {
        "model": dataclasses.asdict(shape),
        "vocabulary": settings.vocabulary.model_dump(),
        "checkpoints": str(settings.run_dir / "checkpoints"),
        "code": code_hash(run_fn, source_module(shape.kind)),
        **stage,
    }
    return Trainer(
        run_fn=run_fn,
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        base_model=base_model,
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
        custom_config=json.loads(json.dumps(custom_config)),
    )
