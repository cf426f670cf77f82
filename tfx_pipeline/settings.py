"""The settings of the pipeline: one YAML file, a profile of it, and overrides from the environment."""

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter, field_validator, model_validator

from components.data_check.settings import DataCheckSettings
from components.evaluation.names import metric_names
from components.example_gen.settings import LogSettings
from components.ranking_check.settings import RankingCheckSettings, thresholds_of
from components.servable_check.settings import ServableCheckSettings
from model.config import GrpoConfig, RankerConfig, SupervisedConfig
from model.registry import DEFAULT, config_class
from tfx_pipeline.sources import FILE_VARIABLE, Kinds, Names, read

IdKind = Literal["vocabulary", "hash"]
_Config = TypeVar(
    "_Config", LogSettings, DataCheckSettings, ServableCheckSettings, RankerConfig, SupervisedConfig, GrpoConfig
)

_TABLES = {name: 2 for name in ("num_users", "num_items", "num_words")}
"""Sizes of `RankerConfig` that the vocabularies decide, the least that it takes."""
_LENGTHS = ("rec_length", "search_length", "words_per_search", "items_per_search")
"""Fields of `RankerConfig` that are fields of `LogSettings` too."""
_PATTERN = re.compile(r"[*?\[\\]")
"""What TensorFlow and Beam take as a pattern in a path."""
REPOSITORY = Path(__file__).resolve().parents[1]
DEFAULT_FILE = Path(__file__).with_name("settings.yaml")


class Vocabulary(BaseModel):
    """How ids and words become rows of tables: `vocabulary` or `hash` each, see `components.vocabularies`.

    `max_items`, `max_users` and `max_words` are the entries kept of a vocabulary, most frequent first (None: all), or
    the number of hash buckets.
    """

    model_config = ConfigDict(extra="forbid")
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

    model_config = ConfigDict(extra="forbid")
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


class InfraValidation(BaseModel):
    """Settings of the stock InfraValidator, for where Docker or Kubernetes is at hand.

    Attributes:
        platform: what the TF Serving image runs on.
        image: its name.
        tags: its versions; each one must load the model and answer.
        requests: of the test split, sent to it.
        max_load_seconds: until it must have loaded the model.
        tries: a failure must come so often to count.
        service_account: of the pod, on Kubernetes.
    """

    model_config = ConfigDict(extra="forbid")
    platform: Literal["docker", "kubernetes"]
    image: str = Field(default="tensorflow/serving", min_length=1)
    tags: tuple[str, ...] = Field(default=("2.16.1",), min_length=1)
    requests: PositiveInt = 16
    max_load_seconds: PositiveInt = 300
    tries: PositiveInt = 3
    service_account: str = ""


class Push(BaseModel):
    """How a model is pushed."""

    model_config = ConfigDict(extra="forbid")
    keep_versions: PositiveInt


class Settings(BaseModel):
    """Everything that a run depends on.

    `logs`, `data_check`, `servable_check`, `supervised` and `grpo` hold fields of `LogSettings`, `DataCheckSettings`,
    `ServableCheckSettings`, `SupervisedConfig` and `GrpoConfig`, `model` those of the config of its `kind`; what is not
    named there keeps its default. Sizes of tables and limits of histories are filled in later, from the vocabularies
    and from `model`.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    output_dir: Path = Field(default=REPOSITORY / "build", validate_default=True)
    log_dir: str | None
    vocabulary: Vocabulary
    logs: dict[str, Any]
    data_check: dict[str, Any]
    servable_check: dict[str, Any] = {}
    model: dict[str, Any]
    supervised: dict[str, Any]
    warm_start: bool
    grpo: dict[str, Any]
    evaluation: Evaluation
    infra_validation: InfraValidation | None = None
    push: Push

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

    @model_validator(mode="after")
    def _log_and_run_lie_apart(self) -> "Settings":
        if self.log_path == str(self.run_dir):
            raise ValueError(
                "`name` should name another folder below `output_dir` than that of the log. "
                f"Received: {self.name}, the log in {self.log_path}."
            )
        return self

    @property
    def demo(self) -> bool:
        """Whether the built-in demo log is read."""
        return self.log_dir is None

    @property
    def log_path(self) -> str:
        """Directory of the log: an absolute path, or a URI."""
        given = str(self.log_dir or self.output_dir / "demo_log")
        return given if "://" in given else str(Path(given).resolve())

    @property
    def run_dir(self) -> Path:
        """Directory of all that the pipeline writes."""
        return (self.output_dir / self.name).resolve()

    @property
    def serving_dir(self) -> Path:
        """Directory of pushed versions, as TF Serving reads it."""
        return self.run_dir / "serving" / self.name

    @property
    def statistics_dir(self) -> Path:
        """Directory of the statistics of pushed versions' data."""
        return self.run_dir / "statistics"

    def log_settings(self) -> LogSettings:
        """Settings of ExampleGen; it keeps as much of histories and searches as the model looks at."""
        shape = self.model_shape()
        _refuse_others("logs", self.logs, {"log_dir": "log_dir", **{name: f"model.{name}" for name in _LENGTHS}})
        kept = {name: getattr(shape, name) for name in _LENGTHS}
        found = _checked(
            LogSettings, {"log_dir": self.log_path, **kept, "read_cache": str(self.run_dir / "read_spans"), **self.logs}
        )
        if found.columns and found.source != "events":
            raise ValueError(
                "`columns` should be empty where `source` is not events: other forms have names of their "
                f"own. Received: {found.columns}, {found.source}."
            )
        return found

    def data_check_settings(self) -> DataCheckSettings:
        """Settings of DataCheck."""
        return _checked(DataCheckSettings, self.data_check)

    def servable_check_settings(self) -> ServableCheckSettings:
        """Settings of ServableCheck."""
        return _checked(ServableCheckSettings, self.servable_check)

    def ranking_check_settings(self) -> RankingCheckSettings:
        """Settings of RankingCheck."""
        given = self.evaluation
        return RankingCheckSettings(
            metrics=tuple(metric_names(given.ks)),
            thresholds=thresholds_of(given.thresholds),
            min_slice_requests=given.min_slice_requests,
            full_catalogue_requests=given.full_catalogue_requests,
        )

    def model_shape(self) -> RankerConfig:
        """The model's settings, with tables of the least size until the vocabularies are known."""
        _refuse_others("model", self.model, {name: f"vocabulary.{name.replace('num', 'max')}" for name in _TABLES})
        return _checked(config_class(self.model.get("kind", DEFAULT)), {**_TABLES, **self.model})

    def supervised_config(self) -> SupervisedConfig:
        """Settings of the supervised stage."""
        return _checked(SupervisedConfig, self.supervised)

    def grpo_config(self) -> GrpoConfig:
        """Settings of the reinforcement stage."""
        return _checked(GrpoConfig, self.grpo)

    def in_full(self) -> dict[str, Any]:
        """Every setting of the run by section, defaults included, as plain values."""
        shape = dataclasses.asdict(self.model_shape())
        sections = {
            "logs": dataclasses.asdict(self.log_settings()),
            "data_check": dataclasses.asdict(self.data_check_settings()),
            "servable_check": dataclasses.asdict(self.servable_check_settings()),
            "model": {name: value for name, value in shape.items() if name not in _TABLES},
            "supervised": dataclasses.asdict(self.supervised_config()),
            "grpo": dataclasses.asdict(self.grpo_config()),
        }
        return {**self.model_dump(mode="json", exclude={"output_dir", "log_dir", *sections}), **sections}


def load(profile: str | None = None) -> Settings:
    """Read the settings.

    Args:
        profile: a profile of the file; default: `LCR_SER_PROFILE`, else `own` where `LCR_SER_LOG_DIR` names a
            log, else `demo`. The file is `LCR_SER_SETTINGS`, else the one beside this module.

    Raises:
        SettingsError: for a file that cannot be read, an unknown profile or name, or a value out of range or of another
            type; all that needs no log is checked here.
    """
    sources = read(os.environ.get(FILE_VARIABLE, str(DEFAULT_FILE)), profile, os.environ, _KINDS)
    try:
        of_model = config_class(sources.values["model"].get("kind", DEFAULT))
    except ValueError as error:
        raise sources.error(error, ("model",)) from error
    sources = dataclasses.replace(sources, kinds={**_KINDS, ("model",): of_model})
    sources.require_known()
    try:
        settings = Settings.model_validate(sources.values)
    except ValueError as error:
        raise sources.error(error) from error
    checks: dict[str, Callable[[], object]] = {
        "model": settings.model_shape,
        "logs": settings.log_settings,
        "data_check": settings.data_check_settings,
        "servable_check": settings.servable_check_settings,
        "supervised": settings.supervised_config,
        "grpo": settings.grpo_config,
        "evaluation": settings.ranking_check_settings,
    }
    for section, check in checks.items():
        try:
            check()
        except ValueError as error:
            raise sources.error(error, (section,)) from error
    try:
        _refuse_truth_values(sources.values, settings.in_full())
    except ValueError as error:
        raise sources.error(error) from error
    return settings


_KINDS: Kinds = {
    (): Settings,
    ("vocabulary",): Vocabulary,
    ("logs",): LogSettings,
    ("data_check",): DataCheckSettings,
    ("servable_check",): ServableCheckSettings,
    ("model",): RankerConfig,
    ("supervised",): SupervisedConfig,
    ("grpo",): GrpoConfig,
    ("evaluation",): Evaluation,
    ("infra_validation",): InfraValidation,
    ("push",): Push,
}


def _refuse_others(section: str, given: Mapping[str, Any], others: Mapping[str, str]) -> None:
    """Fields of a section's class that another setting decides."""
    for name in given:
        if name in others:
            raise ValueError(
                f"`{section}.{name}` should not be set, it follows `{others[name]}`. Received: {given[name]!r}."
            )


def _refuse_truth_values(given: Any, taken: Any, path: Names = ()) -> None:
    # To pydantic they are numbers too: `dim: yes` would be a model of one column.
    if isinstance(given, dict) and isinstance(taken, dict):
        for name in given.keys() & taken.keys():
            _refuse_truth_values(given[name], taken[name], (*path, str(name)))
    elif isinstance(given, bool) and not isinstance(taken, bool):
        raise ValueError(f"`{'.'.join(path)}` should be no truth value. Received: {given}.")


def _checked(kind: type[_Config], values: Mapping[str, Any]) -> _Config:
    return TypeAdapter(kind).validate_python(dict(values))
