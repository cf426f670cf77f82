"""The settings of the pipeline: one YAML file, a profile of it, and overrides from the environment."""

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, PositiveInt, TypeAdapter, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from components.data_check.settings import DataCheckSettings
from components.evaluation.names import metric_names
from components.example_gen.settings import LogSettings
from components.ranking_check.settings import RankingCheckSettings, thresholds_of
from components.servable_check.settings import ServableCheckSettings
from model.config import GrpoConfig, ModelConfig, SupervisedConfig

IdKind = Literal["vocabulary", "hash"]
_Config = TypeVar("_Config", LogSettings, DataCheckSettings, ServableCheckSettings, ModelConfig, SupervisedConfig,
                  GrpoConfig)

_TABLES = {name: 2 for name in ("num_users", "num_items", "num_words")}
"""Sizes of `ModelConfig` that the vocabularies decide, the least that it takes."""
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
    min_ndcg_5: float
    max_ndcg_5_drop: float
    thresholds: dict[str, dict[str, dict[str, float | None]]] = {}
    min_slice_requests: int = RankingCheckSettings.min_slice_requests
    full_catalogue_requests: int = RankingCheckSettings.full_catalogue_requests

    @model_validator(mode="after")
    def _ks_hold_that_of_the_thresholds(self) -> "Evaluation":
        if 5 not in self.ks or len(set(self.ks)) < len(self.ks):
            raise ValueError(f"`evaluation.ks` should hold 5, on whose NDCG the thresholds lie, and no number twice. "
                             f"Received: {list(self.ks)}.")
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
    image: str = "tensorflow/serving"
    tags: tuple[str, ...] = ("2.16.1",)
    requests: PositiveInt = 16
    max_load_seconds: PositiveInt = 300
    tries: PositiveInt = 3
    service_account: str = ""


class Push(BaseModel):
    """How a model is pushed."""

    model_config = ConfigDict(extra="forbid")
    keep_versions: PositiveInt


class Settings(BaseSettings):
    """Everything that a run depends on.

    `logs`, `data_check`, `servable_check`, `model`, `supervised` and `grpo` hold fields of `LogSettings`,
    `DataCheckSettings`, `ServableCheckSettings`, `ModelConfig`, `SupervisedConfig` and `GrpoConfig`; what is not named
    there keeps its default. Sizes of tables and limits of histories are filled in later, from the vocabularies and from
    `model`.
    """

    model_config = SettingsConfigDict(env_prefix="LCR_SER_", env_nested_delimiter="__", env_parse_none_str="null",
                                      extra="forbid")

    name: str
    output_dir: Path = REPOSITORY / "build"
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

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment override the file, whose values come in through the constructor."""
        return env_settings, init_settings

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
        kept = {name: getattr(shape, name)
                for name in ("rec_length", "search_length", "words_per_search", "items_per_search")}
        return _checked(LogSettings, log_dir=self.log_path, **kept,
                        **{"read_cache": str(self.run_dir / "read_spans"), **self.logs})

    def data_check_settings(self) -> DataCheckSettings:
        """Settings of DataCheck."""
        return _checked(DataCheckSettings, **self.data_check)

    def servable_check_settings(self) -> ServableCheckSettings:
        """Settings of ServableCheck."""
        return _checked(ServableCheckSettings, **self.servable_check)

    def ranking_check_settings(self) -> RankingCheckSettings:
        """Settings of RankingCheck."""
        given = self.evaluation
        return RankingCheckSettings(
            metrics=tuple(metric_names(given.ks)), thresholds=thresholds_of(given.thresholds),
            min_slice_requests=given.min_slice_requests, full_catalogue_requests=given.full_catalogue_requests)

    def model_shape(self) -> ModelConfig:
        """The model's settings, with tables of the least size until the vocabularies are known."""
        return _checked(ModelConfig, **_TABLES, **self.model)

    def supervised_config(self) -> SupervisedConfig:
        """Settings of the supervised stage."""
        return _checked(SupervisedConfig, **self.supervised)

    def grpo_config(self) -> GrpoConfig:
        """Settings of the reinforcement stage."""
        return _checked(GrpoConfig, **self.grpo)

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
        ValueError: for an unknown profile or field, or a value out of range.
    """
    _refuse_unknown_variables()
    path = Path(os.environ.get("LCR_SER_SETTINGS", DEFAULT_FILE))
    content = yaml.safe_load(path.read_text())
    fallback = "own" if os.environ.get("LCR_SER_LOG_DIR") else "demo"
    profile = profile or os.environ.get("LCR_SER_PROFILE", fallback)
    if profile not in content["profiles"]:
        raise ValueError(f"`profile` should be one of {', '.join(content['profiles'])} of {path}. "
                         f"Received: {profile!r}.")
    settings = Settings(**_overlaid(content["defaults"], content["profiles"][profile]))
    for check in (settings.log_settings, settings.data_check_settings, settings.ranking_check_settings,
                  settings.servable_check_settings, settings.supervised_config, settings.grpo_config):
        check()
    return settings


def _refuse_unknown_variables() -> None:
    # pydantic-settings passes over variables that name no field: a misspelt setting would never be noticed.
    known = {"settings", "profile", *Settings.model_fields}
    names = [name for name in os.environ if name.startswith("LCR_SER_")]
    unknown = sorted(name for name in names if name[len("LCR_SER_"):].lower().split("__")[0] not in known)
    if unknown:
        raise ValueError(f"Variables LCR_SER_... should name one of {', '.join(sorted(known))}. "
                         f"Received: {', '.join(unknown)}.")


def _checked(kind: type[_Config], **values: Any) -> _Config:
    unknown = sorted(set(values) - {field.name for field in dataclasses.fields(kind)})
    if unknown:
        raise ValueError(f"Settings of {kind.__name__} should be fields of it. Received: {', '.join(unknown)}.")
    # Environment variables are strings: pydantic turns them into numbers, and lists and mappings are written as YAML.
    decoded = {name: yaml.safe_load(value) if isinstance(value, str) and value.startswith(("[", "{")) else value
               for name, value in values.items()}
    return TypeAdapter(kind).validate_python(decoded)


def _overlaid(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _overlaid(merged[key], value) if nested else value
    return merged
