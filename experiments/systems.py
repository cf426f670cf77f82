"""The systems that an experiment compares, and what each is trained with."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.last_run import Experiment
from experiments.views import EVERYTHING, View
from model.config import GrpoConfig, RankerConfig, SupervisedConfig
from model.registry import make_config

CONFIGS = Path(__file__).parent / "configs"
_SECTIONS = ("model", "supervised", "grpo", "histories")
OTHER_DRAWS = 1000
"""What the seed of further supervised steps is away from that of the first: other dropout and negatives."""


@dataclasses.dataclass(frozen=True)
class System:
    """A model and its training.

    Attributes:
        name: in tables.
        model, supervised: configs, the seed excepted.
        grpo: of the second stage; None leaves it out.
        further: of a second stage of supervised steps instead; None leaves it out.
        view: what it is shown of each history.
    """

    name: str
    model: RankerConfig
    supervised: SupervisedConfig
    grpo: GrpoConfig | None = None
    further: SupervisedConfig | None = None
    view: View = EVERYTHING

    def seeded(self, seed: int) -> "System":
        """The same with a seed for all stages."""
        return dataclasses.replace(
            self,
            supervised=dataclasses.replace(self.supervised, seed=seed),
            grpo=self.grpo and dataclasses.replace(self.grpo, seed=seed),
            further=self.further and dataclasses.replace(self.further, seed=seed + OTHER_DRAWS),
        )

    @property
    def first_stage(self) -> "System":
        """The same without a second stage."""
        return dataclasses.replace(self, grpo=None, further=None)

    @property
    def reference(self) -> "System | None":
        """The same first stage where it sees everything, whose vectors say what is similar; None where nobody asks."""
        return dataclasses.replace(self.first_stage, view=EVERYTHING) if self.view.needs_vectors else None

    @property
    def digest(self) -> str:
        """What its settings are, seed included: 16 hexadecimal digits."""
        parts: list[Any] = [self.model, self.supervised, self.grpo]
        parts += [part for part in (self.further, self.view) if part not in (None, EVERYTHING)]
        fields = [part and dataclasses.asdict(part) for part in parts]
        return hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode()).hexdigest()[:16]


def read_config(name: str) -> dict[str, Any]:
    """The config of an experiment: one of ours by its name, or a YAML file.

    `sweep` (`setting`, `label`, `values`) turns each system into one for each value; `points` says which system and
    value a swept one came from.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: without `systems`.
    """
    path = CONFIGS / f"{name}.yaml" if not name.endswith((".yaml", ".yml")) else Path(name)
    if not path.exists():
        known = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
        raise FileNotFoundError(f"An experiment should be one of {', '.join(known)}, or a YAML file. Received: {name}.")
    config = dict(yaml.safe_load(path.read_text()))
    if "systems" not in config:
        raise ValueError(f"{path} should have `systems`. Received: {', '.join(config)}.")
    config["systems"] = {name: own or {} for name, own in config["systems"].items()}
    return _swept(config) if "sweep" in config else config


def _swept(config: dict[str, Any]) -> dict[str, Any]:
    sweep = config["sweep"]
    systems, points = {}, {}
    for name, own in config["systems"].items():
        for value in own.get("values", sweep["values"]):
            swept = f"{name} ({sweep['label']} = {value})"  # without a comma, which stands between names of systems
            section, _, field = sweep["setting"].partition(".")
            systems[swept] = {**own, section: {**(own.get(section) or {}), field: value}}
            points[swept] = (name, value)
    return {**config, "systems": systems, "points": points}


def systems_of(
    config: Mapping[str, Any], experiment: Experiment, tuned: Mapping[str, Any] | None = None
) -> dict[str, System]:
    """The systems of a config, by name.

    A model starts with its authors' defaults, and with what all models have from the log's profile: lengths, `dim`,
    sizes of vocabularies. Over it come `model` of the config, what tuning found, and `model` of the system itself; so
    do the settings of the stages over those of the profile. LCR-SER alone has the profile's own model.

    Args:
        config: `systems`, a mapping of names to `{kind, model, supervised, grpo, further, histories, tuned}`, and what
            all share: `model`, `supervised`, `grpo`, and `patience_steps` and `cap_steps`, how many steps a training
            waits for a better evaluation, and takes in all, at the least. `grpo` of a system, be it empty, asks for
            that stage; `further`
            for as many supervised steps instead, with those settings of GRPO that it names. `tuned` names the system
            whose tuned settings it has; its own name otherwise.
        experiment: the log and its profile.
        tuned: by system, mappings of the same form.

    Raises:
        TypeError, ValueError: for a setting that a model or a stage does not have.
    """
    found = {}
    for name, own in config["systems"].items():
        layers = [config, (tuned or {}).get(own.get("tuned", name), {}), own]
        model, supervised, grpo, histories = (
            {key: value for layer in layers for key, value in (layer.get(section) or {}).items()}
            for section in _SECTIONS
        )
        stage, second = (
            _long_enough(dataclasses.replace(experiment.supervised, **supervised), experiment, config),
            dataclasses.replace(experiment.grpo, **grpo),
        )
        view = View(**histories)
        if view != EVERYTHING and ("grpo" in own or "further" in own):
            raise ValueError(f"A system with `histories` should have one stage. Received: two of {name}.")
        found[name] = System(
            name,
            _shape(experiment, own.get("kind", "lcr_ser"), model),
            stage,
            second if "grpo" in own else None,
            _further(experiment, stage, second, own["further"]) if "further" in own else None,
            view,
        )
    return found


def _long_enough(stage: SupervisedConfig, experiment: Experiment, config: Mapping[str, Any]) -> SupervisedConfig:
    """The stage with more patience where an epoch is short: a few epochs of a small log are no time to learn in."""
    targets = len(experiment.timelines.last_targets(stage.targets_per_user))
    epoch = max(1, targets // min(stage.batch_size, targets))
    between = max(1, epoch // stage.evaluations_per_epoch)
    return dataclasses.replace(
        stage,
        patience=max(stage.patience, math.ceil(config.get("patience_steps", 0) / between)),
        max_epochs=max(stage.max_epochs, math.ceil(config.get("cap_steps", 0) / epoch)),
    )


def _shape(experiment: Experiment, kind: str, changes: Mapping[str, Any]) -> RankerConfig:
    profile = dataclasses.asdict(experiment.shape)
    if kind != experiment.shape.kind:
        profile = {field.name: profile[field.name] for field in dataclasses.fields(RankerConfig)}
    return make_config({**profile, "retrieval": False, **changes, "kind": kind})


def _further(
    experiment: Experiment, stage: SupervisedConfig, grpo: GrpoConfig, of_grpo: Sequence[str]
) -> SupervisedConfig:
    """As many further supervised steps, of as many rows, evaluated as often, as GRPO takes: what it has to beat."""
    steps_per_epoch = len(experiment.timelines.last_targets(stage.targets_per_user)) // grpo.batch_size
    return dataclasses.replace(
        stage,
        batch_size=grpo.batch_size,
        max_steps=grpo.max_steps * grpo.updates_per_rollout,
        evaluations_per_epoch=max(1, steps_per_epoch // grpo.eval_every),
        patience=grpo.patience,
        max_eval_requests=grpo.max_eval_requests,
        **{name: getattr(grpo, name) for name in of_grpo},
    )
