"""Which models to serve: TF Serving's `--model_config_file`, a ModelServerConfig in protobuf's text form."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.versions import Policy


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A model: its name in requests, its directory of version directories, which of them, and labels for some."""

    name: str
    base_path: Path
    policy: Policy = Policy()
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)


def read_config(path: Path) -> list[ModelConfig]:
    """The models of a file.

    Raises:
        ValueError: it is not a ModelServerConfig, TF Serving would refuse it, or the development server cannot follow
            it.
    """
    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(path.read_text(), config)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no ModelServerConfig: {error}") from error
    models = [_model(path, model) for model in config.model_config_list.config]
    names = [model.name for model in models]
    if not models:
        raise ValueError(f"{path} should list at least one model in `model_config_list`. Received: none.")
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{path} should list each model once. Received more often: {double}.")
    return models


def _model(path: Path, model: Any) -> ModelConfig:
    if not model.name or model.model_platform != "tensorflow":
        platform = model.model_platform
        raise ValueError(
            f'{path}: each model should have a `name`, and "tensorflow" as `model_platform`. '
            f"Received: {model.name!r}, {platform!r}."
        )
    if not Path(model.base_path).is_absolute():
        raise ValueError(
            f"{path}: `base_path` of {model.name!r} should be an absolute path of this machine. "
            f"Received: {model.base_path!r}."
        )
    if model.HasField("logging_config"):
        raise ValueError(f"{path}: `logging_config` of {model.name!r} is not followed here; use TF Serving.")
    return ModelConfig(model.name, Path(model.base_path), _policy(model), dict(model.version_labels))


def _policy(model: Any) -> Policy:
    policy = model.model_version_policy
    match policy.WhichOneof("policy_choice"):
        case "all":
            return Policy(latest=None)
        case "specific":
            if not policy.specific.versions:
                raise ValueError(
                    f"`specific` of {model.name!r} should list at least one of `versions`. Received: none."
                )
            return Policy(specific=tuple(policy.specific.versions))
        case _:  # TF Serving takes 0 for 1
            return Policy(latest=policy.latest.num_versions or 1)
