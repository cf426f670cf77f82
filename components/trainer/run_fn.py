"""`run_fn` of both training stages: adapters between the TFX Trainer and the plain functions of `model.training`."""

import os
from collections.abc import Iterator
from typing import Any

import keras
import numpy.typing as npt
import tensorflow as tf
import tensorflow_transform as tft

from components.servable.saving import describe, load, save, save_weights
from components.servable.servable import Servable
from components.trainer.warm_start import start_from
from components.transform.vocabularies import ranker_config
from model.config import GrpoConfig, RankerConfig, SupervisedConfig
from model.data.requests import read_requests
from model.data.timelines import read_timelines
from model.ranker import Ranker
from model.training import reinforcement, supervised
from model.training.fingerprint import training_fingerprint


def supervised_run_fn(fn_args: Any) -> None:
    """Train a Ranker on timelines, LCR-SER by Eq. (1) to (12), and save its weights for the next stage.

    It starts from `base_model`, the last pushed model, where there is one, and from scratch where there is none.

    Args:
        fn_args: of the TFX Trainer. `custom_config` holds `model` (fields of a config of `model.registry`),
            `supervised` (fields of `SupervisedConfig`), `vocabulary` (the settings of Transform),
            `checkpoints` (a directory that outlives a killed run) and `code`.
    """
    transform = tft.TFTransformOutput(fn_args.transform_output)
    shape, config = _ranker_config(fn_args, transform), SupervisedConfig(**fn_args.custom_config["supervised"])
    data = read_timelines(_files(fn_args.train_files)), read_requests(_files(fn_args.eval_files))
    start = None
    if fn_args.base_model:
        keras.utils.set_random_seed(config.seed)  # of the rows that are fresh
        start = start_from(fn_args.base_model, shape, transform)
    weights = _weights(start) if start else ()
    folder = _work_dir(fn_args, training_fingerprint(*data, (shape, config), fn_args.custom_config["code"], weights))
    model = supervised.train(shape, config, *data, checkpoint_dir=folder, log_dir=_log_dir(folder), start=start)
    save_weights(model, fn_args.serving_model_dir)
    _describe(model, fn_args)
    _finish(folder, fn_args.model_run_dir)


def grpo_run_fn(fn_args: Any) -> None:
    """Optimise the supervised model's reasoning by GRPO, Eq. (13) to (17), where it reasons, and export it.

    Args:
        fn_args: as above, with `grpo` (fields of `GrpoConfig`) instead of `supervised`, and `base_model`, the
            exported supervised model.
    """
    transform = tft.TFTransformOutput(fn_args.transform_output)
    config = GrpoConfig(**fn_args.custom_config["grpo"])
    data = read_timelines(_files(fn_args.train_files)), read_requests(_files(fn_args.eval_files))
    model = load(fn_args.base_model)
    code = fn_args.custom_config["code"]
    folder = _work_dir(fn_args, training_fingerprint(*data, (model.config, config), code, _weights(model)))
    model = reinforcement.train(model, config, *data, checkpoint_dir=folder, log_dir=_log_dir(folder))
    servable = Servable(model, transform)
    save(servable, fn_args.serving_model_dir, servable.signatures())
    _describe(model, fn_args, servable.fingerprint)
    _finish(folder, fn_args.model_run_dir)


def _weights(model: Ranker) -> Iterator[npt.NDArray[Any]]:
    return (variable.numpy() for variable in model.trainable_variables)


def _ranker_config(fn_args: Any, transform: tft.TFTransformOutput) -> RankerConfig:
    return ranker_config(transform, fn_args.custom_config["vocabulary"], fn_args.custom_config["model"])


def _describe(model: Ranker, fn_args: Any, mark: int = 0) -> None:
    config = fn_args.custom_config
    describe(fn_args.serving_model_dir, model.config, config["vocabulary"], config["code"], mark)


def _files(patterns: list[str]) -> list[str]:
    # TFX gives `DIRECTORY/*`; as a pattern, `[` in the name of the directory would be no name.
    directories = map(os.path.dirname, patterns)
    return sorted(os.path.join(directory, name) for directory in directories for name in tf.io.gfile.listdir(directory))


def _work_dir(fn_args: Any, fingerprint: str) -> str:
    """Where a training keeps checkpoints and logs until it ends; only the same training finds and continues them."""
    return os.path.join(fn_args.custom_config["checkpoints"], fingerprint)


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
