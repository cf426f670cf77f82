"""create_pipeline: what is wired to what, and which change of the code re-runs which component. Nothing is run."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from components.common import source_hash
from components.trainer.settings import DistributionSettings
from model.baselines.sasrec import SasRecConfig
from model.config import Arithmetic
from synthetic_logs.demo import DemoLogSettings, write_demo_log
from tfx_pipeline.pipeline import create_pipeline
from tfx_pipeline.settings import load

pytestmark = pytest.mark.slow

MODEL = (
    "components.example_gen.executor",
    "components.transform.preprocessing",
    "components.trainer.run_fn",
    "tfx_pipeline.export",
    "model.lcr_ser",
)
"""What makes a model; the page and the manifest name it."""
CODE = {
    "LogExampleGen": ("components.example_gen.executor",),
    "StatisticsGen": (),
    "CuratedSchema": ("components.curated_schema.component",),
    "ExampleValidator": (),
    "DataCheck": ("components.data_check.executor",),
    "Transform": ("components.transform.preprocessing",),
    "WarmStartFinder": ("components.baseline_finder.executor",),
    "SupervisedTrainer": ("components.trainer.run_fn", "model.lcr_ser"),
    "GrpoTrainer": ("tfx_pipeline.export", "model.lcr_ser"),
    "BaselineFinder": ("components.baseline_finder.executor",),
    "Evaluator": (
        "components.evaluator.rank_extractors",
        "components.evaluator.eval_config",
        "components.evaluator.ranking_metrics",
    ),
    "RankingCheck": ("components.ranking_check.executor", "model.lcr_ser"),
    "ServableCheck": ("components.servable_check.executor", "model.lcr_ser"),
    "InfraValidator": (),
    "Pusher": ("components.pusher.executor", *MODEL),
    "StatisticsKeeper": ("components.statistics_keeper.component",),
    "RunReport": ("components.report.executor", *MODEL),
}
"""Modules in which TFX finds the code of each component; the stock ones have none of ours."""

LOADED = """
import importlib, json, re, sys

def ours():
    return [name for name in sys.modules if name.split(".")[0] in ("model", "components", "tfx_pipeline", "serving")]

found = {}
for root in sys.argv[1:]:
    for name in ours():
        del sys.modules[name]
    importlib.import_module(root)
    done = set()
    while new := set(ours()) - done:
        done |= new
        for name in new:  # imports in functions
            for line in re.findall(r"^ +((?:from|import) .*)", open(sys.modules[name].__file__).read(), re.MULTILINE):
                if re.match(r"(from|import) (model|components|tfx_pipeline|serving)[. ]", line):
                    exec(line, {})
    found[root] = [sys.modules[name].__file__ for name in done]
print(json.dumps(found))
"""
"""What Python itself loads for a module, by file; libraries stay loaded from one module to the next."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipeline")
    write_demo_log(folder / "log", DemoLogSettings(num_users=20, num_topics=2, subtopics=2))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "LOG_DIR": str(folder / "log"),
            "OUTPUT_DIR": str(folder),
            "WARM_START": "true",
            "INFRA_VALIDATION__PLATFORM": "docker",
        }.items():
            patch.setenv(f"LCR_SER_{name}", value)
        return load()


@pytest.fixture(scope="module")
def composed(settings):
    return {component.id: component for component in create_pipeline(settings).components}


@pytest.fixture(scope="module")
def files_of():
    """Files that each component needs, as Python loads them, with the data beside them."""
    roots = sorted({name for names in CODE.values() for name in names})
    process = subprocess.run(
        [sys.executable, "-c", LOADED, *roots],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=source_hash.ROOT,
        env={**os.environ, "PYTHONPATH": str(source_hash.ROOT)},
    )
    loaded = json.loads(process.stdout.splitlines()[-1])
    files = {}
    for component, names in CODE.items():
        modules = {source_hash.ROOT / file for name in names for file in loaded[name]}
        beside = {path for folder in {file.parent for file in modules} for path in folder.iterdir() if path.is_file()}
        files[component] = modules | {
            path for path in beside if path.suffix not in (".py", ".pyc") and path.name != "settings.yaml"
        }
    return files


def _all_files():
    for name in source_hash.PACKAGES:
        yield from (path for path in (source_hash.ROOT / name).rglob("*") if path.is_file() and path.suffix != ".pyc")


def _parameters(settings):
    return {component.id: dict(component.exec_properties) for component in create_pipeline(settings).components}


@pytest.fixture
def re_run(settings, monkeypatch):
    """Components that TFX would run again, were some files edited."""
    before, content_hash = _parameters(settings), source_hash._content_hash

    def after_an_edit_of(touched):
        with monkeypatch.context() as patch:
            patch.setattr(source_hash, "_content_hash", lambda path: content_hash(path) + "edited" * (path in touched))
            after = _parameters(settings)
        return {component for component, found in after.items() if found != before[component]}

    return after_an_edit_of


def test_the_table_of_code_names_every_component(composed):
    assert composed.keys() == CODE.keys()


def test_an_edit_of_a_file_re_runs_the_components_that_need_it_and_no_other(files_of, re_run):
    needed = sorted(set().union(*files_of.values()))
    wrong = {}
    for path in needed:
        expected = {component for component, files in files_of.items() if path in files}
        if (changed := re_run({path})) != expected:
            wrong[path.relative_to(source_hash.ROOT).as_posix()] = changed ^ expected
    assert not wrong


def test_an_edit_of_all_other_files_re_runs_nothing(files_of, re_run):
    others = set(_all_files()) - set().union(*files_of.values())
    assert source_hash.ROOT / "tfx_pipeline" / "cli.py" in others
    assert re_run(others) == set()


def test_files_that_only_a_few_components_need(files_of):
    """That what is compared with is no empty set."""

    def needing(name):
        return {component for component, files in files_of.items() if source_hash.ROOT / name in files}

    assert needing("components/evaluator/ranking_metrics.py") == {"Evaluator"}
    assert needing("components/servable_check/child.py") == {"ServableCheck"}
    assert (
        needing("components/report/page/run.css") == needing("components/report/page/plots/slices.py") == {"RunReport"}
    )
    assert needing("components/pusher/remote.py") == {"Pusher"}
    assert needing("serving/warmup.py") == {"GrpoTrainer", "Pusher", "RunReport"}
    assert needing("components/transform/vocabularies.py") >= {"Transform", "SupervisedTrainer", "GrpoTrainer"}


def test_an_edit_of_a_model_re_runs_what_trains_and_loads_that_kind(settings, re_run):
    sasrec = {source_hash.ROOT / "model" / "baselines" / "sasrec.py"}
    assert re_run(sasrec) == set()
    of_sasrec = settings.model_copy(update={"model": SasRecConfig(num_users=2, num_items=2, num_words=2)})
    before, after = _parameters(of_sasrec), {}
    with pytest.MonkeyPatch.context() as patch:
        content_hash = source_hash._content_hash
        patch.setattr(source_hash, "_content_hash", lambda path: content_hash(path) + "edited" * (path in sasrec))
        after = _parameters(of_sasrec)
    assert {component for component in before if before[component] != after[component]} == {
        "SupervisedTrainer",
        "GrpoTrainer",
        "RankingCheck",
        "ServableCheck",
        "Pusher",
        "RunReport",
    }


@pytest.mark.parametrize(
    ("section", "other"),
    [
        ("distribution", DistributionSettings(strategy="multi_worker", wait_seconds=9)),
        ("distribution", DistributionSettings(device="cpu")),
        ("arithmetic", Arithmetic(precision="tf32")),
    ],
    ids=["strategy", "device", "arithmetic"],
)
def test_trainers_are_told_of_devices_and_precision_that_are_not_the_default(settings, section, other):
    """So that a training on one device, in float32, keeps its place in the cache."""

    def told(changed):
        parameters = _parameters(changed)
        return [
            json.loads(parameters[trainer]["custom_config"]).get(section)
            for trainer in ("SupervisedTrainer", "GrpoTrainer")
        ]

    assert told(settings) == [None, None]
    assert told(settings.model_copy(update={section: other})) == [dataclasses.asdict(other)] * 2


def test_every_split_goes_where_it_belongs(composed):
    def parameter(component, name):
        return json.loads(composed[component].exec_properties[name])

    for trainer in ("SupervisedTrainer", "GrpoTrainer"):
        assert parameter(trainer, "train_args") == {"splits": ["train"]}
        assert parameter(trainer, "eval_args") == {"splits": ["eval"]}
    assert parameter("Evaluator", "example_splits") == ["test"]
    assert parameter("InfraValidator", "request_spec")["split_name"] == "test"
    assert parameter("Transform", "splits_config") == {"analyze": ["train"], "transform": ["train", "eval", "test"]}
    for looks_at_all in ("StatisticsGen", "ExampleValidator"):
        assert parameter(looks_at_all, "exclude_splits") == []


GATES = {
    "verdict": ("DataCheck", "verdict"),
    "ranking_verdict": ("RankingCheck", "verdict"),
    "servable_verdict": ("ServableCheck", "verdict"),
    "infra_blessing": ("InfraValidator", "blessing"),
}
EXAMPLES = {"examples": ("LogExampleGen", "examples")}
TRANSFORMED = ("Transform", "transformed_examples")
GRAPH = {"transform_graph": ("Transform", "transform_graph")}
MODELS = {"model": ("GrpoTrainer", "model"), "baseline_model": ("BaselineFinder", "baseline")}
EVALUATION = {"evaluation": ("Evaluator", "evaluation")}
STATISTICS = {"statistics": ("StatisticsGen", "statistics")}
SCHEMA = {"schema": ("CuratedSchema", "schema")}


@pytest.mark.parametrize(
    ("component", "inputs"),
    [
        ("StatisticsGen", EXAMPLES),
        ("ExampleValidator", {**STATISTICS, **SCHEMA}),
        (
            "DataCheck",
            {
                "log_report": ("LogExampleGen", "log_report"),
                "anomalies": ("ExampleValidator", "anomalies"),
                **STATISTICS,
                **SCHEMA,
            },
        ),
        ("Transform", {**EXAMPLES, **SCHEMA}),
        ("WarmStartFinder", {"examples": TRANSFORMED}),
        ("SupervisedTrainer", {"examples": TRANSFORMED, **GRAPH, "base_model": ("WarmStartFinder", "baseline")}),
        ("GrpoTrainer", {"examples": TRANSFORMED, **GRAPH, "base_model": ("SupervisedTrainer", "model")}),
        ("BaselineFinder", {"candidate": MODELS["model"]}),
        ("Evaluator", {**EXAMPLES, **MODELS}),
        ("RankingCheck", {**EXAMPLES, **MODELS, "transformed_examples": TRANSFORMED, **GRAPH}),
        ("ServableCheck", {**EXAMPLES, "model": MODELS["model"], **GRAPH}),
        ("InfraValidator", {**EXAMPLES, "model": MODELS["model"]}),
        (
            "Pusher",
            {
                **EXAMPLES,
                "model": MODELS["model"],
                "model_blessing": ("Evaluator", "blessing"),
                **EVALUATION,
                **GATES,
            },
        ),
        ("StatisticsKeeper", {**STATISTICS, "pushed_model": ("Pusher", "pushed_model")}),
        (
            "RunReport",
            {
                **EXAMPLES,
                "transformed_examples": TRANSFORMED,
                **GRAPH,
                "model": MODELS["model"],
                "blessing": ("Evaluator", "blessing"),
                **EVALUATION,
                **GATES,
                "ranks": ("RankingCheck", "ranks"),
                "log_report": ("LogExampleGen", "log_report"),
                "supervised_run": ("SupervisedTrainer", "model_run"),
                "grpo_run": ("GrpoTrainer", "model_run"),
                "pushed_model": ("Pusher", "pushed_model"),
            },
        ),
    ],
)
def test_every_input_comes_from_its_component(composed, component, inputs):
    assert {
        name: (channel.producer_component_id, channel.output_key)
        for name, channel in composed[component].inputs.items()
    } == inputs


def test_the_functions_are_those_whose_code_is_hashed(composed):
    assert (
        composed["Transform"].exec_properties["preprocessing_fn"]
        == "components.transform.preprocessing.preprocessing_fn"
    )
    assert composed["SupervisedTrainer"].exec_properties["run_fn"] == "components.trainer.run_fn.supervised_run_fn"
    assert composed["GrpoTrainer"].exec_properties["run_fn"] == "tfx_pipeline.export.grpo_run_fn"
    assert composed["Evaluator"].exec_properties["module_path"] == "components.evaluator.rank_extractors"
