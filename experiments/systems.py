"""The systems that an experiment compares, and what each is trained with."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.last_run import Experiment
from model.config import GrpoConfig, RankerConfig, SupervisedConfig
from model.registry import make_config

CONFIGS = Path(__file__).parent / "configs"
_SECTIONS = ("model", "supervised", "grpo")


@dataclasses.dataclass(frozen=True)
class System:
    """A model and its training.

    Attributes:
        name: in tables.
        model, supervised: configs, the seed excepted.
        grpo: of the second stage; None leaves it out.
    """

    name: str
    model: RankerConfig
    supervised: SupervisedConfig
    grpo: GrpoConfig | None

    def seeded(self, seed: int) -> "System":
        """The same with a seed for both stages."""
        grpo = self.grpo and dataclasses.replace(self.grpo, seed=seed)
        return dataclasses.replace(self, supervised=dataclasses.replace(self.supervised, seed=seed), grpo=grpo)

    @property
    def digest(self) -> str:
        """What its settings are, seed included: 16 hexadecimal digits."""
        fields = [one and dataclasses.asdict(one) for one in (self.model, self.supervised, self.grpo)]
        return hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode()).hexdigest()[:16]


def read_config(name: str) -> dict[str, Any]:
    """The config of an experiment: one of ours by its name, or a YAML file.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: without `systems`.
    """
    path = CONFIGS / f"{name}.yaml" if not name.endswith((".yaml", ".yml")) else Path(name)
    if not path.exists():
        known = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
        raise FileNotFoundError(f"An experiment should be one of {', '.join(known)}, or a YAML file. Received: {name}.")
    config = yaml.safe_load(path.read_text())
    if "systems" not in config:
        raise ValueError(f"{path} should have `systems`. Received: {', '.join(config)}.")
    return dict(config)


def systems_of(
    config: Mapping[str, Any], experiment: Experiment, tuned: Mapping[str, Any] | None = None
) -> dict[str, System]:
    """The systems of a config, by name.

    A model starts with its authors' defaults, and with what all models have from the log's profile: lengths, `dim`,
    sizes of vocabularies. Over it come `model` of the config, that of the system, and what tuning found; so do the
    settings of both stages over those of the profile. LCR-SER alone has the profile's own model.

    Args:
        config: `systems`, a mapping of names to `{kind, model, supervised, grpo}`, and what all share: `model`,
            `supervised`, `grpo`.
        experiment: the log and its profile.
        tuned: by system, mappings of the same form.

    Raises:
        TypeError, ValueError: for a setting that a model or a stage does not have.
    """
    found = {}
    for name, own in config["systems"].items():
        layers = [config, own or {}, (tuned or {}).get(name, {})]
        model, supervised, grpo = (
            {key: value for layer in layers for key, value in (layer.get(section) or {}).items()}
            for section in _SECTIONS
        )
        found[name] = System(
            name,
            _shape(experiment, (own or {}).get("kind", "lcr_ser"), model),
            dataclasses.replace(experiment.supervised, **supervised),
            dataclasses.replace(experiment.grpo, **grpo) if (own or {}).get("grpo") is not None else None,
        )
    return found


def _shape(experiment: Experiment, kind: str, changes: Mapping[str, Any]) -> RankerConfig:
    profile = dataclasses.asdict(experiment.shape)
    if kind != experiment.shape.kind:
        profile = {field.name: profile[field.name] for field in dataclasses.fields(RankerConfig)}
    return make_config({**profile, "retrieval": False, **changes, "kind": kind})
