"""`run_fn` of both training stages: adapters between the TFX Trainer and the plain functions of `model.training`."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy.typing as npt
import tensorflow as tf
import tensorflow_transform as tft

from components.servable.saving import describe, load, save, save_weights
from components.servable.servable import Servable
from components.trainer import cards, distribution, orders
from components.trainer.placement import placed
from components.trainer.settings import DistributionSettings
from components.trainer.warm_start import start_from
from components.transform.vocabularies import ranker_config
from model.config import Arithmetic, GrpoConfig, RankerConfig, SupervisedConfig
from model.data.requests import Requests, read_requests
from model.data.timelines import Timelines, read_timelines
from model.ranker import Ranker
from model.training import reinforcement, replicas, supervised
from model.training.arithmetic import computing
from model.training.fingerprint import training_fingerprint

LOGGER = logging.getLogger(__name__)
_CONFIGS: dict[str, type[SupervisedConfig] | type[GrpoConfig]] = {"supervised": SupervisedConfig, "grpo": GrpoConfig}
Data = tuple[Timelines, Requests]
"""The training log and the eval split; of several workers, this one's part."""


def supervised_run_fn(fn_args: Any) -> bool:
    """Train a Ranker on timelines, LCR-SER by Eq. (1) to (12), and save its weights for the next stage.

    It starts from `base_model`, the last pushed model, where there is one, and from scratch where there is none.

    Args:
        fn_args: of the TFX Trainer. `custom_config` holds `model` (fields of a config of `model.registry`),
            `supervised` (fields of `SupervisedConfig`), `vocabulary` (the settings of Transform),
            `checkpoints` (a directory that outlives a killed run), `code`, and where it is not the default,
            `distribution` (fields of `DistributionSettings`) and `arithmetic` (fields of `Arithmetic`).

    Returns:
        Whether this process keeps the model: of several workers the chief alone does.
    """
    return _run("supervised", fn_args, _train_supervised, _save_supervised)


def grpo_run_fn(fn_args: Any) -> bool:
    """Optimise the supervised model's reasoning by GRPO, Eq. (13) to (17), where it reasons, and export it.

    Args:
        fn_args: as above, with `grpo` (fields of `GrpoConfig`) instead of `supervised`, and `base_model`, the
            exported supervised model.

    Returns:
        As above.
    """
    return _run("grpo", fn_args, _train_grpo, _export)


def _run(
    stage: str,
    fn_args: Any,
    train: Callable[[Any, Data], tuple[Ranker, str]],
    keep: Callable[[Ranker, Any], None],
) -> bool:
    """Train on all workers, and keep the result of the chief.

    Args:
        stage: its name.
        fn_args: of the TFX Trainer.
        train: gives the trained model, and the folder of checkpoints and logs.
        keep: writes a model.
    """
    custom = fn_args.custom_config
    settings = DistributionSettings(**custom.get("distribution", {}))
    if settings.strategy == "multi_worker" and not orders.has_workers():
        orders.hand_over(stage, fn_args, settings.wait_seconds)
        return True
    strategy = distribution.strategy_of(settings)
    LOGGER.info("Device: %s", cards.found())
    shape = _ranker_config(fn_args, tft.TFTransformOutput(fn_args.transform_output))
    on_device = placed(settings, shape, _CONFIGS[stage](**custom[stage]))
    with distribution.training_under(strategy), computing(_arithmetic(fn_args)), on_device:
        part = replicas.worker()
        data = read_timelines(_files(fn_args.train_files), part), read_requests(_files(fn_args.eval_files), part)
        model, folder = train(fn_args, data)
        chief = replicas.is_chief()
    if chief:
        keep(distribution.to_be_kept(model, strategy), fn_args)
        _finish(folder, fn_args.model_run_dir)
    with distribution.training_under(strategy):
        replicas.wait_for_all()
    return chief


def _train_supervised(fn_args: Any, data: Data) -> tuple[Ranker, str]:
    transform = tft.TFTransformOutput(fn_args.transform_output)
    shape, config = _ranker_config(fn_args, transform), SupervisedConfig(**fn_args.custom_config["supervised"])
    start = None
    if fn_args.base_model:
        keras.utils.set_random_seed(config.seed)  # of the rows that are fresh
        start = start_from(fn_args.base_model, shape, transform)
    folder = _work_dir(fn_args, data, (shape, config, _arithmetic(fn_args)), _weights(start) if start else ())
    model = supervised.train(shape, config, *data, checkpoint_dir=folder, log_dir=_log_dir(folder), start=start)
    return model, folder


def _train_grpo(fn_args: Any, data: Data) -> tuple[Ranker, str]:
    config = GrpoConfig(**fn_args.custom_config["grpo"])
    model = load(fn_args.base_model)
    folder = _work_dir(fn_args, data, (model.config, config, _arithmetic(fn_args)), _weights(model))
    model = reinforcement.train(model, config, *data, checkpoint_dir=folder, log_dir=_log_dir(folder))
    return model, folder


def _arithmetic(fn_args: Any) -> Arithmetic:
    return Arithmetic(**fn_args.custom_config.get("arithmetic", {}))


def _save_supervised(model: Ranker, fn_args: Any) -> None:
    save_weights(model, fn_args.serving_model_dir)
    _describe(model, fn_args)


def _export(model: Ranker, fn_args: Any) -> None:
    servable = Servable(model, tft.TFTransformOutput(fn_args.transform_output))
    save(servable, fn_args.serving_model_dir, servable.signatures())
    _describe(model, fn_args, servable.fingerprint)


def _weights(model: Ranker) -> Iterator[npt.NDArray[Any]]:
    return (variable.numpy() for variable in model.trainable_variables)


def _ranker_config(fn_args: Any, transform: tft.TFTransformOutput) -> RankerConfig:
    return ranker_config(transform, fn_args.custom_config["vocabulary"], fn_args.custom_config["model"])


def _describe(model: Ranker, fn_args: Any, mark: int = 0) -> None:
    config = fn_args.custom_config
    describe(
        fn_args.serving_model_dir,
        model.config,
        config["vocabulary"],
        config["code"],
        arithmetic=_arithmetic(fn_args),
        mark=mark,
    )


def _files(patterns: list[str]) -> list[str]:
    # TFX gives `DIRECTORY/*`; as a pattern, `[` in the name of the directory would be no name.
    directories = map(os.path.dirname, patterns)
    return sorted(os.path.join(directory, name) for directory in directories for name in tf.io.gfile.listdir(directory))


def _work_dir(fn_args: Any, data: Data, settings: tuple[Any, ...], weights: Any) -> str:
    """Where a training keeps checkpoints and logs until it ends; only the same training finds and continues them."""
    custom = fn_args.custom_config
    own = training_fingerprint(*data, settings, custom["code"], weights)
    chosen = {name: value for name, value in custom.items() if name not in ("checkpoints", "distribution")}
    common = json.dumps(chosen, sort_keys=True), *map(os.path.basename, _files(fn_args.train_files))
    return os.path.join(custom["checkpoints"], replicas.agreed(common, own))


def _log_dir(folder: str) -> str:
    """Beside the checkpoints: TFX deletes the artifacts of a run that fails, and a new run has others."""
    return os.path.join(folder, "logs")


def _finish(folder: str, run_dir: str) -> None:
    """Put the logs into the artifact and delete the folder."""
    tf.io.gfile.makedirs(run_dir)
    for name in tf.io.gfile.listdir(_log_dir(folder)):
        tf.io.gfile.copy(os.path.join(_log_dir(folder), name), os.path.join(run_dir, name), overwrite=True)
    # A kill while files are being deleted must leave nothing that looks like checkpoints to go on from.
    finished = folder + "-finished"
    if tf.io.gfile.exists(finished):
        tf.io.gfile.rmtree(finished)
    tf.io.gfile.rename(folder, finished)
    tf.io.gfile.rmtree(finished)
