"""The settings of the pipeline: one YAML file, a profile of it, and overrides from the environment."""

import dataclasses
import functools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)

from components.data_check.settings import DataCheckSettings
from components.evaluation.names import metric_names
from components.example_gen.settings import LogSettings
from components.ranking_check.settings import RankingCheckSettings, thresholds_of
from components.servable_check.settings import ServableCheckSettings
from components.trainer.settings import DistributionSettings
from model.config import Arithmetic, GrpoConfig, RankerConfig, SupervisedConfig, check_compiles
from model.registry import DEFAULT, config_class
from tfx_pipeline.beam_settings import BeamEngine
from tfx_pipeline.kubeflow_settings import Kubeflow
from tfx_pipeline.sources import FILE_VARIABLE, Kinds, Names, Sources, read

IdKind = Literal["vocabulary", "hash"]

_TABLES = {name: 2 for name in ("num_users", "num_items", "num_words")}
"""Sizes of `RankerConfig` that the vocabularies decide, the least that it takes."""
_LENGTHS = ("rec_length", "search_length", "words_per_search", "items_per_search")
"""Fields of `RankerConfig` that are fields of `LogSettings` too."""
FOLLOWING: Mapping[Names, str] = {
    ("logs", "log_dir"): "log_dir",
    **{("logs", name): f"model.{name}" for name in _LENGTHS},
    **{("model", name): f"vocabulary.{name.replace('num', 'max')}" for name in _TABLES},
}
"""Fields of a section's class that another setting decides, and which."""
_PATTERN = re.compile(r"[*?\[\\]")
"""What TensorFlow and Beam take as a pattern in a path."""
REPOSITORY = Path(__file__).resolve().parents[1]
DEFAULT_FILE = Path(__file__).with_name("settings.yaml")


class Vocabulary(BaseModel):
    """How ids and words become rows of tables: `vocabulary` or `hash` each, see `components.transform.vocabularies`.

    `max_items`, `max_users` and `max_words` are the entries kept of a vocabulary, most frequent first (None: all), or
    the number of hash buckets.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    items: IdKind = "vocabulary"
    users: IdKind = "vocabulary"
    words: IdKind = "vocabulary"
    max_items: PositiveInt | None = None
    max_users: PositiveInt | None = None
    max_words: PositiveInt | None = None

    @model_validator(mode="after")
    def _buckets_are_given(self) -> "Vocabulary":
        for name in ("items", "users", "words"):
            if getattr(self, name) == "hash" and getattr(self, f"max_{name}") is None:
                raise ValueError(f"`max_{name}` should be the number of hash buckets of the {name}. Received: None.")
        return self


class Evaluation(BaseModel):
    """What is measured on the test split, and what a model must reach there to be pushed.

    `ks`, `min_ndcg_5` and `max_ndcg_5_drop` are the Evaluator's, the rest are fields of `RankingCheckSettings`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    ks: tuple[PositiveInt, ...] = (1, 5, 10)
    min_ndcg_5: float = Field(ge=0, le=1)
    max_ndcg_5_drop: float = Field(ge=0, le=1)
    thresholds: dict[str, dict[str, dict[str, float | None]]] = {}
    min_slice_requests: int = RankingCheckSettings.min_slice_requests
    full_catalogue_requests: int = RankingCheckSettings.full_catalogue_requests

    @model_validator(mode="after")
    def _ks_hold_that_of_the_thresholds(self) -> "Evaluation":
        if 5 not in self.ks or len(set(self.ks)) < len(self.ks):
            raise ValueError(
                f"`evaluation.ks` should hold 5, on whose NDCG the thresholds lie, and no number twice. "
                f"Received: {list(self.ks)}."
            )
        return self

    @functools.cached_property
    def ranking_check(self) -> RankingCheckSettings:
        """The settings of RankingCheck among them."""
        return RankingCheckSettings(
            metrics=tuple(metric_names(self.ks)),
            thresholds=thresholds_of(self.thresholds),
            min_slice_requests=self.min_slice_requests,
            full_catalogue_requests=self.full_catalogue_requests,
        )

    @model_validator(mode="after")
    def _thresholds_lie_on_what_is_measured(self) -> "Evaluation":
        _ = self.ranking_check
        return self


class InfraValidation(BaseModel):
    """Settings of the stock InfraValidator, for where Docker is at hand.

    Attributes:
        platform: what the TF Serving image runs on.
        image: its name.
        tags: its versions; each one must load the model and answer.
        requests: of the test split, sent to it.
        max_load_seconds: until it must have loaded the model.
        tries: a failure must come so often to count.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    platform: Literal["docker"]
    image: str = Field(default="tensorflow/serving", min_length=1)
    tags: tuple[str, ...] = Field(default=("2.16.1",), min_length=1)
    requests: PositiveInt = 16
    max_load_seconds: PositiveInt = 300
    tries: PositiveInt = 3


class Push(BaseModel):
    """How a model is pushed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    keep_versions: PositiveInt


class Settings(BaseModel):
    """Everything that a run depends on, each part as the component or the training stage takes it.

    A section holds fields of its class; what is not named there keeps its default. The sizes of the model's tables are
    the least that it takes until the vocabularies are known, and the log is kept as long as the model looks back.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    output_dir: Path = Field(default=REPOSITORY / "build", validate_default=True)
    log_dir: str | None
    vocabulary: Vocabulary
    model: RankerConfig
    logs: LogSettings
    data_check: DataCheckSettings
    servable_check: ServableCheckSettings = ServableCheckSettings()
    supervised: SupervisedConfig
    warm_start: bool
    grpo: GrpoConfig
    distribution: DistributionSettings = DistributionSettings()
    arithmetic: Arithmetic = Arithmetic()
    evaluation: Evaluation
    infra_validation: InfraValidation | None = None
    kubeflow: Kubeflow | None = None
    push: Push
    beam: BeamEngine = BeamEngine()

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not name.strip() or name in (".", "..") or not name.isprintable() or "/" in name or _PATTERN.search(name):
            raise ValueError(
                "`name` should be the name of a folder below `output_dir`, without /, *, ?, [ and \\. "
                f"Received: {name!r}."
            )
        return name

    @field_validator("log_dir")
    @classmethod
    def _is_given_or_null(cls, log_dir: str | None) -> str | None:
        if log_dir is not None and not log_dir.strip():
            raise ValueError(
                "`log_dir` should be the directory of a log; unset it, or write null, for the demo log. "
                f"Received: {log_dir!r}."
            )
        return log_dir

    @field_validator("output_dir", mode="before")
    @classmethod
    def _is_a_folder_that_models_load_from(cls, given: Any) -> Path:
        text = str(given)
        path = Path(text).resolve()
        if not text.strip() or "://" in text:
            raise ValueError(
                "`output_dir` should be a folder of this machine. "
                f"Received: {text!r}. Set LCR_SER_OUTPUT_DIR to one, or unset it."
            )
        if _PATTERN.search(str(path)):
            raise ValueError(
                "`output_dir` should be a path without *, ?, [ and \\: TensorFlow takes them for a "
                f"pattern, and would not load a model from there. Received: {str(path)!r}. "
                "Set LCR_SER_OUTPUT_DIR to another folder."
            )
        return path

    @field_validator("model", mode="plain")
    @classmethod
    def _is_of_its_kind(cls, given: Any) -> RankerConfig:
        if isinstance(given, dict):
            _refuse_following("model", given)
            given = {**_TABLES, **given}
        return TypeAdapter(_config_class(given)).validate_python(given)

    @field_validator("logs", mode="before")
    @classmethod
    def _follows_the_model(cls, given: Any, info: ValidationInfo) -> Any:
        if not isinstance(given, dict):
            return given
        _refuse_following("logs", given)
        if not {"name", "output_dir", "log_dir", "model"} <= info.data.keys():
            return {"log_dir": "-", **given}  # one of them is wrong, which ends the run: this judges the rest
        followed = {name: getattr(info.data["model"], name) for name in _LENGTHS}
        paths = {
            "log_dir": _log_path(info.data["log_dir"], info.data["output_dir"]),
            "read_cache": str(_run_dir(info.data["name"], info.data["output_dir"]) / "read_spans"),
        }
        return {**paths, **followed, **given}

    @field_validator("logs")
    @classmethod
    def _names_columns_of_events_alone(cls, logs: LogSettings) -> LogSettings:
        if logs.columns and logs.source != "events":
            raise ValueError(
                "`columns` should be empty where `source` is not events: other forms have names of their "
                f"own. Received: {logs.columns}, {logs.source}."
            )
        return logs

    @model_validator(mode="after")
    def _log_and_run_lie_apart(self) -> "Settings":
        if self.log_path == str(self.run_dir):
            raise ValueError(
                "`name` should name another folder below `output_dir` than that of the log. "
                f"Received: {self.name}, the log in {self.log_path}."
            )
        return self

    @model_validator(mode="after")
    def _compiles_what_can_be(self) -> "Settings":
        check_compiles(self.model, self.supervised)
        return self

    @property
    def demo(self) -> bool:
        """Whether the built-in demo log is read."""
        return self.log_dir is None

    @property
    def log_path(self) -> str:
        """Directory of the log: an absolute path, or a URI."""
        return _log_path(self.log_dir, self.output_dir)

    @property
    def run_dir(self) -> Path:
        """Directory of all that the pipeline writes."""
        return _run_dir(self.name, self.output_dir)

    @property
    def serving_dir(self) -> Path:
        """Directory of pushed versions, as TF Serving reads it."""
        return self.run_dir / "serving" / self.name

    @property
    def statistics_dir(self) -> Path:
        """Directory of the statistics of pushed versions' data."""
        return self.run_dir / "statistics"

    def in_full(self) -> dict[str, Any]:
        """Every setting of the run by section, defaults included, as plain values."""
        parts = {
            name: dataclasses.asdict(getattr(self, name))
            for name in (
                "logs",
                "data_check",
                "servable_check",
                "model",
                "supervised",
                "grpo",
                "distribution",
                "arithmetic",
            )
        }
        for name in _TABLES:
            del parts["model"][name]
        return {**self.model_dump(mode="json", exclude={"output_dir", "log_dir", *parts}), **parts}


def load(profile: str | None = None) -> Settings:
    """Read the settings.

    Args:
        profile: a profile of the file; default: `LCR_SER_PROFILE`, else `own` where `LCR_SER_LOG_DIR` or the file's
            defaults name a log, else `demo`. The file is `LCR_SER_SETTINGS`, else the one beside this module.

    Raises:
        SettingsError: for a file that cannot be read, an unknown profile or name, or a value out of range or of another
            type; all that needs no log is checked here.
    """
    return load_with_sources(profile)[0]


def load_with_sources(profile: str | None = None) -> tuple[Settings, Sources]:
    """Read the settings, and where each comes from; as `load` does."""
    sources = read(os.environ.get(FILE_VARIABLE, str(DEFAULT_FILE)), profile, os.environ, _KINDS)
    try:
        of_model = _config_class(sources.values.get("model"))
    except ValueError as error:
        raise sources.error(error, ("model",)) from error
    sources = dataclasses.replace(sources, kinds={**_KINDS, ("model",): of_model})
    sources.require_known()
    try:
        settings = Settings.model_validate(sources.values)
        _refuse_truth_values(sources.values, settings.in_full())
    except ValueError as error:
        raise sources.error(error) from error
    return settings, sources


_KINDS: Kinds = {
    (): Settings,
    ("vocabulary",): Vocabulary,
    ("logs",): LogSettings,
    ("data_check",): DataCheckSettings,
    ("servable_check",): ServableCheckSettings,
    ("model",): RankerConfig,
    ("supervised",): SupervisedConfig,
    ("grpo",): GrpoConfig,
    ("distribution",): DistributionSettings,
    ("arithmetic",): Arithmetic,
    ("evaluation",): Evaluation,
    ("infra_validation",): InfraValidation,
    ("kubeflow",): Kubeflow,
    ("push",): Push,
    ("beam",): BeamEngine,
}


def _config_class(model: Any) -> type[RankerConfig]:
    """The class of the section `model`, which may be anything yet."""
    return config_class(model.get("kind", DEFAULT)) if isinstance(model, dict) else RankerConfig


def _log_path(log_dir: str | None, output_dir: Path) -> str:
    given = str(log_dir or output_dir / "demo_log")
    return given if "://" in given else str(Path(given).resolve())


def _run_dir(name: str, output_dir: Path) -> Path:
    return (output_dir / name).resolve()


def _refuse_following(section: str, given: Mapping[str, Any]) -> None:
    for name in given:
        if decides := FOLLOWING.get((section, name)):
            raise ValueError(
                f"`{section}.{name}` should not be set, it follows `{decides}`. Received: {given[name]!r}."
            )


def _refuse_truth_values(given: Any, taken: Any, path: Names = ()) -> None:
    # To pydantic they are numbers too: `dim: yes` would be a model of one column.
    if isinstance(given, dict) and isinstance(taken, dict):
        for name in given.keys() & taken.keys():
            _refuse_truth_values(given[name], taken[name], (*path, str(name)))
    elif isinstance(given, bool) and not isinstance(taken, bool):
        raise ValueError(f"`{'.'.join(path)}` should be no truth value. Received: {given}.")
